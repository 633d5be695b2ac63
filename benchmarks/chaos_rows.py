"""Comparing a run that was disturbed with one that was not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import store
from store.layout import parse_shard_key
from store.markers import latest_generations
from store.objects import open_store
from store.run_record import read_run
from store.shards import decode
from store.verify import verify


@dataclass
class Difference:
    """What the disturbed run did to the rows of the calm one; `findings` is all else that is wrong with it."""

    clips: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    findings: list[str] = field(default_factory=list)


def rows_of(output: str) -> dict[str, dict[str, Any]]:
    """All rows of a run by identity: clips kept and dropped, video records, failures."""
    run = store.open(output)
    rows: dict[str, dict[str, Any]] = {}
    doubled = 0
    for kind, tables in (("clip", run.clips(dropped=True)), ("video", run.videos()), ("failed", run.failed())):
        for table in tables:
            for row in table.to_pylist():
                key = f"{kind}:{row.get('clip_id') or row['video_id']}"
                doubled += key in rows
                rows[key] = row
    if doubled:
        rows["doubled"] = {"count": doubled}
    return rows


def visible_clips(output: str) -> set[str]:
    """Clips that a listing shows in storage now, committed or not."""
    objects = open_store(output)
    clips: set[str] = set()
    for kind in ("clips", "failed"):
        for info in objects.list(f"{kind}/"):
            if parse_shard_key(info.key):
                ids = decode(info.key, objects.get(info.key), ["clip_id"])["clip_id"].to_pylist()
                clips.update(clip_id for clip_id in ids if clip_id)
    return clips


def compare(expected: dict[str, dict[str, Any]], stormy: str, *, whole: bool = True) -> Difference:
    """The rows of the run in `stormy` against `expected`; unless `whole`, of what it has committed so far."""
    found = rows_of(stormy)
    difference = Difference(clips=sum(key.startswith("clip:") for key in expected))
    difference.doubled = found.pop("doubled", {"count": 0})["count"]
    difference.changed = sum(found[key] != row for key, row in expected.items() if key in found)
    difference.findings += [f"not in the calm run: {key}" for key in sorted(found.keys() - expected.keys())]
    if not whole:
        return difference
    difference.lost = len(expected.keys() - found.keys())
    objects = open_store(stormy)
    difference.findings += [f"{finding.key}: {finding.problem}" for finding in verify(objects)]
    run = read_run(objects)
    generations = latest_generations(objects)
    if run is None or len(generations) != run.n_partitions:
        difference.findings.append(f"only {len(generations)} partitions are committed")
    return difference
