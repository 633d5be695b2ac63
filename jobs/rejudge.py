"""Applies other tier thresholds to the scores that a run stored; decodes nothing.

python -m jobs.rejudge --output out/ --set tiers.hq.min_height=480
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.console import Parser, finish
from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from jobs.configuration import Configuration
    from operators.contract import Operator
    from store.run_record import RunRecord

TIERS = "tiers"
"""The operator whose verdicts need nothing but stored scores."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.rejudge",
        "Give every clip its tier anew, from stored scores. Thresholds start from those of the run.",
        "examples:\n"
        "  python -m jobs.rejudge --output out/ --set tiers.hq.min_height=480\n"
        "  python -m jobs.rejudge --output out/ --set tiers.visual.min_motion=0.1 --plan\n"
        "  python -m jobs.rejudge --output out/               back to the run's own thresholds\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    parser.add_argument("--config", type=Path, metavar="YAML", help="file with a section 'tiers'")
    parser.add_argument(
        "--set", action="append", default=[], metavar="tiers.FIELD=VALUE", help="one threshold; repeatable"
    )
    parser.add_argument("--plan", action="store_true", help="print the thresholds, and stop")
    parser.add_argument("--take-over", action="store_true", help="write although a run holds the output")
    return finish(parser, argv, _run)


def _run(options: argparse.Namespace) -> int:
    from jobs.plain_yaml import dump_yaml
    from store.reader import open

    dataset = open(options.output)
    configuration = _configuration(dataset.run, options)
    if options.plan:
        print(dump_yaml({TIERS: configuration.operator_settings()[TIERS]}), end="")
        return 0
    from operators.video.tiers import verdict
    from pipeline.rejudge import rejudge

    thresholds: Any = configuration.operators[TIERS]

    def judge(row: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
        found = verdict(row, thresholds)
        return found.tier, found.drop_reason, found.hq_drop_reason

    done = rejudge(dataset.store, judge, annotated_by=_after_tiers(configuration.classes), take_over=options.take_over)
    tiers = ", ".join(f"{tier} {count:,}" for tier, count in done.tiers.items()) or "none"
    print(f"{done.clips:,} clips judged, {done.changed:,} other than when they were made; tiers: {tiers}")
    if done.not_annotated:
        print(
            f"{done.not_annotated:,} clips would be kept, but were dropped before their annotation: they stay dropped"
        )
        print("as not_annotated. A new run with these thresholds and --reuse annotates them.")
    return 0


def _configuration(run: RunRecord, options: argparse.Namespace) -> Configuration:
    """The run's own configuration with the options' thresholds. Refuses to change anything else."""
    from jobs.configuration import resolve

    classes = _operators(run)
    own = {kind.name: run.config[kind.name] for kind in classes if kind.name in run.config}
    found = resolve(classes, preset=own, file=options.config, assignments=options.set)
    kept = resolve(classes, preset=own)
    for name, settings in found.operators.items():
        if name != TIERS and settings != kept.operators[name]:
            raise ConfigurationError(
                f"{name} needs the videos; only {TIERS} can be applied to stored scores. "
                f"Start a new run with --reuse instead: it runs only what changed"
            )
    return found


def _operators(run: RunRecord) -> Sequence[type[Operator]]:
    """The classes that made the run. Raises `ConfigurationError` where this version does not have them."""
    from jobs.registry import JOBS, job_named

    names = [operator.name for operator in run.operators]
    if TIERS not in names:
        raise ConfigurationError(
            f"the run of {run.job} gave no tiers: its operators are {', '.join(names)}. To change what else drops "
            "clips, start a new run with --reuse: it runs only what changed"
        )
    for preset in job_named(run.job).presets.values() if run.job in JOBS else ():
        classes = preset.operators()
        if [kind.name for kind in classes] == names:
            return classes
    raise ConfigurationError(f"no preset of {run.job} in this version has the operators {', '.join(names)}")


def _after_tiers(classes: Sequence[type[Operator]]) -> frozenset[str]:
    """Operators that see only what the tiers kept."""
    names = [kind.name for kind in classes]
    return frozenset(names[names.index(TIERS) + 1 :])


if __name__ == "__main__":
    sys.exit(main())
