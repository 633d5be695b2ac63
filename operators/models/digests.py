"""SHA-256 of large files, remembered: a model of 15 GB is read once, not once for each process."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from operators.networks import cache_dir

CHUNK = 1 << 22
SMALL = 1 << 20
"""Bytes up to which a file is read again rather than remembered."""

SETTLED_NS = 2_000_000_000
"""Age of a file's last change from which its time tells versions apart: coarse file systems count in 2 s."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits.

    Remembered in the cache folder by path, size, time of change and inode; a cache that cannot be written
    is no error. Raises `OSError` where the file cannot be read.
    """
    path = path.resolve()
    before = path.stat()
    if before.st_size <= SMALL:
        return _sha256(path)
    stamp = [before.st_size, before.st_mtime_ns, before.st_ino]
    note = cache_dir() / "digests" / f"{hashlib.sha256(os.fsencode(path)).hexdigest()[:32]}.json"
    if known := _recall(note, stamp):
        return known
    digest = _sha256(path)
    after = path.stat()
    unchanged = stamp == [after.st_size, after.st_mtime_ns, after.st_ino]
    if unchanged and time.time_ns() - after.st_mtime_ns > SETTLED_NS:
        with suppress(OSError):
            _remember(note, stamp, digest)
    return digest


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _recall(note: Path, stamp: list[int]) -> str | None:
    try:
        kept = json.loads(note.read_bytes())
        digest = kept["sha256"] if kept["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) and len(digest) == 64 else None


def _remember(note: Path, stamp: list[int], digest: str) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=note.parent, prefix=".")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump({"stamp": stamp, "sha256": digest}, file)
        Path(name).replace(note)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
