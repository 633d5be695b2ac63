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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from operators.errors import ErrorKind, RowError, RowFailure

Row = dict[str, Any]
"""One record of the stream. `row["record"]` is "clip" or "video"; values are Arrow-native Python values."""

MESSAGE_LIMIT = 500
"""Characters kept of an error message; file names and library messages can be hostile."""


class Settings(BaseModel):
    """Base of every operator's configuration: frozen, keyword-only, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one instance (one Ray actor) of an operator occupies.

    `cpus` and `gpus` are logical Ray quantities, `memory_mb` is resident memory in MiB, `batch` the
    number of rows given to `annotate` at once, `actors` the pool's (minimum, maximum), where None
    means "as many as fit".
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_mb: int = 0
    batch: int = 1
    actors: tuple[int, int | None] = (1, None)


@dataclass(frozen=True, kw_only=True)
class Media:
    """A media file on this machine's disk. `size` in bytes; `etag` names these bytes at their source."""

    path: Path
    size: int
    etag: str


OpenMedia = Callable[[str], AbstractContextManager[Media]]
"""Opens a URI as a local file for the length of a `with` block. Raises `RowFailure` (unreadable, refused)."""


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
            "settings": self.settings.model_dump(mode="json"),
            "revision": self.revision(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @abstractmethod
    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Map rows to rows. Rows it does not handle pass through unchanged and in order."""


class ClipOperator(Operator):
    """An operator that adds columns to clips, one result per clip.

    Subclasses write `annotate`. Video records, clips with an error and clips dropped earlier pass
    through. Clips are gathered to `resources.batch`; where a batch raises, its clips are tried one
    by one, so that only the guilty one fails.
    """

    on_dropped: ClassVar[bool] = False
    """Whether clips with a `drop_reason` are annotated too (measures that thresholds read later)."""

    @abstractmethod
    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        """Columns for each clip, in order: dictionaries with keys from `writes`. Must not change `clips`."""

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
            if not self.wants(row):
                yield row
                continue
            result = next(results)
            if "error" in result:
                yield {**row, **result}
            else:
                yield {**row, **result, "provenance": {**(row.get("provenance") or {}), **self._credit(result)}}

    def _results(self, clips: list[Row]) -> list[Row]:
        if not clips:
            return []
        try:
            return self._checked(clips, self.annotate(clips))
        except Exception as problem:
            if len(clips) == 1:
                return [{"error": row_error(self.name, problem)}]
            return [result for clip in clips for result in self._results([clip])]

    def _checked(self, clips: list[Row], results: Sequence[Row]) -> list[Row]:
        if len(results) != len(clips):
            raise RowFailure(ErrorKind.BAD_OUTPUT, f"{len(results)} results for {len(clips)} clips")
        for result in results:
            if strangers := set(result) - set(self.writes.names):
                raise RowFailure(ErrorKind.BAD_OUTPUT, f"columns not declared in writes: {sorted(strangers)}")
        return list(results)

    def _credit(self, result: Row) -> dict[str, str]:
        author = f"{self.name}/{self.version}" + (f"@{self.revision()}" if self.revision() else "")
        return {column: author for column, value in result.items() if value is not None}


def row_error(operator: str, problem: BaseException) -> RowError:
    """The `error` column for an exception: kind from `RowFailure`, else out_of_memory or internal."""
    if isinstance(problem, RowFailure):
        kind = problem.kind
    elif isinstance(problem, MemoryError):
        kind = ErrorKind.OUT_OF_MEMORY
    else:
        kind = ErrorKind.INTERNAL
    text = str(problem) if isinstance(problem, RowFailure) else f"{type(problem).__name__}: {problem}"
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return RowError(operator=operator, kind=kind.value, message=printable[:MESSAGE_LIMIT])
