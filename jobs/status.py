"""Tells how a run stands: partitions, rates, what was dropped, what failed and why.

python -m jobs.status --output out/ [--watch]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.console import Parser, finish
from jobs.terminal import Printable, printable_json
from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from store.status import Status

SHOWN_FAILURES = 20
SHOWN_MARKERS = 10
PIPED_WIDTH = 160

INTERVAL = 10.0
SHORTEST, LONGEST = 1.0, 86400.0
"""Seconds between two looks of --watch; fewer would only load the storage."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.status",
        "Tell how a run stands, from its markers alone; a run at work is not disturbed.",
        "examples:\n"
        "  python -m jobs.status --output out/\n"
        "  python -m jobs.status --output s3://bucket/clips --json\n"
        "  python -m jobs.status --output out/ --watch         again every 10 s, until the run is complete\n"
        "  python -m jobs.status --output out/ --watch 60 --json >> log.jsonl\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    parser.add_argument(
        "--json", action="store_true", help="print everything as one JSON object; with --watch one a line"
    )
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=INTERVAL,
        metavar="SECONDS",
        help=f"look again every SECONDS ({INTERVAL:g}) until the run is complete; reads only what is new",
    )
    return finish(parser, argv, _status)


def _status(options: argparse.Namespace) -> int:
    from jobs.watch import open_view, watch
    from store.objects import open_store
    from store.status import scan

    if options.watch is not None:
        if not SHORTEST <= options.watch <= LONGEST:
            raise ConfigurationError(f"--watch {options.watch:g}: give {SHORTEST:g} to {LONGEST:g} seconds")
        with open_view(sys.stdout, _blocks, options.watch, options.json) as view:
            return watch(open_store(options.output), view, options.watch)
    status = scan(open_store(options.output))
    if options.json:
        print(printable_json(status.as_dict(), indent=2))
        return 0
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    for block in _blocks(status):
        console.print(Printable(block))
    return 0


def _blocks(status: Status) -> Iterator[Table | str]:
    yield f"{status.job} of {status.input} → {status.output}"
    yield _facts(status)
    if status.drop_reasons or status.hq_drop_reasons:
        yield _reasons(status)
    if status.failures:
        yield _failures(status)
    if status.operators:
        yield _operators(status)
    for line in status.unreadable[:SHOWN_MARKERS]:
        yield f"unreadable marker: {line}"
    if len(status.unreadable) > SHOWN_MARKERS:
        yield f"… and {len(status.unreadable) - SHOWN_MARKERS:,} more; run python -m jobs.verify"


def _facts(status: Status) -> Table:
    from rich.filesize import decimal

    from jobs.progress import span
    from store.run_record import span_of

    table = _table()
    table.add_row("state", _state(status))
    table.add_row("partitions", f"{_tally(status.partitions)} of {status.n_partitions:,}")
    table.add_row("videos", f"{_tally(status.videos)} of {status.n_videos:,}")
    for append in status.appended:
        partitions = span_of(append.first_partition, append.n_partitions)
        table.add_row("appended", f"{append.n_videos:,} videos of {append.input} as {partitions}")
    table.add_row("clips", _tally(status.clips))
    if status.tiers:
        table.add_row("tiers", _tally(status.tiers))
    if status.video_seconds:
        table.add_row("footage", f"{span(status.video_seconds)}, {decimal(status.bytes_read)}")
    if status.clips_per_second is not None and status.videos_per_second is not None:
        pace = f"{status.clips_per_second:.3g} clips/s, {status.videos_per_second:.3g} videos/s"
        table.add_row("pace", f"{pace}, over {span(status.active_seconds)} of work")
    if status.writer and status.clips_per_second_now is not None and status.videos_per_second_now is not None:
        pace = f"{status.clips_per_second_now:.3g} clips/s, {status.videos_per_second_now:.3g} videos/s"
        left = "" if status.seconds_left is None else f"; about {span(status.seconds_left)} left"
        table.add_row("pace now", f"{pace}, over the last {span(status.recent.seconds)}{left}")
    for failures in status.parked[:SHOWN_MARKERS]:
        table.add_row(
            "parked", f"partition {failures.partition}, after {failures.failures} failures: {failures.reason}"
        )
    if len(status.parked) > SHOWN_MARKERS:
        table.add_row("", f"and {len(status.parked) - SHOWN_MARKERS:,} more")
    if status.parked:
        table.add_row("", "the same command with --retry-failed tries parked partitions again")
    if status.with_failures:
        table.add_row("failures", f"in {status.with_failures:,} partitions; --retry-failed tries them again")
    return table


def _state(status: Status) -> str:
    if status.writer:
        return f"running: {status.writer}"
    if status.complete:
        return "complete"
    return "not complete, and nobody writes; run the same command again to go on"


def _reasons(status: Status) -> Table:
    table = _table("why clips were dropped, or kept out of hq", "dropped", "not hq")
    for reason in dict.fromkeys([*status.drop_reasons, *status.hq_drop_reasons]):
        table.add_row(reason, f"{status.drop_reasons.get(reason, 0):,}", f"{status.hq_drop_reasons.get(reason, 0):,}")
    return table


def _failures(status: Status) -> Table:
    table = _table("operator", "what failed", "count", "for example")
    for failure in status.failures[:SHOWN_FAILURES]:
        table.add_row(failure.operator, failure.kind, f"{failure.count:,}", failure.example)
    return table


def _operators(status: Status) -> Table:
    tokens = any(tally.tokens_in or tally.tokens_out for tally in status.operators.values())
    headings = ("operator", "clips", "seconds", "seconds a clip", *(("tokens in", "tokens out") if tokens else ()))
    table = _table(*headings)
    for name, tally in status.operators.items():
        each = f"{tally.seconds / tally.clips:.3g}" if tally.clips else ""
        cells = (name, f"{tally.clips:,}", f"{tally.seconds:,.1f}", each)
        table.add_row(*cells, *((f"{tally.tokens_in:,}", f"{tally.tokens_out:,}") if tokens else ()))
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if headings else None, show_header=bool(headings), pad_edge=False)
    numeric = {"count", "clips", "seconds", "seconds a clip", "tokens in", "tokens out", "dropped", "not hq"}
    for heading in headings or ("", ""):
        table.add_column(heading, justify="right" if heading in numeric else "left", overflow="fold")
    return table


def _tally(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main())
