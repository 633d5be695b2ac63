"""Fetches, checks and lists the models that a preset of a job needs.

python -m jobs.models --preset base
python -m jobs.models --job gesx --preset lite
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.console import FAILED, Parser, finish
from jobs.registry import JOBS, job_named

if TYPE_CHECKING:
    from rich.table import Table

    from jobs.command import Job
    from jobs.model_states import ModelState, Wanted
    from operators.contract import Operator

PIPED_WIDTH = 240
SHOWN_DIGITS = 12  # of a commit; the JSON has all
OFFLINE = "HF_HUB_OFFLINE"


def main(argv: Sequence[str] | None = None, job: Job | None = None) -> int:
    """Run the command line `argv` and return its exit code; `job` stands in for the one that it names."""
    return finish(_parser(), argv, lambda options: _models(job or job_named(options.job), options))


def _models(job: Job, options: argparse.Namespace) -> int:
    from jobs.model_states import wanted_models

    wanted = wanted_models(_chain(job, options))
    with _offline(options.offline):
        states = [_handle(one, options) for one in wanted]
    if options.json:
        whole = all(state.state == "whole" for state in states)
        print(json.dumps({"whole": whole, "models": [state.as_dict() for state in states]}, indent=2))
    else:
        _print(states, options.preset)
    return 0 if all(state.state == "whole" for state in states) else FAILED


def _chain(job: Job, options: argparse.Namespace) -> list[Operator]:
    from jobs.configuration import resolve

    preset = job.preset(options.preset)
    configuration = resolve(preset.operators(), preset=preset.settings, file=options.config, assignments=options.set)
    return configuration.chain()


def _handle(wanted: Wanted, options: argparse.Namespace) -> ModelState:
    from jobs.model_states import fetch, look
    from store.models import S3Models

    if options.list:
        return look(wanted, S3Models())
    if options.verify:
        return look(wanted, S3Models(), read_all=True)
    return fetch(wanted, S3Models(), _say)


@contextmanager
def _offline(wanted: bool) -> Iterator[None]:
    """Forbid the network to hubs while the block runs."""
    before = os.environ.get(OFFLINE)
    if wanted:
        os.environ[OFFLINE] = "1"
    try:
        yield
    finally:
        if wanted and before is None:
            del os.environ[OFFLINE]
        elif wanted and before is not None:
            os.environ[OFFLINE] = before


def _print(states: Sequence[ModelState], preset: str) -> None:
    from rich.console import Console
    from rich.filesize import decimal

    from jobs.model_states import total_size

    if not states:
        print(f"preset {preset} needs no models")
        return
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    console.print(_table(states))
    for state in states:
        if state.problem:
            console.print(f"{state.state}: {_of_setting(state)}", soft_wrap=True)
    whole = sum(state.state == "whole" for state in states)
    console.print(f"{whole} of {len(states)} models are whole, {decimal(total_size(states))} on this machine")


def _of_setting(state: ModelState) -> str:
    return state.problem if state.problem.startswith(f"{state.setting}: ") else f"{state.setting}: {state.problem}"


def _table(states: Sequence[ModelState]) -> Table:
    from rich import box
    from rich.filesize import decimal
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("setting", "model", "pinned", "licence", "size", "state", "role", "where"):
        long = heading in ("model", "role", "where")
        table.add_column(heading, justify="right" if heading == "size" else "left", overflow="fold", no_wrap=not long)
    for state in states:
        name, at, commit = state.model.partition("@")
        table.add_row(
            state.setting,
            f"{name}{at}{commit[:SHOWN_DIGITS]}",
            "yes" if state.pinned else "no",
            state.licence,
            "?" if state.size is None else decimal(state.size),
            state.state,
            state.role,
            state.where,
        )
    return table


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> Parser:
    parser = Parser(
        "jobs.models",
        "Fetch what is missing of the models that a preset needs, check all of them, and list them.",
        "examples:\n"
        "  python -m jobs.models --preset base                     fetch what is missing\n"
        "  python -m jobs.models --preset base --list              only look\n"
        "  python -m jobs.models --preset base --set speech.model=large-v3-turbo\n"
        "  python -m jobs.models --job gesx --preset lite          another job's\n"
        "\n"
        "exit code:\n"
        "  0  every model is whole on this machine\n"
        "  1  one is missing or damaged, or could not be fetched\n"
        "  2  the command or the configuration is wrong\n",
    )
    parser.add_argument("--job", default="mmtrail", metavar="NAME", help=f"{', '.join(JOBS)} (default: mmtrail)")
    parser.add_argument("--preset", default="base", metavar="NAME", help="preset of the job (default: base)")
    parser.add_argument("--config", type=Path, metavar="YAML", help="file with a section for each operator")
    parser.add_argument(
        "--set", action="append", default=[], metavar="OPERATOR.FIELD=VALUE", help="one setting; repeatable"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--fetch", action="store_true", help="fetch what is missing or damaged (the default)")
    what.add_argument("--list", action="store_true", help="only look: names, headers and sizes; fetch nothing")
    what.add_argument("--verify", action="store_true", help="read every byte and compare digests; fetch nothing")
    parser.add_argument("--offline", action="store_true", help="keep off the network, as HF_HUB_OFFLINE=1 does")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
