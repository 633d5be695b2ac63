"""Shards as the ledger sees them, without storage: entries, lines and receipts by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.receipt import ClipLine, Contents, Outcome, Receipt, VideoLine
from store.layout import shard_key
from store.markers import OperatorTally, ShardEntry

KEPT = Outcome("kept", tier="hq")
VISUAL = Outcome("kept", tier="visual", hq_drop_reason="smaller_than_min_height")
DROPPED = Outcome("dropped", None, "motion_below_floor", "motion_below_floor")


def failed(kind: str = "model", operator: str = "caption", message: str = "no") -> Outcome:
    return Outcome("failed", operator=operator, kind=kind, message=message)


def entry(kind: str, name: str, rows: int, partition: int = 0) -> ShardEntry:
    return ShardEntry.model_validate(
        {"kind": kind, "key": shard_key(kind, partition, name), "rows": rows, "bytes": 100, "sha256": "0" * 64}
    )


def clips(name: str, *lines: ClipLine, takes: Mapping[str, int] | None = None, kind: str = "clips") -> Contents:
    return Contents(entry=entry(kind, name, len(lines)), clips=lines, takes=takes or {})


def videos(name: str, *lines: VideoLine, takes: Mapping[str, int] | None = None) -> Contents:
    return Contents(entry=entry("videos", name, len(lines)), videos=lines, takes=takes or {})


def clip(video_id: str, index: int, outcome: Outcome = KEPT, first: int | None = None) -> ClipLine:
    start = 100 * index if first is None else first
    return ClipLine(video_id, index, outcome, (start, start + 100))


def done(video_id: str, n_clips: int, seconds: float = 10.0) -> VideoLine:
    return VideoLine(video_id, "done", n_clips, seconds, 1000)


def hurt(video_id: str, n_clips: int, kind: str = "decode", message: str = "broken") -> VideoLine:
    return VideoLine(video_id, "partial" if n_clips else "failed", n_clips, 10.0, 1000, "shots", kind, message)


def complaint(line: VideoLine) -> ClipLine:
    """The row in failed/ that goes with a record that has an error."""
    return ClipLine(line.video_id, -1, Outcome("failed", operator=line.operator, kind=line.kind, message=line.message))


def receipt(task: str, shards: Sequence[Contents], seconds: float = 1.0) -> Receipt:
    return Receipt(
        task=task,
        partition=0,
        shards=tuple(shards),
        operators={"shots": OperatorTally(clips=len(shards), seconds=seconds)},
    )
