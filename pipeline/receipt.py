"""Receipts: what a shard holds, told to the driver in one tiny row per task and shard.

A receipt is cumulative over its task: each one repeats the shards of those before it. Ray may hand
the driver only the later ones when a task was run twice, and nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from operators.contract import Row
from store.markers import OperatorTally, ShardEntry

TAKES = "takes"
"""Footer key: JSON of the videos in a shard that were begun anew, and how often."""

VIDEO_LEVEL = -1
"""Clip index of a row in failed/ that stands for a whole video."""


class Outcome(NamedTuple):
    """How one clip ended. `state` is "kept", "dropped" or "failed"; the rest explains it."""

    state: str
    tier: str | None = None
    drop_reason: str | None = None
    hq_drop_reason: str | None = None
    operator: str | None = None
    kind: str | None = None
    message: str | None = None


class ClipLine(NamedTuple):
    """One row of a clips/ or failed/ shard. `span` is [first frame, one past the last], or None."""

    video_id: str
    index: int
    outcome: Outcome
    span: tuple[int, int] | None = None


class VideoLine(NamedTuple):
    """One row of a videos/ shard: the video record, as far as the commit needs it."""

    video_id: str
    status: str
    n_clips: int
    seconds: float
    bytes: int
    operator: str | None = None
    kind: str | None = None
    message: str | None = None


@dataclass(frozen=True, kw_only=True)
class Contents:
    """A shard and its rows, in row order. `takes` maps a video to how often it was begun anew."""

    entry: ShardEntry
    clips: tuple[ClipLine, ...] = ()
    videos: tuple[VideoLine, ...] = ()
    takes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """All that a task has written so far. `halted` says why no task can go on; then the run must end."""

    task: str
    partition: int
    shards: tuple[Contents, ...] = ()
    operators: Mapping[str, OperatorTally]
    halted: str = ""

    def to_row(self) -> dict[str, str]:
        """The one-column row that travels to the driver."""
        shards = [
            {
                "entry": shard.entry.model_dump(mode="json"),
                "clips": _pack(shard.clips),
                "videos": [list(line) for line in shard.videos],
                "takes": dict(shard.takes),
            }
            for shard in self.shards
        ]
        tallies = {name: tally.model_dump() for name, tally in self.operators.items()}
        facts = {
            "task": self.task,
            "partition": self.partition,
            "shards": shards,
            "operators": tallies,
            "halted": self.halted,
        }
        return {"receipt": json.dumps(facts, separators=(",", ":"))}

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Receipt:
        """Read back what `to_row` wrote."""
        facts = json.loads(row["receipt"])
        return cls(
            task=facts["task"],
            partition=facts["partition"],
            shards=tuple(
                Contents(
                    entry=ShardEntry.model_validate(shard["entry"]),
                    clips=_unpack(shard["clips"]),
                    videos=tuple(VideoLine(*line) for line in shard["videos"]),
                    takes=shard["takes"],
                )
                for shard in facts["shards"]
            ),
            operators={name: OperatorTally(**tally) for name, tally in facts["operators"].items()},
            halted=facts["halted"],
        )


def _pack(lines: Sequence[ClipLine]) -> dict[str, Any]:
    """Videos and outcomes repeat over a shard's rows: each is written once and referred to by number."""
    videos: dict[str, int] = {}
    outcomes: dict[Outcome, int] = {}
    rows = [
        [
            videos.setdefault(line.video_id, len(videos)),
            line.index,
            outcomes.setdefault(line.outcome, len(outcomes)),
            *(line.span or ()),
        ]
        for line in lines
    ]
    return {"videos": list(videos), "outcomes": [list(outcome) for outcome in outcomes], "rows": rows}


def _unpack(packed: Mapping[str, Any]) -> tuple[ClipLine, ...]:
    videos, outcomes = packed["videos"], [Outcome(*outcome) for outcome in packed["outcomes"]]
    return tuple(
        ClipLine(videos[v], index, outcomes[o], (span[0], span[1]) if span else None)
        for v, index, o, *span in packed["rows"]
    )


DESCRIBED_CLIP = ("video_id", "clip_index", "clip_start_end_idx", "tier", "drop_reason", "hq_drop_reason", "error")
DESCRIBED_VIDEO = ("video_id", "status", "n_clips", "video_duration", "size", "error")


def describe(entry: ShardEntry, rows: Sequence[Row], takes: Mapping[str, int]) -> Contents:
    """The contents of a shard from its rows (the columns `DESCRIBED_CLIP` or `DESCRIBED_VIDEO` suffice)."""
    if entry.kind == "videos":
        return Contents(entry=entry, videos=tuple(_video_line(row) for row in rows), takes=takes)
    return Contents(entry=entry, clips=tuple(_clip_line(row) for row in rows), takes=takes)


def described(kind: str) -> tuple[str, ...]:
    """The columns of a shard that its contents are told from."""
    return DESCRIBED_VIDEO if kind == "videos" else DESCRIBED_CLIP


def describe_table(entry: ShardEntry, table: pa.Table, takes: Mapping[str, int]) -> Contents:
    """`describe` for a shard that was read back."""
    return describe(entry, table.select(list(described(entry.kind))).to_pylist(), takes)


def outcome_of(row: Row) -> Outcome:
    """How a clip row ended."""
    if error := row.get("error"):
        return Outcome("failed", operator=error["operator"], kind=error["kind"], message=error["message"][:200])
    tier, reason, hq = row.get("tier"), row.get("drop_reason"), row.get("hq_drop_reason")
    return Outcome("dropped" if reason else "kept", tier, reason, hq)


def _clip_line(row: Row) -> ClipLine:
    span = row.get("clip_start_end_idx")
    index = row.get("clip_index")
    return ClipLine(
        row["video_id"],
        VIDEO_LEVEL if index is None else index,
        outcome_of(row),
        (int(span[0]), int(span[1])) if span else None,
    )


def _video_line(row: Row) -> VideoLine:
    error = row.get("error") or {}
    return VideoLine(
        row["video_id"],
        row["status"],
        int(row["n_clips"]),
        max(0.0, float(row.get("video_duration") or 0.0)),
        int(row.get("size") or 0),
        error.get("operator"),
        error.get("kind"),
        (error.get("message") or "")[:200] or None,
    )
