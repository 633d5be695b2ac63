"""What an operator is: a configured, restartable step from rows to rows.

Operators are plain Python. They know neither Ray nor storage and run without both::

    shots = SplitShots(SplitShots.Settings(threshold=27))
    shots.setup()
    for row in shots([{"video_id": "v", "uri": "trailer.mp4"}]):
        ...
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from operators.errors import EngineError, ErrorKind, RowError, RowFailure

Row = dict[str, Any]
"""One record of the stream. `row["record"]` is "clip" or "video"; values are Arrow-native Python values."""

MESSAGE_LIMIT = 500
"""Characters kept of an error message; file names and library messages can be hostile."""


class Settings(BaseModel):
    """Base of every operator's configuration: frozen, keyword-only, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The settings that a row can depend on, as JSON values: all but those made with `tuning`."""
        values = self.model_dump(mode="json")
        return {name: value for name, value in values.items() if not _is_tuning(type(self), name)}


def tuning(default: Any, **constraints: Any) -> Any:
    """A pydantic field that decides where and how fast an operator runs, never what it writes.

    It is left out of the fingerprint, so that a run can go on with another value.
    """
    return Field(default=default, json_schema_extra={TUNING: True}, **constraints)


TUNING = "tuning"


def _is_tuning(settings: type[Settings], name: str) -> bool:
    extra = settings.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get(TUNING))


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one instance (one Ray actor) of an operator occupies.

    `cpus` and `gpus` are logical Ray quantities; `gpus` None means "what the others leave of a GPU" until the
    pipeline puts a number in its place. `memory_mb` is resident memory in MiB, `gpu_memory_mb`
    the same on the GPU, `batch` the number of rows given to `annotate` at once, `actors` the pool's
    (minimum, maximum), where None means "as many as fit". `concurrency` is the number of batches that
    one instance works on at once, each in a thread of its own: more than 1 needs a thread-safe operator.
    """

    cpus: float = 1.0
    gpus: float | None = 0.0
    memory_mb: int = 0
    gpu_memory_mb: int = 0
    batch: int = 1
    actors: tuple[int, int | None] = (1, None)
    concurrency: int = 1


@dataclass(frozen=True, kw_only=True)
class Media:
    """A media file on this machine's disk. `size` in bytes; `etag` names these bytes at their source."""

    path: Path
    size: int
    etag: str


OpenMedia = Callable[[str], AbstractContextManager[Media]]
"""Opens a URI as a local file for the length of a `with` block. Raises `RowFailure` (unreadable, refused)."""


class ModelStore(Protocol):
    """Where model files lie in object storage. Handed to operators by the pipeline, as `OpenMedia` is."""

    def listing(self, url: str) -> Mapping[str, tuple[int, str]]:
        """Files under the prefix `url` by their relative names: size in bytes and ETag.

        Raises `ConfigurationError` where nothing can be listed.
        """
        ...

    def held(self, url: str, names: Collection[str] | None = None) -> Path | None:
        """The folder that `fetch` filled with these files before, None where it did not."""
        ...

    def fetch(self, url: str, names: Collection[str] | None = None, again: Collection[str] = ()) -> Path:
        """The files under `url`, all or `names`, as a folder on this machine's disk, kept for later processes.

        Those of `again` are replaced.
        """
        ...


