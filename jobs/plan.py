"""Predicts what a full collection would take, from a finished sample run: machines, hours, dollars, storage.

python -m jobs.plan --sample out/ --hours 27100
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jobs.console import Parser, finish
from jobs.report import add_prices, console, dollars, price_line, table
from jobs.terminal import printable_json
from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.fleet import Choice
    from jobs.forecast import Estimate
    from jobs.prediction import Prediction
    from jobs.prices import Prices

DEADLINES = (1.0, 3.0, 7.0, 30.0)
"""Days that are planned for where none are given."""

ROLES = ("cpu", "gpu", "head")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.plan",
        "Predict machines, hours, dollars and storage of a full collection from a finished sample run, and tell\n"
        "how wrong such predictions were on held-out parts of the sample. (A job's own --plan shows its operators.)",
        "examples:\n"
        "  python -m jobs.plan --sample out/ --hours 27100\n"
        "  python -m jobs.plan --sample out/ --hours 27100 --videos 285518 --days 3 --spot\n"
        "  python -m jobs.plan --sample s3://bucket/sample --hours 500 --machine cpu=c7i.4xlarge,gpu=g6.2xlarge\n"
        "\n"
        "how to make a sample: choose 100 videos or more at random, and run the job on them with the settings and\n"
        "the kind of machine that you want, with a --partition-size that gives 30 partitions. More partitions give\n"
        "narrower intervals; 8 are the least.\n",
    )
    what = parser.add_argument_group("what")
    what.add_argument("--sample", required=True, metavar="RUN", help="output of a finished run on a few of the videos")
    what.add_argument("--hours", required=True, type=float, metavar="H", help="hours of video of the full collection")
    what.add_argument("--videos", type=int, metavar="N", help="its number of videos (default: as many per hour)")
    how = parser.add_argument_group("machines and prices")
    add_prices(how)
    how.add_argument(
        "--machine",
        action="append",
        default=[],
        metavar="ROLE=NAME",
        help="machine of the price table for cpu, gpu or head; several with commas (default: the table's)",
    )
    how.add_argument("--days", type=float, metavar="D", help="deadline (default: several, to compare)")
    how.add_argument("--spot", action="store_true", help="workers on spot machines; the head stays on demand")
    how.add_argument(
        "--efficiency", type=float, metavar="SHARE", help="share of their time that machines work (default: 0.9)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return finish(parser, argv, _plan)


def _plan(options: argparse.Namespace) -> int:
    from jobs.fleet import EFFICIENCY
    from jobs.prediction import predict
    from jobs.prices import read_prices
    from store.objects import open_store

    prices = read_prices(options.prices)
    choice = read_machines(options.machine, prices, options.spot)
    efficiency = EFFICIENCY if options.efficiency is None else options.efficiency
    _positive("--hours", options.hours)
    if options.days is not None:
        _positive("--days", options.days)
    if options.videos is not None:
        _positive("--videos", options.videos)
    if not 0 < efficiency <= 1:
        raise ConfigurationError(f"--efficiency {efficiency:g}: a share of the time, more than 0 and at most 1")
    found = predict(
        open_store(options.sample),
        prices,
        hours=options.hours,
        videos=options.videos,
        choice=choice,
        days=DEADLINES if options.days is None else (options.days,),
        efficiency=efficiency,
    )
    if options.json:
        told = {**found.as_dict(), "prices_as_of": prices.as_of.isoformat(), "prices_source": prices.source}
        print(printable_json(told, indent=2))
        return 0
    out = console(sys.stdout.isatty())
    for block in _blocks(found, prices):
        out.print(block)
    return 0


def _positive(option: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ConfigurationError(f"{option} {value:g}: must be more than 0")


def read_machines(texts: Sequence[str], prices: Prices, spot: bool) -> Choice:
    """The machines that `--machine cpu=NAME,gpu=NAME` names, and the table's own for the other roles.

    Raises `ConfigurationError` for a role or a machine that there is not, naming the nearest.
    """
    from jobs.configuration import nearest
    from jobs.fleet import Choice

    named = {"cpu": prices.cpu_machine, "gpu": prices.gpu_machine, "head": prices.head_machine}
    for text in [part for whole in texts for part in whole.split(",")]:
        role, equals, name = text.strip().partition("=")
        if not equals:
            raise ConfigurationError(f"--machine {text!r:.100}: write it as cpu=NAME, gpu=NAME or head=NAME")
        if role not in ROLES:
            raise ConfigurationError(f"--machine {text!r:.100}: there is no role {role!r}.{nearest(role, ROLES)}")
        prices.machine(name)
        named[role] = name
    return Choice(**named, market="spot" if spot else "on_demand")


def _blocks(found: Prediction, prices: Prices) -> Iterator[Table | str]:
    yield (
        f"{found.hours:,g} hours of video in {found.videos:,.0f} videos, as {found.job} from {found.sample}: "
        f"{found.partitions:,} partitions, {found.sample_videos:,} videos, {found.sample_hours:,.3g} h"
    )
    yield _operators(found)
    yield _totals(found)
    yield _deadlines(found)
    yield _once(found)
    for doubt in found.doubts:
        yield f"CAREFUL: {doubt}"
    yield "It is assumed that:"
    for line in found.assumptions:
        yield f"  - {line}"
    yield price_line(prices.as_of, prices.source)


def _operators(found: Prediction) -> Table:
    made = table("operator", "s per h of video", "90 %", "ms a clip", "90 %", "share", "held-out error", "worst")
    for operator in found.operators:
        hour, clip = operator.seconds_per_video_hour, operator.ms_per_clip
        kind = f"{operator.share:.0%} of {'GPU' if operator.gpus else 'CPU'}"
        made.add_row(operator.operator, *_told(hour), *_told(clip), kind, *_errors(hour))
    return made


def _totals(found: Prediction) -> Table:
    made = table("in all", "predicted", "90 %", "held-out error", "worst")
    units = {"cpu_seconds": ("CPU-hours", 1 / 3600), "gpu_seconds": ("GPU-hours", 1 / 3600),
             "bytes_read": ("GB read", 1 / (1 << 30)), "bytes_written": ("GB of rows", 1 / (1 << 30))}  # fmt: skip
    for name, estimate in found.totals.items():
        unit, factor = units.get(name, (name.replace("_", " "), 1.0))
        made.add_row(unit, *_told(estimate.times(factor)), *_errors(estimate))
    return made


def _deadlines(found: Prediction) -> Table:
    cpu, gpu = found.machines.cpu, found.machines.gpu
    made = table("days", cpu, gpu, "hours", "waits for", "machines", "90 %", left=0)
    for fleet in found.deadlines:
        low, high = dollars(fleet.dollars.low), dollars(fleet.dollars.high)
        made.add_row(
            f"{fleet.days:g}",
            f"{fleet.cpu_nodes:,}",
            f"{fleet.gpu_nodes:,}",
            f"{fleet.hours:,.1f}",
            fleet.bottleneck.upper(),
            dollars(fleet.dollars.value),
            f"{low} – {high}",
        )
    return made


def _once(found: Prediction) -> Table:
    kept, made = found.storage, table("beside the machines", "amount", "dollars")
    media = "rows, keyframes and sound" if kept.media_kept else "rows (media are not kept)"
    made.add_row(f"storage a month: {media}", f"{kept.gb.value:,.3g} GB", dollars(kept.dollars_month))
    requests = f"{kept.writes:,.0f} writes, {kept.reads:,.0f} reads"
    made.add_row("requests to the object store", requests, dollars(kept.dollars_requests))
    made.add_row("taking the data set out of the region", f"{kept.gb.value:,.3g} GB", dollars(kept.dollars_egress))
    if found.token_dollars:
        made.add_row("tokens of servers", "", dollars(found.token_dollars))
    return made


def _told(estimate: Estimate) -> tuple[str, str]:
    return _number(estimate.value), f"{_number(estimate.low)} – {_number(estimate.high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _errors(estimate: Estimate) -> tuple[str, str]:
    if estimate.error_median is None or estimate.error_worst is None:
        return "–", "–"
    return f"{estimate.error_median:.1%}", f"{estimate.error_worst:.1%}"


if __name__ == "__main__":
    sys.exit(main())
