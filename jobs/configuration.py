"""A job's configuration: defaults, then the preset, then `--config my.yaml`, then `--set operator.field=value`.

    configuration = resolve(operators, preset={"shots": {"threshold": 27}}, file=Path("my.yaml"),
                            assignments=["tiers.hq.min_height=480", "run.limit=10"])
    chain = configuration.chain()

The YAML file has one section for each operator, under its name, and one for the run::

    run:   {partition_size: 16}
    tiers: {hq: {min_height: 480}}
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from jobs.plain_yaml import PlainYamlError, dump_yaml, load_yaml
from jobs.setting_names import nested_model, problem_in_words
from operators.contract import Operator, Settings
from operators.errors import ConfigurationError

FILE_LIMIT = 1 << 20
"""Bytes of a configuration file; a larger one is a mistake."""


class RunSettings(Settings):
    """How the job runs. None of these changes what a row holds."""

    partition_size: int = Field(64, ge=1, le=100_000, description="videos committed together")
    limit: int | None = Field(None, ge=1, description="process only the first N videos of the input")
    media: Literal["drop", "keep"] = Field("drop", description="whether keyframes and audio are written to the shards")
    cpus: int | None = Field(None, ge=1, le=4096, description="CPUs to use on this machine; all where not given")
    address: str | None = Field(None, description="Ray cluster to join; a local one is started where not given")
    placement: Literal["auto", "separate", "shared", "one_box"] = Field(
        "auto",
        description="which nodes run what. separate: stages without a GPU stay off nodes with one, and the head of "
        "the cluster runs no stage; nodes labelled rushes/role=decode and rushes/role=models are taken at their word. "
        "shared: stages without a GPU may also run on nodes with one. one_box: every node runs everything, the head "
        "too. auto: one_box on a single machine, separate on a cluster",
    )
    max_cpus: int | None = Field(
        None,
        ge=0,
        description="CPUs that the cluster may grow to on nodes without a GPU; asked of Ray's autoscaler where "
        "neither this nor max_gpus is given, and needed where it cannot be asked (Kubernetes)",
    )
    max_gpus: int | None = Field(None, ge=0, description="GPUs that the cluster may grow to; see max_cpus")
    lease_term: float = Field(30.0, ge=1, le=3600, description="seconds until a silent writer has lost its output")
    stall_seconds: float = Field(
        1800.0, ge=1, description="seconds without any progress or sign of it after which the run fails and says why"
    )


RUN = "run"
"""The section of `RunSettings`; no operator may have this name."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """Resolved and checked settings: of the run, and of every operator by its name, in chain order."""

    run: RunSettings
    operators: Mapping[str, Settings]
    classes: Sequence[type[Operator]]

    def chain(self) -> list[Operator]:
        """The operators, configured and not yet set up."""
        return [kind(self.operators[kind.name]) for kind in self.classes]

    def operator_settings(self) -> dict[str, Any]:
        """Every operator's settings that a row can depend on, as JSON values, by name."""
        return {name: settings.identity() for name, settings in self.operators.items()}

    def to_yaml(self) -> str:
        """A YAML text that `--config` takes to give this configuration again."""
        sections = {
            name: settings.model_dump(mode="json") for name, settings in ((RUN, self.run), *self.operators.items())
        }
        return dump_yaml(sections)


@dataclass(frozen=True)
class Source:
    """Settings from one place, as sections of nested values; `name` is for messages."""

    name: str
    sections: Mapping[str, Any]


