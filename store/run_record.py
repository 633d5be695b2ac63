"""`run.json`: what this output is a run of. Written once, compared ever after."""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from operators.errors import RunMismatch, StorageError
from store.layout import RUN
from store.objects import ObjectMissing, ObjectStore

HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(r"(^|[_-])(password|passwd|secret|token|api[_-]?key|access[_-]?key|credentials?)$", re.I)
_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"\?.*$", re.S)


def package_version() -> str:
    """The installed version of Rushes; "0" in a checkout that was not installed."""
    try:
        return metadata.version("rushes")
    except metadata.PackageNotFoundError:
        return "0"


class OperatorRecord(BaseModel):
    """One operator of the chain.

    `fingerprint` covers the operator itself, `lineage` also everything before it that it depends on.
    `writes` maps its columns to their Arrow types in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fingerprint: str
    lineage: str = ""
    reads: tuple[str, ...] = ()
    writes: dict[str, str] = {}


class RunRecord(BaseModel):
    """What was asked for. `input` and `config` are stored without passwords, tokens and keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    job: str
    input: str
    config: dict[str, Any]
    operators: tuple[OperatorRecord, ...]
    fingerprint: str
    package_version: str
    schema_version: int
    partition_size: int
    limit: int | None
    n_partitions: int
    n_videos: int
    created: str

    @field_validator("input")
    @classmethod
    def _hide_login(cls, value: str) -> str:
        return _without_login(value)

    @field_validator("config")
    @classmethod
    def _hide_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _without_secrets(value)


def create_run(store: ObjectStore, record: RunRecord) -> None:
    """Write `run.json` where there is none. Raises `RunMismatch` when there is one already."""
    if not store.create(RUN, (record.model_dump_json(indent=2) + "\n").encode()):
        raise RunMismatch(f"{store.url} already holds a run; run the command again to resume it")


def read_run(store: ObjectStore) -> RunRecord | None:
    """The run that this output belongs to, or None. Raises `StorageError` when `run.json` is unreadable."""
    try:
        data = store.get(RUN)
    except ObjectMissing:
        return None
    try:
        return RunRecord.model_validate_json(data)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise StorageError(f"{store.url}: {RUN} cannot be read: {where}: {first['msg']}") from problem


def differences(old: RunRecord, new: RunRecord) -> list[str]:
    """What was changed in words, a line each ("shots.threshold: 30.0 → 12.0"); empty when `new` may resume `old`.

    The package's version and the day are not compared: an operator's own version is part of its fingerprint.
    """
    lines = [
        _change(name, getattr(old, name), getattr(new, name))
        for name in ("job", "input", "partition_size", "limit", "schema_version")
        if getattr(old, name) != getattr(new, name)
    ]
    before, after = _flat(old.config), _flat(new.config)
    changed = [name for name in (*before, *(set_ for set_ in after if set_ not in before))
               if before.get(name, _UNSET) != after.get(name, _UNSET)]  # fmt: skip
    lines += [_change(name, before.get(name, _UNSET), after.get(name, _UNSET)) for name in changed]
    lines += _operator_differences(old, new, {name.split(".")[0] for name in changed})
    if not lines and old.fingerprint != new.fingerprint:
        lines.append(_change("fingerprint of the chain", old.fingerprint, new.fingerprint))
    return lines


_UNSET = object()


def _operator_differences(old: RunRecord, new: RunRecord, explained: set[str]) -> list[str]:
    before = {operator.name: operator for operator in old.operators}
    after = {operator.name: operator for operator in new.operators}
    lines = [f"operator {name}: removed" for name in before if name not in after]
    lines += [f"operator {name}: added" for name in after if name not in before]
    shared = [name for name in before if name in after]
    if shared != [name for name in after if name in before]:
        lines.append(_change("order of the operators", ", ".join(before), ", ".join(after)))
    lines += [
        _change(f"operator {name}: its version or model", before[name].fingerprint, after[name].fingerprint)
        for name in shared
        if before[name].fingerprint != after[name].fingerprint and name not in explained
    ]
    return lines


def _change(name: str, old: object, new: object) -> str:
    words = ["not set" if value is _UNSET or value is None else str(value) for value in (old, new)]
    return f"{name}: {words[0]} → {words[1]}"


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat


def _without_secrets(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(item, name) for item in value]
    if value is not None and _SECRET_NAME.search(name):
        return HIDDEN
    return _without_login(value) if isinstance(value, str) else value


def _without_login(text: str) -> str:
    return _QUERY.sub("", _USERINFO.sub("", text)) if "://" in text else text
