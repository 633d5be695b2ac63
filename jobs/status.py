"""Tells how a run stands: partitions, rates, what was dropped, what failed and why.

python -m jobs.status --output out/
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.console import Parser, finish
from jobs.terminal import Printable

if TYPE_CHECKING:
    from rich.table import Table

    from store.status import Status

SHOWN_FAILURES = 20
SHOWN_MARKERS = 10
PIPED_WIDTH = 160


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.status",
        "Tell how a run stands, from its markers alone; a run at work is not disturbed.",
        "examples:\n"
        "  python -m jobs.status --output out/\n"
        "  python -m jobs.status --output s3://bucket/clips --json\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return finish(parser, argv, _status)


def _status(options: argparse.Namespace) -> int:
    from store.objects import open_store
    from store.status import scan

    status = scan(open_store(options.output))
    if options.json:
        print(json.dumps(status.as_dict(), indent=2, ensure_ascii=False))
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

    table = _table()
    table.add_row("state", _state(status))
    table.add_row("partitions", f"{_tally(status.partitions)} of {status.n_partitions:,}")
    table.add_row("videos", f"{_tally(status.videos)} of {status.n_videos:,}")
    table.add_row("clips", _tally(status.clips))
    if status.tiers:
        table.add_row("tiers", _tally(status.tiers))
    if status.video_seconds:
        table.add_row("footage", f"{span(status.video_seconds)}, {decimal(status.bytes_read)}")
    if status.clips_per_second is not None and status.videos_per_second is not None:
        pace = f"{status.clips_per_second:.3g} clips/s, {status.videos_per_second:.3g} videos/s"
        table.add_row("pace", f"{pace}, over {span(status.active_seconds)} of work")
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
    table = _table("operator", "clips", "seconds", "seconds a clip")
    for name, tally in status.operators.items():
        each = f"{tally.seconds / tally.clips:.3g}" if tally.clips else ""
        table.add_row(name, f"{tally.clips:,}", f"{tally.seconds:,.1f}", each)
    return table


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD if headings else None, show_header=bool(headings), pad_edge=False)
    numeric = {"count", "clips", "seconds", "seconds a clip", "dropped", "not hq"}
    for heading in headings or ("", ""):
        table.add_column(heading, justify="right" if heading in numeric else "left", overflow="fold")
    return table


def _tally(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


if __name__ == "__main__":
    sys.exit(main())
