"""The command line that every job has. A job gives its presets; see `jobs/mmtrail.py`."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jobs.console import Parser, finish
from jobs.report import add_prices
from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from jobs.configuration import Configuration
    from operators.contract import Operator
    from pipeline.opening import Run
    from pipeline.progress import Progress, Summary

Execute = Callable[["Run", Callable[["Progress"], None]], "Summary"]

SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"

RUN_FLAGS = ("partition_size", "limit", "media", "cpus", "address")
"""Settings of the section `run` that have an option of their own."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A list of operators, top to bottom, and the settings in which it differs from their defaults.

    `operators` is called only when the list is needed: importing operators takes longer than `--help` may.
    """

    summary: str
    operators: Callable[[], Sequence[type[Operator]]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What `python -m jobs.<name>` runs.

    `preview`, where a job has one, takes an output and a number, and writes that many of its clips as videos
    to look at; `examples` are lines of its own for `--help`; `shown` and `then` are columns and commands that
    a finished run proposes (`jobs.summary.summary_lines`).
    """

    name: str
    summary: str
    presets: Mapping[str, Preset]
    preview: Callable[[str, int], Iterable[Path]] | None = None
    examples: Sequence[str] = ()
    shown: Sequence[str] = ("clip_id", "tier", "merge_caption")
    then: Mapping[str, str] = field(default_factory=dict)

    def preset(self, name: str) -> Preset:
        """The preset of this name. Raises `ConfigurationError` naming those that there are."""
        from jobs.configuration import nearest

        if name in self.presets:
            return self.presets[name]
        raise ConfigurationError(f"there is no preset {name!r}.{nearest(name, self.presets)}")