class Operator(ABC):
    """A step of the chain.

    `name` is the key in `--set name.field=value`, in errors, timings and provenance. Raise `version`
    whenever the same input and settings would give other output.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ()
    writes: ClassVar[pa.Schema] = pa.schema([])
    Settings: ClassVar[type[Settings]] = Settings
    resources: Resources = Resources()

    def __init__(self, settings: Settings | None = None, *, open_media: OpenMedia | None = None) -> None:
        self.settings: Any = settings if settings is not None else self.Settings()
        self.open_media = open_media
        self.model_store: ModelStore | None = None

    def setup(self) -> None:
        """Load models and import heavy libraries; called once per process, before any row.

        Raises `MissingExtra` where a library is missing and `ConfigurationError` where a model file is.
        """

    def check(self) -> None:
        """Cheap check before the cluster starts, on the driver: do the files this operator needs exist?"""

    def revision(self) -> str:
        """The revision of the model used, or "" for none; part of the fingerprint and of provenance."""
        return ""

    def fingerprint(self) -> str:
        """Sixteen hex digits that change when this operator's output could change."""
        facts = {
            "operator": f"{type(self).__module__}.{type(self).__qualname__}",
            "version": self.version,
            "settings": self.settings.identity(),
            "revision": self.revision(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @abstractmethod
    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Map rows to rows. Rows it does not handle pass through unchanged and in order."""


class ClipOperator(Operator):
    """An operator that adds columns to clips, one result per clip.

    Subclasses write `annotate`. Video records, clips with an error and clips dropped earlier pass
    through. Clips are gathered to `resources.batch`; a batch that raises is halved and tried again until
    the guilty clips are alone, so that only those fail. An `EngineError` fails no clip; it is raised.
    """

    on_dropped: ClassVar[bool] = False
    """Whether clips with a `drop_reason` are annotated too (measures that thresholds read later)."""

    @abstractmethod
    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        """Columns for each clip, in order: dictionaries with keys from `writes`. Must not change `clips`.

        A `RowFailure` in the place of a dictionary fails that clip alone. The key "provenance" may name
        another author for some of the columns, {column: "operator/version@revision"}.
        """

    def recover(self, problem: Exception, clips: int) -> None:
        """Called after a batch of `clips` raised, before its halves are tried: free what it held."""

    def wants(self, row: Row) -> bool:
        """Whether this row is for `annotate`."""
        if row.get("record") != "clip" or row.get("error") is not None:
            return False
        if self.name in row.get("reused", ()):
            return False
        return self.on_dropped or row.get("drop_reason") is None

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        waiting: list[Row] = []
        wanted = 0
        for row in rows:
            waiting.append(row)
            wanted += self.wants(row)
            if wanted == 0 or wanted >= self.resources.batch:
                yield from self._flush(waiting)
                waiting, wanted = [], 0
        yield from self._flush(waiting)

    def _flush(self, rows: list[Row]) -> Iterator[Row]:
        clips = [row for row in rows if self.wants(row)]
        results = iter(self._results(clips))
        for row in rows:
            yield self._joined(row, next(results)) if self.wants(row) else row

    def _joined(self, row: Row, result: Row | RowFailure) -> Row:
        if isinstance(result, RowFailure):
            return {**row, "error": row_error(self.name, result)}
        columns = {name: value for name, value in result.items() if name != PROVENANCE}
        credit = {**self._credit(columns), **result.get(PROVENANCE, {})}
        return {**row, **columns, PROVENANCE: {**(row.get(PROVENANCE) or {}), **credit}}

    def _results(self, clips: Sequence[Row]) -> list[Row | RowFailure]:
        if not clips:
            return []
        try:
            return self._checked(clips, self.annotate(clips))
        except EngineError:
            raise  # no clip's fault, and none can be annotated
        except Exception as problem:
            self.recover(problem, len(clips))
            if len(clips) == 1:
                return [_as_failure(problem)]
        half = len(clips) // 2
        return [*self._results(clips[:half]), *self._results(clips[half:])]

    def _checked(self, clips: Sequence[Row], results: Sequence[Row | RowFailure]) -> list[Row | RowFailure]:
        if len(results) != len(clips):
            raise RowFailure(ErrorKind.BAD_OUTPUT, f"{len(results)} results for {len(clips)} clips")
        for result in results:
            if isinstance(result, RowFailure):
                continue
            if strangers := set(result) - {*self.writes.names, PROVENANCE}:
                raise RowFailure(ErrorKind.BAD_OUTPUT, f"columns not declared in writes: {sorted(strangers)}")
        return list(results)

    def _credit(self, columns: Row) -> dict[str, str]:
        author = f"{self.name}/{self.version}" + (f"@{self.revision()}" if self.revision() else "")
        return {column: author for column, value in columns.items() if value is not None}


PROVENANCE = "provenance"


def _as_failure(problem: Exception) -> RowFailure:
    error = row_error("", problem)
    return RowFailure(ErrorKind(error["kind"]), error["message"])


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether memory was short: of torch's exceptions the CUDA one has a class, those of CPU and MPS a text."""
    if isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError":
        return True
    text = str(problem)
    return isinstance(problem, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)


def row_error(operator: str, problem: BaseException) -> RowError:
    """The `error` column for an exception: kind from `RowFailure`, else out_of_memory or internal."""
    if isinstance(problem, RowFailure):
        kind = problem.kind
    elif is_out_of_memory(problem):
        kind = ErrorKind.OUT_OF_MEMORY
    else:
        kind = ErrorKind.INTERNAL
    text = str(problem) if isinstance(problem, RowFailure) else f"{type(problem).__name__}: {problem}"
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return RowError(operator=operator, kind=kind.value, message=printable[:MESSAGE_LIMIT])
