"""Status again and again: redrawn in a terminal, a line at a time elsewhere, until the run is complete."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.progress import moves_cursor, span
from jobs.terminal import Printable, printable, printable_json
from operators.errors import StorageError

if TYPE_CHECKING:
    from store.markers import Marker
    from store.objects import ObjectStore
    from store.status import Status

ANSWER_SECONDS = 30.0
"""Seconds that one call of the storage may take, before the watch says that it does not answer."""

Draw = Callable[["Status"], Iterable[RenderableType]]


class View(Protocol):
    """Shows what a look at the storage found: a status, or why there is none."""

    def show(self, status: Status) -> None: ...

    def miss(self, why: str) -> None: ...


def watch(store: ObjectStore, view: View, seconds: float) -> int:
    """Show the run in `store` every `seconds` until it is complete; then 0.

    A run that is not there yet and storage that does not answer are waited for. Raises `ConfigurationError`
    where waiting does not help, such as without credentials.
    """
    from store.status import NoRun, scan

    known: dict[tuple[int, int], Marker] = {}
    patient = store.within(ANSWER_SECONDS)
    while True:
        began = time.monotonic()
        try:
            status = scan(patient, known=known)
        except NoRun:
            view.miss(f"no run in {store.url} yet")
        except StorageError as problem:
            view.miss(f"not to be read now: {problem}")
        else:
            view.show(status)
            if finished(status):
                return 0
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def finished(status: Status) -> bool:
    """Whether everything is committed and the last writer has gone."""
    return status.complete and status.partitions["done"] >= status.n_partitions and status.writer is None


@contextmanager
def open_view(stream: TextIO, draw: Draw, seconds: float, as_json: bool) -> Iterator[View]:
    """The view that suits `stream`, until the end of the `with` block."""
    if as_json:
        yield JsonLines(stream)
    elif moves_cursor(stream):
        yield from _in_terminal(stream, draw, seconds)
    else:
        yield Lines(stream)


class JsonLines:
    """One JSON object a line: the whole status with `time`, or `time` and `problem`. Times are epoch seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, status: Status) -> None:
        self._print({"time": round(time.time(), 3), **status.as_dict()})

    def miss(self, why: str) -> None:
        self._print({"time": round(time.time(), 3), "problem": why})

    def _print(self, facts: dict[str, object]) -> None:
        print(printable_json(facts), file=self._stream, flush=True)


class Lines:
    """One plain line a look."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, status: Status) -> None:
        self._print(", ".join(told(status)))

    def miss(self, why: str) -> None:
        self._print(why)

    def _print(self, text: str) -> None:
        print(f"{_clock()} {printable(text)}", file=self._stream, flush=True)


def told(status: Status) -> Iterator[str]:
    """What there is to say in a line, the most important first."""
    done = sum(status.videos.values()) - status.videos["pending"]
    yield "complete" if finished(status) else "running" if status.writer else "not complete, and nobody writes"
    yield f"{status.partitions['done']:,} of {status.n_partitions:,} partitions"
    yield f"{done:,} of {status.n_videos:,} videos"
    yield f"{sum(status.clips.values()):,} clips"
    if status.clips_per_second_now is not None and status.clips_per_second is not None:
        yield f"{status.clips_per_second_now:.3g} clips/s now and {status.clips_per_second:.3g} on average"
    if dropped := status.clips["dropped"]:
        yield f"{dropped:,} dropped"
    if failed := sum(failure.count for failure in status.failures):
        yield f"failed: {failed:,}"
    if status.seconds_left is not None and not finished(status):
        yield f"about {span(status.seconds_left)} left"
    if status.writer:
        yield status.writer
    if status.unreadable:
        yield f"{len(status.unreadable):,} unreadable markers"


class Screen:
    """A picture of the run that is redrawn in its place."""

    def __init__(self, live: Live, draw: Draw, seconds: float) -> None:
        self._live, self._draw, self._seconds = live, draw, seconds
        self._blocks: tuple[RenderableType, ...] = ()

    def show(self, status: Status) -> None:
        self._blocks = (_bar(status), *map(Printable, self._draw(status)))
        self._update("complete" if finished(status) else f"every {span(self._seconds)}; Ctrl-C ends")

    def miss(self, why: str) -> None:
        self._update(why)

    def _update(self, foot: str) -> None:
        self._live.update(Group(*self._blocks, Text(f"{_clock()}  {printable(foot)}", style="dim")), refresh=True)


def _in_terminal(stream: TextIO, draw: Draw, seconds: float) -> Iterator[View]:
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        screen = Screen(live, draw, seconds)
        screen.miss("reading what is there")
        yield screen


def _bar(status: Status) -> Table:
    """Partitions as a bar, with the time that is left."""
    row = Table.grid(padding=(0, 1))
    done = status.partitions["done"]
    left = "" if status.seconds_left is None else f"about {span(status.seconds_left)} left"
    share = done / status.n_partitions if status.n_partitions else 1.0
    bar = ProgressBar(total=max(1, status.n_partitions), completed=done, width=40)
    row.add_row(bar, Text(f"{done:,} of {status.n_partitions:,} partitions, {share:.0%}"), Text(left))
    return row


def _clock() -> str:
    return time.strftime("%H:%M:%S")