def run_job(job: Job, argv: Sequence[str] | None = None, execute: Execute | None = None) -> int:
    """Run the command line `argv` (the process's own when None) and return its exit code.

    `execute` runs the job, `pipeline.run.execute` when None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    again = f"Nothing that was committed is lost. To go on, run the same command again:\n  {_command(job, words)}"
    return finish(
        _parser(job),
        words,
        lambda options: _run(job, options, execute),
        on_interrupt=lambda: f"Stopped. {again}",
    )


def _command(job: Job, words: Sequence[str]) -> str:
    return shlex.join(["python", "-m", f"jobs.{job.name}", *words])


def _run(job: Job, options: argparse.Namespace, execute: Execute | None) -> int:
    from jobs.configuration import resolve
    from jobs.plain_yaml import PlainYamlError, load_yaml

    if job.preview is not None and options.preview is not None:
        return _write_previews(job.preview, options)
    preset = job.preset(options.preset)
    classes = preset.operators()
    flags: dict[str, Any] = {}
    for name in RUN_FLAGS:
        if (written := getattr(options, name)) is not None:
            try:
                flags[name] = load_yaml(written)
            except PlainYamlError as problem:
                raise ConfigurationError(f"--{name.replace('_', '-')}: {problem}") from None
    if options.help_settings is not None:
        return _print_settings(classes, options.help_settings)
    assignments = [*_on_device(job, classes, options), *options.set]
    configuration = resolve(classes, preset=preset.settings, file=options.config, assignments=assignments, flags=flags)
    if options.show_config:
        print(
            f"# {job.name}, preset {options.preset}; use it with --config", configuration.to_yaml(), sep="\n", end=""
        )
        return 0
    return _process(job, _as_run(job, options, configuration), options, execute)


def _write_previews(preview: Callable[[str, int], Iterable[Path]], options: argparse.Namespace) -> int:
    if not options.output:
        raise ConfigurationError("--preview looks at a run that there is: name it with --output")
    if options.preview < 1:
        raise ConfigurationError(f"--preview {options.preview}: how many clips to look at, 1 or more")
    for video in preview(options.output, options.preview):
        print(video)
    return 0


def _on_device(job: Job, classes: Sequence[type[Operator]], options: argparse.Namespace) -> list[str]:
    """`--device` as a setting of every operator that runs a model."""
    if options.device is None:
        return []
    modelled = [kind.name for kind in classes if "device" in kind.Settings.model_fields]
    if not modelled:
        raise ConfigurationError(f"--device: no operator of preset {options.preset} runs a model on a device")
    return [f"{name}.device={options.device}" for name in modelled]


def _as_run(job: Job, options: argparse.Namespace, configuration: Configuration) -> Run:
    from pipeline.cluster import Wishes
    from pipeline.opening import Run

    if missing := [f"--{name}" for name in ("input", "output") if not getattr(options, name)]:
        raise ConfigurationError(f"{' and '.join(missing)} must be given, e.g. --input videos/ --output out/")
    source, output = _place(options.input), _place(options.output)
    if source == output:
        raise ConfigurationError("--output must not be the input's folder; give another, e.g. --output out/")
    _refuse_lost_places(options)
    settings = configuration.run
    return Run(
        job=job.name,
        input=source,
        output=output,
        chain=configuration.chain(),
        config=configuration.operator_settings(),
        partition_size=settings.partition_size,
        limit=settings.limit,
        keep_media=settings.media == "keep",
        cpus=settings.cpus,
        address=settings.address,
        lease_term=settings.lease_term,
        stall_seconds=settings.stall_seconds,
        wishes=Wishes(placement=settings.placement, max_cpus=settings.max_cpus, max_gpus=settings.max_gpus),
        retry_failed=options.retry_failed,
        append=options.append,
        reuse=_place(options.reuse) if options.reuse else None,
        take_over=options.take_over,
    )


def _refuse_lost_places(options: argparse.Namespace) -> None:
    """Under `ray job submit` a relative path lies in a copy of the submitter's folder that Ray throws away.

    A manifest may lie there: the driver alone reads it. The variable is what Ray's job server sets for drivers.
    """
    if SUBMITTED not in os.environ:
        return
    for option, where in (("--output", options.output), ("--input", options.input), ("--reuse", options.reuse)):
        if where and "://" not in where and not Path(where).is_absolute() and not Path(where).is_file():
            raise ConfigurationError(
                f"{option} {where}: a submitted job works in a copy of your folder, which no other node has and Ray "
                "throws away; give s3://bucket/prefix, or the whole path of a folder that every node sees"
            )


def _place(where: str) -> str:
    """A folder, file or prefix by one name, however it was typed: run.json holds it, and compares it."""
    if where.startswith("file:///"):
        where = unquote(where.removeprefix("file://"))
    return where.rstrip("/") if "://" in where else str(Path(where).resolve())


def _process(job: Job, run: Run, options: argparse.Namespace, execute: Execute | None) -> int:
    if options.plan:
        from pipeline.plan import cluster_lines, plan

        planned = plan(run)
        print(*planned.lines(run.wishes.placement), *cluster_lines(planned, run), sep="\n")
        return 0
    from jobs.progress import open_display
    from jobs.report import left_behind
    from jobs.summary import summary_lines

    if execute is None:
        from pipeline import run as engine

        execute = engine.execute
    with left_behind(run.output, options.prices), open_display(sys.stderr) as display:
        summary = execute(run, display.update)
    print(*summary_lines(summary, job.shown, job.then), sep="\n")
    return summary.exit_code


def _print_settings(classes: Sequence[type[Operator]], wanted: str) -> int:
    from jobs.configuration import RUN, RunSettings, nearest
    from jobs.setting_names import settings_of

    sections = {RUN: RunSettings, **{kind.name: kind.Settings for kind in classes}}
    if wanted and wanted not in sections:
        raise ConfigurationError(f"no operator is called {wanted!r}.{nearest(wanted, sections)}")
    meanings = {kind.name: (kind.__doc__ or "").strip().split("\n")[0] for kind in classes}
    for name in [wanted] if wanted else sections:
        print(f"{name}: {meanings.get(name, 'How the job runs; changes no row.')}")
        for setting in settings_of(name, sections[name]):
            allowed = f"{setting.kind}, {setting.bounds}" if setting.bounds else setting.kind
            print(
                f"  --set {setting.name}={shlex.quote(setting.default)}",
                f"      {setting.meaning} ({allowed})",
                sep="\n",
            )
        print()
    return 0


def _parser(job: Job) -> Parser:
    module = f"jobs.{job.name}"
    parser = Parser(
        module,
        job.summary,
        _EXAMPLES.format(
            command=f"python -m {module}",
            status="python -m jobs.status",
            own="".join(f"  {line}\n" for line in job.examples),
        ),
    )
    presets = "; ".join(f"{name}: {preset.summary}" for name, preset in job.presets.items())
    data = parser.add_argument_group("what and where")
    data.add_argument("--input", metavar="WHERE", help="folder, s3:// prefix, or a .csv, .jsonl or .parquet manifest")
    data.add_argument("--output", metavar="WHERE", help="folder or s3://bucket/prefix of the data set")
    data.add_argument("--limit", metavar="N", help="process only the first N videos")
    data.add_argument("--media", metavar="keep", help="'keep' also writes keyframes and audio; 'drop' is the default")
    how = parser.add_argument_group("configuration (later ones win)")
    how.add_argument("--preset", default="lite", metavar="NAME", help=f"{presets} (default: lite)")
    how.add_argument("--config", type=Path, metavar="YAML", help="file with a section for each operator")
    how.add_argument(
        "--set", action="append", default=[], metavar="OPERATOR.FIELD=VALUE", help="one setting; repeatable"
    )
    how.add_argument("--partition-size", metavar="N", help="videos committed together (default: 64)")
    again = parser.add_argument_group("going on")
    again.add_argument(
        "--retry-failed", action="store_true", help="run failed videos and clips, and parked partitions, again"
    )
    again.add_argument(
        "--append", action="store_true", help="add the videos of --input that the run at --output does not have yet"
    )
    again.add_argument("--reuse", metavar="RUN", help="take over what an earlier run's output already holds")
    again.add_argument("--take-over", action="store_true", help="write although another run holds the output")
    look = parser.add_argument_group("looking without running")
    look.add_argument("--plan", action="store_true", help="check and print the chain of operators, and stop")
    look.add_argument("--show-config", action="store_true", help="print the resolved configuration as YAML, and stop")
    look.add_argument("--help-settings", nargs="?", const="", metavar="OPERATOR", help="list every setting, and stop")
    if job.preview is not None:
        look.add_argument(
            "--preview", type=int, metavar="N", help="write N clips of --output as videos to look at, and stop"
        )
    machine = parser.add_argument_group("machine")
    add_prices(machine)
    machine.add_argument("--cpus", metavar="N", help="CPUs to use on this machine (default: all)")
    machine.add_argument("--device", metavar="NAME", help="where models run: auto (default), cuda, mps or cpu")
    machine.add_argument("--address", metavar="RAY", help="Ray cluster to join (default: start one here)")
    return parser


_EXAMPLES = """\
examples:
  {command} --input videos/ --output out/
  {command} --input s3://bucket/videos/ --output s3://bucket/clips/ --limit 10
  {command} --input more/ --output out/ --append
{own}  {command} --show-config > my.yaml        then edit it, and give it with --config my.yaml
  {status} --output out/                   what is done, what failed and why

Running the same command again goes on where the last one stopped.

A partition that fails three times is parked: the others complete, the run exits with 1 and says why.

A run can grow: --append adds those videos of --input whose video_id the run does not have, as new partitions.
What is committed is neither read nor done again. The settings must be those of the run; its partition size
applies. Give the folder that has more videos now, or another input.

exit code:
  0  every input is accounted for and at least one partition is committed
  1  something could not be committed
  2  the command or the configuration is wrong
"""
