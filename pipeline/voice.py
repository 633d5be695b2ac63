"""The voice of a run: turns what the driver knows into progress reports."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from pipeline.commit import Account, Committer
from pipeline.progress import Progress
from store.run_record import RunRecord

REPORT_SECONDS = 0.5
"""Least time between two progress reports, so that they cost nothing."""

Report = Callable[[Progress], None]


class Voice:
    """Reports to one listener, or to none. The driver fills in `record`, `account` and `committer`."""

    def __init__(self, report: Report | None) -> None:
        self._report = report
        self._begun = monotonic()
        self._last = 0.0
        self.notes: list[str] = []
        self.record: RunRecord | None = None
        self.account = Account()
        self.committer: Committer | None = None
        self.resumed = 0

    def note(self, text: str) -> None:
        """Say something that the summary repeats."""
        self.notes.append(text)
        self.say("starting", text)

    def say(self, phase: str, note: str = "", *, always: bool = True) -> None:
        """Report; unless `always`, at most every `REPORT_SECONDS`."""
        if self._report is None or (not always and monotonic() - self._last < REPORT_SECONDS):
            return
        self._last = monotonic()
        self._report(self.progress(phase, note))

    def progress(self, phase: str, note: str = "") -> Progress:
        """A snapshot."""
        total = self.account.plus(self.committer.ledgers if self.committer else {})
        return Progress(
            phase=phase,
            note=note,
            videos_total=self.record.n_videos if self.record else 0,
            videos_done=total.videos["done"],
            videos_partial=total.videos["partial"],
            videos_failed=total.videos["failed"],
            videos_resumed=self.resumed,
            clips_kept=total.clips["kept"],
            clips_dropped=total.clips["dropped"],
            clips_failed=total.clips["failed"],
            partitions_total=self.record.n_partitions if self.record else 0,
            partitions_committed=len(self.committer.generations) if self.committer else 0,
            video_seconds=total.video_seconds,
            elapsed=monotonic() - self._begun,
        )
