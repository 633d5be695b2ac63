"""What this output is a run of: `run.json`, written once, compared ever after; and how the run has grown.

`run.json` never changes. Each append adds one create-only `appended/00001.json`, and `read_run` gives the run
with all of them. The manifest of an append is written before its record: what no record names does not exist.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from operators.errors import LeaseLost, RunMismatch, StorageError
from store.layout import RUN, append_key, parse_append_key
from store.objects import ObjectMissing, ObjectStore
from store.threads import in_threads

Record = TypeVar("Record", bound=BaseModel)

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


class Append(BaseModel):
    """New videos of an input, added to a run as partitions of their own: `n_partitions` from `first_partition` on.

    `limit` is that of the input, `nonce` tells two writers of the same append apart. `input` is stored without
    passwords, tokens and keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    input: str
    limit: int | None = None
    first_partition: int = Field(ge=0)
    n_partitions: int = Field(ge=1)
    n_videos: int = Field(ge=1)
    created: str
    nonce: str

    @field_validator("input")
    @classmethod
    def _hide_login(cls, value: str) -> str:
        return _without_login(value)


class RunRecord(BaseModel):
    """What was asked for. `input` and `config` are stored without passwords, tokens and keys.

    `input` and `limit` are those that the run began with, `appended` what was added since (in `run.json` itself only
    where the run was made with the manifest of a grown one); `n_partitions` and `n_videos` count both.
    """

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
    appended: tuple[Append, ...] = ()

    @property
    def inputs(self) -> tuple[tuple[str, int | None], ...]:
        """(input, limit) of the beginning and of each append."""
        return ((self.input, self.limit), *((append.input, append.limit) for append in self.appended))

    def videos_in(self, partition: int) -> int:
        """Videos of a partition: `partition_size`, or fewer in the last one of the beginning and of each append."""
        first, n_videos = 0, self.n_videos - sum(append.n_videos for append in self.appended)
        for append in self.appended:
            if append.first_partition <= partition:
                first, n_videos = append.first_partition, append.n_videos
        return min(self.partition_size, n_videos - (partition - first) * self.partition_size)

    def grown(self, append: Append) -> RunRecord:
        """The run with one append more."""
        return self.model_copy(
            update={
                "appended": (*self.appended, append),
                "n_partitions": self.n_partitions + append.n_partitions,
                "n_videos": self.n_videos + append.n_videos,
            }
        )

    @field_validator("input")
    @classmethod
    def _hide_login(cls, value: str) -> str:
        return _without_login(value)

    @field_validator("config")
    @classmethod
    def _hide_secrets(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _without_secrets(value)


def _json(record: BaseModel) -> bytes:
    return (record.model_dump_json(indent=2) + "\n").encode()


def create_run(store: ObjectStore, record: RunRecord) -> None:
    """Write `run.json` where there is none. Raises `RunMismatch` when there is one already."""
    if not store.create(RUN, _json(record)):
        raise RunMismatch(f"{store.url} already holds a run; run the command again to resume it")


def create_append(store: ObjectStore, run: RunRecord, append: Append) -> RunRecord:
    """Record that `run` has grown; the grown run. Raises `LeaseLost` where another writer did so meanwhile."""
    if not store.create(append_key(len(run.appended) + 1), _json(append)):
        raise LeaseLost(f"{store.url} was appended to by another run at the same time; run the same command again")
    return run.grown(append)


def read_run(store: ObjectStore) -> RunRecord | None:
    """The run that this output belongs to, as it has grown, or None.

    Raises `StorageError` when `run.json` or the record of an append is unreadable.
    """
    try:
        data = store.get(RUN)
    except ObjectMissing:
        return None
    run = _parsed(store, RUN, RunRecord, data)
    numbers = sorted(n for info in store.list("appended/") if (n := parse_append_key(info.key)) is not None)
    appends = in_threads(lambda n: _parsed(store, append_key(n), Append, store.get(append_key(n))), numbers)
    for number, append in zip(numbers, appends, strict=True):
        if number != len(run.appended) + 1 or append.first_partition != run.n_partitions:
            raise StorageError(
                f"{store.url}: {append_key(number)} does not follow what was there before: it begins at partition "
                f"{append.first_partition} of {run.n_partitions}; was a file removed or copied by hand?"
            )
        run = run.grown(append)
    return run


def _parsed(store: ObjectStore, key: str, kind: type[Record], data: bytes) -> Record:
    try:
        return kind.model_validate_json(data)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise StorageError(f"{store.url}: {key} cannot be read: {where}: {first['msg']}") from problem


def span_of(first: int, count: int) -> str:
    """Partitions in words: "partition 31", "partitions 31–32"."""
    return f"partition {first}" if count == 1 else f"partitions {first}–{first + count - 1}"


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
