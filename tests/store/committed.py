"""Small committed runs, written with the real store, for the tests of everything that reads one.

A video is a list of outcomes, one per clip: "hq", "visual", "-reason" (dropped) or "!kind" (failed); an
"!kind" in `broken` gives the whole video an error.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from store.layout import manifest_key
from store.markers import FailureTally, Marker, OperatorTally, ShardEntry, write_marker
from store.objects import ObjectStore
from store.run_record import OperatorRecord, RunRecord, create_run
from store.schema import MANIFEST_SCHEMA, VERDICT_SCHEMA, VIDEO_SCHEMA, clip_schema, to_table
from store.shards import write_shard

CLIPS = clip_schema((), keep_media=False)
FOOTER = {"chain": "abc"}
Videos = Mapping[str, Sequence[str]]


def run_record(n_partitions: int, n_videos: int, **changes: Any) -> RunRecord:
    facts: dict[str, Any] = {
        "job": "mmtrail",
        "input": "videos/",
        "config": {"preset": "lite"},
        "operators": (OperatorRecord(name="shots", fingerprint="1"), OperatorRecord(name="tiers", fingerprint="2")),
        "fingerprint": "abc",
        "package_version": "0.1.0",
        "schema_version": 1,
        "partition_size": 64,
        "limit": None,
        "n_partitions": n_partitions,
        "n_videos": n_videos,
        "created": "2026-11-22T10:00:00+00:00",
    }
    return RunRecord.model_validate({**facts, **changes})


def error(kind: str) -> dict[str, str]:
    return {"operator": "shots", "kind": kind, "message": f"it is {kind}"}


def clip_row(video_id: str, index: int, outcome: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "video_id": video_id,
        "clip_id": f"{video_id}_{index:07d}",
        "clip_index": index,
        "caption": f"{outcome} {index}",
    }
    if outcome.startswith("!"):
        return {**row, "error": error(outcome[1:])}
    if outcome.startswith("-"):
        return {**row, "drop_reason": outcome[1:], "hq_drop_reason": outcome[1:]}
    return {**row, "tier": outcome, "hq_drop_reason": None if outcome == "hq" else "too_small"}


def write_partition_manifest(store: ObjectStore, partition: int, videos: Videos) -> None:
    sink = io.BytesIO()
    rows = [{"video_id": video_id, "uri": f"{video_id}.mp4"} for video_id in videos]
    pq.write_table(to_table(rows, MANIFEST_SCHEMA), sink)
    store.put(manifest_key(partition), sink.getvalue())


def shard(
    store: ObjectStore, kind: str, partition: int, name: str, rows: list[dict[str, Any]], /, **changes: Any
) -> ShardEntry:
    schema = {"videos": VIDEO_SCHEMA, "verdicts": VERDICT_SCHEMA}.get(kind, CLIPS)
    entry = write_shard(store, kind, partition, name, to_table(rows, schema), FOOTER)
    return entry.model_copy(update=changes)


def commit(
    store: ObjectStore,
    partition: int,
    videos: Videos,
    /,
    *,
    broken: Mapping[str, str] | None = None,
    generation: int = 1,
    more: Sequence[ShardEntry] = (),
    **changes: Any,
) -> Marker:
    """Write the shards and the marker of one partition (and its manifest); `changes` replace marker fields."""
    broken = broken or {}
    write_partition_manifest(store, partition, videos)
    name = f"g{generation}"
    all_rows = [clip_row(video, i, o) for video, outcomes in videos.items() for i, o in enumerate(outcomes)]
    clips = [row for row in all_rows if not row.get("error")]
    failed = [row for row in all_rows if row.get("error")]
    failed += [{"video_id": video, "error": error(kind)} for video, kind in broken.items()]
    records = []
    for video, outcomes in videos.items():
        status = "done" if video not in broken else "partial" if outcomes else "failed"
        facts = {"video_id": video, "status": status, "n_clips": len(outcomes), "video_duration": 10.0}
        records.append({**facts, "error": error(broken[video]) if video in broken else None})
    hurt = {row["video_id"] for row in failed}
    states = Counter(
        "partial" if record["status"] == "done" and record["video_id"] in hurt else record["status"]
        for record in records
    )
    entries = [
        shard(store, kind, partition, name, rows)
        for kind, rows in (("clips", clips), ("failed", failed), ("videos", records))
        if rows
    ]
    kinds = Counter(row["error"]["kind"] for row in failed)
    facts: dict[str, Any] = {
        "partition": partition,
        "generation": generation,
        "epoch": 1,
        "nonce": f"n{generation}",
        "fingerprint": "abc",
        "shards": (*entries, *more),
        "videos": {status: states[status] for status in ("done", "partial", "failed")},
        "clips": {
            "kept": sum(row.get("tier") is not None for row in clips),
            "dropped": sum(row.get("drop_reason") is not None for row in clips),
            "failed": sum("clip_id" in row for row in failed),
        },
        "tiers": counted(clips, "tier"),
        "drop_reasons": counted(clips, "drop_reason"),
        "hq_drop_reasons": counted(clips, "hq_drop_reason"),
        "failures": tuple(
            FailureTally(operator="shots", kind=kind, count=n, example=f"it is {kind}")
            for kind, n in sorted(kinds.items())
        ),
        "operators": {"shots": OperatorTally(clips=len(all_rows), seconds=2.0)},
        "video_seconds": 10.0 * len(videos),
        "bytes_read": 1000,
        "started": 100.0 * partition,
        "committed": 100.0 * partition + 50.0,
    }
    marker = Marker.model_validate({**facts, **changes})
    write_marker(store, marker)
    return marker


def counted(rows: list[dict[str, Any]], column: str) -> dict[str, int]:
    return dict(sorted(Counter(row[column] for row in rows if row.get(column)).items()))


def small_run(store: ObjectStore) -> list[Marker]:
    """Two partitions of three: kept, dropped and failed clips, an empty video, a partial and a failed one."""
    create_run(store, run_record(3, 7))
    return [
        commit(store, 0, {"a": ["hq", "visual", "-too_short"], "b": ["visual", "!model"], "c": []}),
        commit(store, 1, {"d": ["hq"], "e": [], "f": ["-too_short"]}, broken={"e": "no_video", "f": "decode"}),
    ]
