"""Draws a run while it works: bars in a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.terminal import printable
from pipeline.progress import Progress

INTERVAL = 5.0
"""Seconds between plain lines."""

PHASES = {
    "starting": "starting",
    "waiting": "waiting for the output",
    "running": "running",
    "retrying": "trying again what vanished",
    "committing": "committing",
    "done": "done",
}


class Display(Protocol):
    """Takes the snapshots of a run."""

    def update(self, progress: Progress) -> None: ...


@contextmanager
def open_display(stream: TextIO, interval: float = INTERVAL) -> Iterator[Display]:
    """The display that suits `stream`, until the end of the `with` block.

    Bars need a terminal that can move its cursor; a build server (`CI` is set) gets lines.
    """
    terminal = stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
    display = Bars(stream) if terminal else Lines(stream, interval)
    display.open()
    try:
        yield display
    finally:
        display.close()


class Pace:
    """How fast a run goes, measured from its first snapshot of the phase "running"."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: tuple[float, Progress] | None = None
        self._last: tuple[float, Progress] | None = None

    def note(self, progress: Progress) -> None:
        """Take a snapshot into account."""
        if progress.phase == "running" and self._first is None:
            self._first = (self._clock(), progress)
        self._last = (self._clock(), progress)

    def clips_per_second(self) -> float | None:
        """Clips kept, dropped or failed per second of wall-clock time; None where nothing is known yet."""
        return self._rate(clips)

    def videos_per_second(self) -> float | None:
        """Videos accounted for per second of wall-clock time; None where nothing is known yet."""
        return self._rate(videos)

    def seconds_left(self) -> float | None:
        """Wall-clock seconds until every video is accounted for, at the pace so far."""
        rate = self.videos_per_second()
        if rate is None or self._last is None:
            return None
        return max(0.0, (self._last[1].videos_total - videos(self._last[1])) / rate)

    def _rate(self, count: Callable[[Progress], int]) -> float | None:
        if self._first is None or self._last is None:
            return None
        (began, first), (_, last) = self._first, self._last
        passed, done = self._clock() - began, count(last) - count(first)
        return done / passed if passed > 0 and done > 0 else None


def videos(progress: Progress) -> int:
    """Videos accounted for."""
    return progress.videos_done + progress.videos_partial + progress.videos_failed


def clips(progress: Progress) -> int:
    """Clips accounted for."""
    return progress.clips_kept + progress.clips_dropped + progress.clips_failed


def span(seconds: float) -> str:
    """A length of time in words: "42 s", "3 min 05 s", "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def counts(progress: Progress, pace: Pace) -> list[str]:
    """What there is to say about a snapshot, in pieces, the most important first."""
    pieces = [f"{videos(progress):,} of {progress.videos_total:,} videos", f"{clips(progress):,} clips"]
    if (rate := pace.clips_per_second()) is not None:
        pieces.append(f"{rate:.3g} clips/s")
    lost = {"videos": progress.videos_failed, "in part": progress.videos_partial, "clips": progress.clips_failed}
    if failures := [f"{count:,} {what}" for what, count in lost.items() if count]:
        pieces.append(f"failed: {' and '.join(failures)}")
    pieces.append(f"{progress.partitions_committed:,} of {progress.partitions_total:,} partitions committed")
    if (left := pace.seconds_left()) is not None and progress.phase == "running":
        pieces.append(f"about {span(left)} left")
    return pieces


class Lines:
    """One line at once, one every `interval` seconds, and one when the phase changes."""

    def __init__(self, stream: TextIO, interval: float = INTERVAL) -> None:
        self._stream = stream
        self._interval = interval
        self._pace = Pace()
        self._began = time.monotonic()
        self._progress = Progress(phase="starting")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def open(self) -> None:
        self._print()
        self._ticker.start()

    def update(self, progress: Progress) -> None:
        with self._lock:
            news = (progress.phase, progress.note) != (self._progress.phase, self._progress.note)
            self._progress = progress
            self._pace.note(progress)
            if news:
                self._print()

    def close(self) -> None:
        self._closing.set()
        self._ticker.join()

    def _tick(self) -> None:
        while not self._closing.wait(self._interval):
            with self._lock:
                self._print()

    def _print(self) -> None:
        progress = self._progress
        pieces = counts(progress, self._pace) if progress.videos_total else []
        said = ", ".join([*pieces, *([progress.note] if progress.note else [])])
        head = f"[{span(time.monotonic() - self._began)}] {PHASES.get(progress.phase, progress.phase)}"
        print(printable(f"{head}: {said}" if said else head), file=self._stream, flush=True)


class Bars:
    """A bar of the videos, with counts, pace and time left below it, redrawn four times a second."""

    def __init__(self, stream: TextIO) -> None:
        self._pace = Pace()
        self._began = time.monotonic()
        self._progress = Progress(phase="starting")
        console = Console(file=stream, markup=False, highlight=False)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4, redirect_stdout=False)

    def open(self) -> None:
        self._live.start()

    def update(self, progress: Progress) -> None:
        self._progress = progress
        self._pace.note(progress)

    def close(self) -> None:
        self._live.stop()

    def _draw(self) -> Group:
        progress = self._progress
        total = progress.videos_total or None
        row = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=total, completed=videos(progress), pulse=total is None, width=40)
        row.add_row(Text(PHASES.get(progress.phase, progress.phase)), bar, Text(span(time.monotonic() - self._began)))
        below = " · ".join(counts(progress, self._pace)) if total else ""
        return Group(row, *(Text(printable(line), style="dim") for line in (below, progress.note) if line))
