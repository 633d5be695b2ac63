"""Tells what a run yielded and cost, and leaves it in the output as `report.json`.

python -m jobs.report --output out/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.console import Parser, finish
from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.prices import Prices
    from jobs.report_fields import CostReport

PIPED_WIDTH = 160
OUTDATED_DAYS = 180
"""Age of a price table after which people are told."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.report",
        "Tell what a run yielded and cost so far, from its markers, and write it to report.json in the output.",
        "examples:\n"
        "  python -m jobs.report --output out/\n"
        "  python -m jobs.report --output s3://bucket/clips --prices my-prices.yaml --json\n"
        "\n"
        "Seconds are measured; dollars are those seconds on the machines of the price table. jobs/prices.yaml holds\n"
        "the default table: copy it, check it, and give yours with --prices. docs/cost.md explains every field.\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    add_prices(parser)
    parser.add_argument("--json", action="store_true", help="print report.json instead of tables")
    return finish(parser, argv, _report)


def add_prices(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """The option that every command with dollars has."""
    parser.add_argument(
        "--prices",
        type=Path,
        metavar="YAML",
        help="price table of machines, storage and tokens (default: jobs/prices.yaml)",
    )


@contextmanager
def left_behind(output: str, prices: Path | None) -> Iterator[None]:
    """Write `report.json` when the block, which runs a job on `output`, has ended, also by an error.

    A wrong price table is found before; afterwards nothing that goes wrong with the report ends anything else.
    """
    from jobs.prices import read_prices

    table = read_prices(prices)
    try:
        yield
    except ConfigurationError:
        raise  # nothing was started
    except BaseException:
        _leave(output, table)
        raise
    else:
        _leave(output, table)


def _leave(output: str, prices: Prices) -> None:
    from jobs.cost_report import report_of, write_report
    from store.objects import open_store
    from store.run_record import read_run

    try:
        store = open_store(output)
        if read_run(store) is not None and (report := report_of(store, prices)).partitions:
            write_report(store, report)
    except Exception as problem:
        print(f"report.json could not be written: {problem}", file=sys.stderr)


def _report(options: argparse.Namespace) -> int:
    from jobs.cost_report import report_of, write_report
    from jobs.prices import read_prices
    from store.objects import open_store

    store = open_store(options.output)
    report = report_of(store, read_prices(options.prices))
    if not report.partitions:
        raise ConfigurationError(f"{store.url} has no committed partition yet, so there is nothing to report")
    write_report(store, report)
    if options.json:
        print(report.model_dump_json(indent=2))
        return 0
    out = console(sys.stdout.isatty())
    for block in _blocks(report):
        out.print(block)
    return 0


def console(terminal: bool):
    """Where tables are printed: plain text, `PIPED_WIDTH` wide where nobody looks."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if terminal else PIPED_WIDTH)


def table(*headings: str, left: int = 1) -> Table:
    """A table in which all but the first `left` columns are numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD if headings else None, show_header=bool(headings), pad_edge=False)
    for number, heading in enumerate(headings or ("", "")):
        made.add_column(heading, justify="right" if headings and number >= left else "left", overflow="fold")
    return made


def dollars(amount: float | None) -> str:
    """An amount with two digits, more where it is small; "–" for None."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 1 or amount == 0 else f"${amount:.2g}"


def _blocks(report: CostReport) -> Iterator[Table | str]:
    yield f"{report.job} in {report.output}: {report.partitions:,} of {report.partitions_total:,} partitions"
    yield _facts(report)
    yield _gates(report)
    yield _operators(report)
    yield _dollars(report)
    yield price_line(report.priced.as_of, report.priced.source)


def price_line(as_of, source: str) -> str:
    """Where the prices come from, and whether they are old."""
    from datetime import UTC, datetime

    age = (datetime.now(UTC).date() - as_of).days
    old = f" They are {age:,} days old: check them." if age > OUTDATED_DAYS else ""
    return f"Prices of {as_of}: {source}{old}"


def _facts(report: CostReport) -> Table:
    from rich.filesize import decimal

    from jobs.progress import span

    total, made = report.total, table()
    made.add_row("videos", ", ".join(f"{count:,} {state}" for state, count in report.videos.items()))
    made.add_row("clips", ", ".join(f"{count:,} {state}" for state, count in report.clips.items()))
    made.add_row("footage", f"{report.video_hours:,.3g} h, {decimal(report.bytes_read)} read")
    made.add_row("written", decimal(report.bytes_written))
    made.add_row("at work", f"{total.cpu_seconds / 3600:,.3g} CPU-hours, {total.gpu_seconds / 3600:,.3g} GPU-hours")
    rates = [
        f"{rate:,.3g} h of video per {what}"
        for rate, what in (
            (total.video_hours_per_cpu_hour, "CPU-hour"),
            (total.video_hours_per_gpu_hour, "GPU-hour"),
            (total.video_hours_per_hour, "hour"),
        )
        if rate is not None
    ]
    made.add_row("pace", ", ".join(rates))
    took = f"{span(total.wall_seconds)} in {len(report.sessions):,} sessions"
    busy = [
        f"{share:.0%} of the {what} at work"
        for share, what in ((report.reserved.cpu_share, "CPUs"), (report.reserved.gpu_share, "GPUs"))
        if share is not None
    ]
    made.add_row("time", "; ".join([took, *busy]))
    if total.tokens_in or total.tokens_out:
        made.add_row("tokens", f"{total.tokens_in:,} in, {total.tokens_out:,} out")
    again = report.repeated
    if again.clips or again.partitions:
        made.add_row("repeated", f"{again.clips:,} clips, {again.partitions:,} partitions")
    if again.clips_unmetered:
        made.add_row("not metered", f"{again.clips_unmetered:,} clips that were taken over; their cost is not in here")
    return made


def _gates(report: CostReport) -> Table:
    made = table("gate", "why not", "entered", "passed", "share", left=2)
    for gate in report.gates:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in gate.dropped.items())
        share = "–" if gate.share is None else f"{gate.share:.1%}"
        made.add_row(gate.gate, reasons, f"{gate.entered:,}", f"{gate.passed:,}", share)
    return made


def _operators(report: CostReport) -> Table:
    made = table("operator", "clips", "ms a clip", "seconds", "CPU-seconds", "GPU-seconds", "on demand")
    for used in report.operators:
        each = "–" if used.ms_per_clip is None else f"{used.ms_per_clip:,.3g}"
        numbers = (f"{number:,.1f}" for number in (used.seconds, used.cpu_seconds, used.gpu_seconds))
        made.add_row(used.operator, f"{used.clips:,}", each, *numbers, dollars(used.dollars))
    return made


def _dollars(report: CostReport) -> Table:
    made = table("dollars", "total", "1,000 clips", "1,000 kept", "1,000 h of video", "as reserved", "storage a month")
    for cost in report.dollars:
        amounts = (
            cost.total,
            cost.per_1000_clips,
            cost.per_1000_clips_kept,
            cost.per_1000_video_hours,
            cost.reserved,
            cost.storage_month,
        )
        made.add_row(cost.market.replace("_", " "), *map(dollars, amounts))
    return made


if __name__ == "__main__":
    sys.exit(main())
