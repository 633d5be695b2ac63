"""Media on this machine's disk, for operators that run without a pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operators.contract import Media
from operators.errors import ErrorKind, RowFailure


@contextmanager
def open_local(uri: str) -> Iterator[Media]:
    """The file at a path, as it is. Raises `RowFailure` (unreadable)."""
    path = Path(uri)
    try:
        size = path.stat().st_size
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise RowFailure(ErrorKind.UNREADABLE, f"{reason}: check the path in the manifest") from None
    yield Media(path=path, size=size, etag="")
