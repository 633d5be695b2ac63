"""Thresholds applied anew: tiers decided from stored scores, written as a verdicts shard and a new generation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import pyarrow as pa

from operators.contract import Row
from operators.errors import RunMismatch
from store.lease import Lease
from store.markers import Marker, latest_generations, read_marker, write_marker, write_success
from store.objects import ObjectStore
from store.run_record import read_run
from store.schema import VERDICT_SCHEMA, to_table
from store.shards import read_shard, write_shard
from store.tensors import to_rows

Verdict = tuple[str | None, str | None, str | None]
"""(tier, drop_reason, hq_drop_reason)."""

Judge = Callable[[Row], Verdict]
"""Decides from the stored columns of a clip."""

NOT_ANNOTATED = "not_annotated"
"""Drop reason of a clip that would pass now, but was dropped before its annotations were made."""


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """What changed: clips looked at, clips with another verdict, and those that only a new run can annotate."""

    clips: int
    changed: int
    not_annotated: int
    tiers: dict[str, int]


def rejudge(store: ObjectStore, judge: Judge, *, annotated_by: frozenset[str], take_over: bool = False) -> Rejudged:
    """Decide the tier of every committed clip again, without decoding.

    A clip that was dropped has no column of the operators named in `annotated_by`; when it would be
    kept now, it stays dropped as `not_annotated`. Raises `RunMismatch` where `store` holds no run, and
    `RunLocked` while a run writes to it.
    """
    run = read_run(store)
    if run is None:
        raise RunMismatch(f"{store.url} holds no run (no run.json)")
    seen: Counter[str] = Counter()
    tiers: Counter[str] = Counter()
    with Lease.acquire(store, take_over=take_over, job="rejudge") as lease:
        generations = latest_generations(store)
        for partition, generation in generations.items():
            marker = read_marker(store, partition, generation)
            verdicts = _verdicts(store, marker, judge, annotated_by, seen)
            new = _commit(store, marker, verdicts, lease)
            generations[partition] = new.generation
            tiers.update(new.tiers)
        if len(generations) == run.n_partitions:
            write_success(store, generations)
    return Rejudged(
        clips=seen["clips"],
        changed=seen["changed"],
        not_annotated=seen[NOT_ANNOTATED],
        tiers=dict(sorted(tiers.items())),
    )


def _verdicts(
    store: ObjectStore, marker: Marker, judge: Judge, annotated_by: frozenset[str], seen: Counter[str]
) -> list[Row]:
    rows = []
    for entry in marker.shards:
        if entry.kind != "clips":
            continue
        for row in to_rows(read_shard(store, entry)):
            tier, reason, hq = judge(row)
            authors = {credit.partition("/")[0] for _, credit in row["provenance"] or ()}
            if reason is None and row["drop_reason"] is not None and not authors & annotated_by:
                tier, reason, hq = None, NOT_ANNOTATED, None
                seen[NOT_ANNOTATED] += 1
            seen["clips"] += 1
            seen["changed"] += (tier, reason, hq) != (row["tier"], row["drop_reason"], row["hq_drop_reason"])
            identity = {name: row[name] for name in ("clip_id", "video_id", "clip_index")}
            rows.append({**identity, "tier": tier, "drop_reason": reason, "hq_drop_reason": hq})
    return rows


def _commit(store: ObjectStore, marker: Marker, verdicts: list[Row], lease: Lease) -> Marker:
    shards = tuple(entry for entry in marker.shards if entry.kind != "verdicts")
    if verdicts:
        table: pa.Table = to_table(verdicts, VERDICT_SCHEMA)
        entry = write_shard(store, "verdicts", marker.partition, uuid4().hex, table, {"chain": marker.fingerprint})
        shards = (*shards, entry)
    dropped = sum(row["drop_reason"] is not None for row in verdicts)
    lease.check()
    new = marker.model_copy(
        update={
            "generation": marker.generation + 1,
            "epoch": lease.epoch,
            "nonce": lease.nonce,
            "shards": shards,
            "clips": {**marker.clips, "kept": len(verdicts) - dropped, "dropped": dropped},
            "tiers": _counted(verdicts, "tier"),
            "drop_reasons": _counted(verdicts, "drop_reason"),
            "hq_drop_reasons": _counted(verdicts, "hq_drop_reason"),
        }
    )
    write_marker(store, new)
    return new


def _counted(rows: list[Row], column: str) -> dict[str, int]:
    return dict(sorted(Counter(row[column] for row in rows if row[column] is not None).items()))
