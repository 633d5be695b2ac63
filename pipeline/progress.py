"""What a run reports while it works, and what it says at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from store.markers import FailureTally


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A snapshot of a run. Counts include what earlier runs on the same output committed.

    `phase` is one of "starting", "waiting", "running", "retrying", "committing" and "done"; `note` a
    sentence for people, or "". `videos_resumed` of the videos were committed before this run.
    `video_seconds` is the duration of the footage accounted for, `elapsed` wall-clock seconds.
    """

    phase: str
    note: str = ""
    videos_total: int = 0
    videos_done: int = 0
    videos_partial: int = 0
    videos_failed: int = 0
    videos_resumed: int = 0
    clips_kept: int = 0
    clips_dropped: int = 0
    clips_failed: int = 0
    partitions_total: int = 0
    partitions_committed: int = 0
    video_seconds: float = 0.0
    elapsed: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The end of a run. `parked` are partitions that failed too often, with the reason; they are in `uncommitted`
    too, unless an earlier commit of theirs stands."""

    progress: Progress
    output: str
    uncommitted: tuple[int, ...] = ()
    parked: Mapping[int, str] = field(default_factory=dict)
    failures: tuple[FailureTally, ...] = ()
    drop_reasons: dict[str, int] = field(default_factory=dict)
    tiers: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when every input is accounted for and at least one partition is committed, else 1."""
        return 0 if self.progress.partitions_committed > 0 and not (self.uncommitted or self.parked) else 1
