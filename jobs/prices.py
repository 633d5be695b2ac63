"""The price table: machines, storage and tokens in dollars, from a YAML file that people keep up to date."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from jobs.configuration import FILE_LIMIT, nearest
from jobs.plain_yaml import PlainYamlError, load_yaml
from jobs.setting_names import problem_in_words
from operators.errors import ConfigurationError

GB = 1 << 30
"""Bytes of a GB as storage is billed."""

Market = Literal["on_demand", "spot"]

_Dollars = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Machine(_Part):
    """An instance type."""

    cpus: int = Field(ge=1, le=4096, description="virtual CPUs")
    memory_gb: float = Field(gt=0, description="memory in GiB")
    gpus: int = Field(default=0, ge=0, le=64, description="GPUs")
    gpu: str = Field(default="", description="model of its GPUs")
    gpu_memory_gb: float = Field(default=0, ge=0, description="memory of one GPU in GiB")
    on_demand: float = Field(gt=0, description="dollars per hour")
    spot: float | None = Field(
        default=None, gt=0, description="dollars per hour as a spot instance; null: not offered"
    )

    def hourly(self, market: Market) -> float:
        """Dollars per hour; the on-demand price where there is no spot price."""
        return self.spot if market == "spot" and self.spot is not None else self.on_demand


class Storage(_Part):
    """What an object store charges. A GB is 2³⁰ bytes."""

    gb_month: _Dollars = Field(description="dollars to keep a GB for a month")
    writes_per_1000: _Dollars = Field(description="dollars per 1,000 PUT, COPY, POST and LIST requests")
    reads_per_1000: _Dollars = Field(description="dollars per 1,000 GET and HEAD requests")
    egress_per_gb: _Dollars = Field(description="dollars to take a GB out of the region")


class Endpoint(_Part):
    """What a server charges for tokens."""

    input_per_million: _Dollars = Field(description="dollars per million tokens of prompts")
    output_per_million: _Dollars = Field(description="dollars per million tokens of answers")


class Prices(_Part):
    """The whole table. `machines` are by name, `endpoints` by URL, with "default" for those not named."""

    as_of: date = Field(description="the day of which these prices are, such as 2026-01-31")
    source: str = Field(description="where they come from")
    currency: Literal["USD"] = Field(default="USD", description="the only one there is")
    cpu_machine: str = Field(description="machine for decoding where nobody names one")
    gpu_machine: str = Field(description="machine for models where nobody names one")
    head_machine: str = Field(description="machine of the cluster's head where nobody names one")
    machines: dict[str, Machine] = Field(min_length=1, description="instance types by name")
    storage: Storage = Field(description="object storage")
    endpoints: dict[str, Endpoint] = Field(default={}, description="servers of models by URL")

    @model_validator(mode="after")
    def _defaults_exist(self) -> Prices:
        for role in ("cpu_machine", "gpu_machine", "head_machine"):
            if (name := getattr(self, role)) not in self.machines:
                raise ValueError(f"{role} {name!r} is none of the machines.{nearest(name, self.machines)}")
        if not self.machines[self.gpu_machine].gpus:
            raise ValueError(f"gpu_machine {self.gpu_machine!r} has no GPU")
        return self

    def machine(self, name: str) -> Machine:
        """The machine of this name. Raises `ConfigurationError` naming those that there are."""
        if name not in self.machines:
            raise ConfigurationError(f"the price table has no machine {name!r}.{nearest(name, self.machines)}")
        return self.machines[name]

    def endpoint(self, url: str) -> Endpoint | None:
        """Prices of the server at `url`, the default's where it is not named, None where there is neither."""
        return self.endpoints.get(url.rstrip("/"), self.endpoints.get("default"))


def read_prices(path: Path | None = None) -> Prices:
    """The table in the YAML file `path`, the one that comes with Rushes when None.

    Raises `ConfigurationError` naming the file, the field, what is allowed and, for a name that is not
    known, the nearest one.
    """
    if path is None:
        return parse_prices(files("jobs").joinpath("prices.yaml").read_text(encoding="utf-8"), "jobs/prices.yaml")
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise ConfigurationError(f"--prices {path}: a price table has at most {FILE_LIMIT:,} bytes")
        text = path.read_text(encoding="utf-8")
    except OSError as problem:
        raise ConfigurationError(f"--prices {path}: {problem.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"--prices {path}: not UTF-8 text") from None
    return parse_prices(text, f"--prices {path}")


def parse_prices(text: str, where: str) -> Prices:
    """The table in a YAML text; `where` begins every message. Raises `ConfigurationError`."""
    try:
        values = load_yaml(text)
    except PlainYamlError as problem:
        raise ConfigurationError(f"{where}: {problem}") from None
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where}: must hold a price table; copy jobs/prices.yaml and correct it")
    try:
        return Prices.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as problem:
        lines = [_complaint(error) for error in problem.errors(include_url=False)]
        raise ConfigurationError("\n".join(f"{where}: {line}" for line in dict.fromkeys(lines))) from None


def _complaint(error: ErrorDetails) -> str:
    path = tuple(map(str, error["loc"]))
    model, depth = _model_at(path)
    if error["type"] == "extra_forbidden":
        place = ".".join(path[:-1]) or "the price table"
        return f"{place} has no {path[-1]!r}.{nearest(path[-1], model.model_fields)}"
    if error["type"] == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    return problem_in_words((".".join(path[:depth]), *path[depth:]) if depth else ("", *path), model, error).lstrip(
        "."
    )


def _model_at(path: tuple[str, ...]) -> tuple[type[BaseModel], int]:
    """The innermost model that `path` leads into, and how many steps lead to it."""
    model: type[BaseModel] = Prices
    depth = 0
    for steps, name in enumerate(path[:-1]):
        if steps < depth or name not in model.model_fields:
            continue
        kind: Any = model.model_fields[name].annotation
        entries = [choice for choice in get_args(kind) if isinstance(choice, type) and issubclass(choice, BaseModel)]
        if entries and len(path) > steps + 2:
            model, depth = entries[0], steps + 2
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            model, depth = kind, steps + 1
    return model, depth