def resolve(
    classes: Sequence[type[Operator]],
    *,
    preset: Mapping[str, Any] | None = None,
    file: Path | None = None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Configuration:
    """Merge all sources, later ones over earlier ones, and check every name and value.

    `flags` are values of `RunSettings` that the command line gave as options; they win. Raises
    `ConfigurationError` naming the field, its value, what is allowed and where the value came from.
    """
    sources = [Source("the preset", preset or {})]
    if file is not None:
        sources.append(read_file(file))
    sources += [read_assignment(text) for text in assignments]
    sources += [Source(f"--{name.replace('_', '-')}", {RUN: {name: value}}) for name, value in (flags or {}).items()]

    models: dict[str, type[Settings]] = {RUN: RunSettings, **{kind.name: kind.Settings for kind in classes}}
    merged: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for source in sources:
        for section, values in source.sections.items():
            _check_name(section, models, f"{source.name}: no operator is called {section!r}")
            _merge(merged, (section,), values, models[section], source.name, origins)
    built = {name: _build(name, model, merged.get(name, {}), origins) for name, model in models.items()}
    run = built.pop(RUN)
    assert isinstance(run, RunSettings)
    return Configuration(run=run, operators=built, classes=tuple(classes))


def read_file(path: Path) -> Source:
    """The sections of a YAML file. Raises `ConfigurationError` where it is not what `--config` takes."""
    try:
        size = path.stat().st_size
        if size > FILE_LIMIT:
            raise ConfigurationError(f"--config {path}: {size:,} bytes; a configuration has at most {FILE_LIMIT:,}")
        values = load_yaml(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigurationError(f"--config {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--config {path}: not UTF-8 text") from None
    except PlainYamlError as problem:
        raise ConfigurationError(f"--config {path}: {problem}") from None
    if values is None:
        return Source(f"--config {path}", {})
    if not isinstance(values, dict):
        raise ConfigurationError(f"--config {path}: must hold sections such as 'run:' or 'shots:', not {values!r:.60}")
    return Source(f"--config {path}", {name: {} if value is None else value for name, value in values.items()})


def read_assignment(text: str) -> Source:
    """`operator.field=value`, where the value is YAML: `27`, `true`, `hash`, `[0.2, 0.5]`, `{min_height: 480}`."""
    where, equals, written = text.partition("=")
    keys = where.strip().split(".")
    if not equals or len(keys) < 2 or not all(key.isidentifier() for key in keys):
        raise ConfigurationError(f"--set {text!r:.100}: write it as operator.field=value, e.g. --set run.limit=10")
    try:
        value = load_yaml(written)
    except PlainYamlError as problem:
        raise ConfigurationError(f"--set {text!r:.100}: the value cannot be read: {problem}") from None
    for key in reversed(keys):
        value = {key: value}
    return Source(f"--set {where.strip()}", value)


def nearest(name: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'x'? The choices are …." for a message; only the choices where none is near."""
    listed = list(choices)
    near = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    return (f" Did you mean {near[0]!r}?" if near else "") + f" The choices are: {', '.join(listed)}."


def _check_name(name: object, choices: Iterable[str], complaint: str) -> None:
    if name not in (listed := list(choices)):
        raise ConfigurationError(f"{complaint}.{nearest(str(name), listed)}")


def _merge(
    target: dict[str, Any],
    path: tuple[str, ...],
    values: Any,
    model: type[BaseModel],
    source: str,
    origins: dict[tuple[str, ...], str],
) -> None:
    """Put `values` of the settings `model` at `path` into `target`, field by field."""
    name = ".".join(path)
    if not isinstance(values, Mapping):
        fields = ", ".join(model.model_fields)
        raise ConfigurationError(f"{source}: {name} is a group; set one of its fields ({fields}), not {values!r:.60}")
    inner = target.setdefault(path[-1], {})
    for field, value in values.items():
        _check_name(field, model.model_fields, f"{source}: {name} has no setting {field!r}")
        deeper = nested_model(model.model_fields[field].annotation)
        if deeper is not None and value is not None:
            _merge(inner, (*path, field), value, deeper, source, origins)
        else:
            inner[field] = value
            origins[(*path, field)] = source


def _build(
    name: str, model: type[Settings], values: dict[str, Any], origins: Mapping[tuple[str, ...], str]
) -> Settings:
    try:
        # Strict JSON takes lists for tuples and 1 for 1.0, but never true for 1 or "1" for 1.
        return model.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as problem:
        raise ConfigurationError("\n".join(_complaints(name, model, problem, origins))) from None


def _complaints(
    name: str, model: type[Settings], problem: ValidationError, origins: Mapping[tuple[str, ...], str]
) -> list[str]:
    lines: dict[str, None] = {}
    for error in problem.errors(include_url=False):
        path = (name, *(str(part) for part in error["loc"]))
        known = [path[:length] for length in range(len(path), 1, -1) if path[:length] in origins]
        origin = f" (from {origins[known[0]]})" if known else ""
        lines[f"{problem_in_words(path, model, error)}{origin}"] = None
    return list(lines)
