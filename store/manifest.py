"""What a run processes: reading the input, and the manifest that a run keeps of it.

    videos = read_input("videos/")                  a folder
    videos = read_input("s3://bucket/trailers/")    a prefix
    videos = read_input("trailers.csv")             a manifest: .csv, .jsonl, .ndjson or .parquet, here or on s3://

A manifest has at least the column `uri`: a local path, `file:///…` or `s3://bucket/key`; a relative one
is looked up from the manifest's folder. `video_id`, `size` (bytes) and `etag` are optional, all other
columns are carried along.
"""

from __future__ import annotations

import datetime
import decimal
import io
import json
import math
import os
import posixpath
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq

from operators.errors import StorageError
from store.layout import manifest_key
from store.listing import VIDEO_SUFFIXES, list_folder, list_prefix
from store.manifest_rows import READERS
from store.objects import ObjectMissing, ObjectStore, open_store
from store.schema import MANIFEST_SCHEMA
from store.video_entry import (
    ManifestError,
    VideoEntry,
    check_uri,
    check_video_id,
    local_path,
    make_video_id,
    path_uri,
    shown,
)

MAX_PROBLEMS = 20
"""Problems that one error lists."""

MANIFEST_LIMIT = 2 << 30
"""Bytes of a manifest, which is read whole: twenty million lines of a hundred."""

EXTRA_DEPTH = 64
"""Lists and objects in one another in a video's extra columns."""

EXTRA_LIMIT = 65_536
"""Characters of a video's extra columns as JSON."""

WRITERS = 16
"""Threads that write partitions; a put waits for the disk or the network."""


def read_input(input: str, *, limit: int | None = None) -> list[VideoEntry]:
    """The videos of a folder, an `s3://` prefix or a manifest, in a fixed order; the first `limit` of them.

    Folders and prefixes are sorted by name, manifests keep their order. Raises `ManifestError` with up to
    `MAX_PROBLEMS` problems by line, and where there is no video at all; `StorageError` for a store that
    fails.
    """
    suffix = PurePosixPath(input).suffix.lower()
    if input.startswith("s3://"):
        try:
            return _read_manifest(input, suffix, limit) if suffix in READERS else list_prefix(input, limit)
        except ValueError as problem:
            raise ManifestError(f"--input {shown(input)}: {problem}") from None
    path = Path(_local(input))
    if path.is_dir():
        return list_folder(path, limit)
    if not path.exists():
        raise ManifestError(f"--input {input}: no such folder or file")
    if suffix in READERS:
        return _read_manifest(str(path), suffix, limit)
    hint = f"Give its folder: {path.parent}" if suffix in VIDEO_SUFFIXES else f"Manifests end in {', '.join(READERS)}"
    raise ManifestError(f"--input {input}: neither a folder nor a manifest. {hint}")


def write_manifest(store: ObjectStore, entries: Sequence[VideoEntry], partition_size: int) -> int:
    """Write `manifest/NNNNN.parquet` for every `partition_size` entries; the number of partitions."""
    chunks = [entries[start : start + partition_size] for start in range(0, len(entries), partition_size)]

    def write(partition: int) -> None:
        chunk = chunks[partition]
        columns = {name: [getattr(entry, name) for entry in chunk] for name in MANIFEST_SCHEMA.names}
        sink = io.BytesIO()
        pq.write_table(pa.table(columns, schema=MANIFEST_SCHEMA), sink, compression="zstd")
        store.put(manifest_key(partition), sink.getvalue())

    with ThreadPoolExecutor(WRITERS, thread_name_prefix="manifest") as pool:
        for _ in pool.map(write, range(len(chunks))):
            pass
    return len(chunks)


def read_partition(store: ObjectStore, partition: int) -> list[VideoEntry]:
    """The videos of one partition, in the order of the input. Raises `StorageError` where it is not there."""
    try:
        table = pq.read_table(io.BytesIO(store.get(manifest_key(partition))), schema=MANIFEST_SCHEMA)
    except ObjectMissing:
        raise StorageError(f"{store.url} holds no {manifest_key(partition)}; was it removed by hand?") from None
    except pa.ArrowException as problem:
        raise StorageError(f"{store.url}/{manifest_key(partition)} is damaged: {problem}") from None
    return [VideoEntry(**row) for row in table.to_pylist()]


def _local(input: str) -> str:
    if not input.strip():
        raise ManifestError("--input is empty; give a folder, an s3:// prefix or a manifest")
    try:
        return check_uri(input)
    except ValueError as problem:
        raise ManifestError(f"--input: {problem}") from None


def _read_manifest(source: str, suffix: str, limit: int | None) -> list[VideoEntry]:
    data, folder = _fetch(source)
    problems: list[str] = []
    entries: list[VideoEntry] = []
    places: dict[str, str] = {}
    try:
        for place, row in islice(READERS[suffix](data), limit):
            try:
                if isinstance(row, ValueError):
                    raise row
                entry = _entry(row, folder)
                _note_duplicates(entry, place, places)
                entries.append(entry)
            except ValueError as problem:
                problems.append(f"{place}: {problem}")
                if len(problems) == MAX_PROBLEMS:
                    problems.append(f"… and no further than {MAX_PROBLEMS} problems were looked for")
                    break
    except ManifestError as problem:
        raise ManifestError(f"{source}: {problem}") from None
    if problems:
        raise ManifestError("\n  ".join([f"{source} cannot be used; nothing was started:", *problems]))
    if not entries:
        raise ManifestError(f"{source} names no video")
    return entries


def _fetch(source: str) -> tuple[bytes, str]:
    """The manifest's bytes, and the folder or prefix from which its relative URIs are looked up."""
    if source.startswith("s3://"):
        folder, _, name = source.rpartition("/")
        store = open_store(folder)
        try:
            facts = store.head(name)
            _check_length(source, facts.size if facts is not None else 0)
            return store.get(name), folder
        except ObjectMissing:
            raise ManifestError(f"--input {source}: no such object") from None
    try:
        path = Path(source)
        _check_length(source, path.stat().st_size)
        return path.read_bytes(), str(path.resolve().parent)
    except OSError as problem:
        raise ManifestError(f"--input {source}: {problem.strerror}") from None


def _check_length(source: str, size: int) -> None:
    if size > MANIFEST_LIMIT:
        raise ManifestError(f"--input {source}: over {MANIFEST_LIMIT:,} bytes; split it into several runs")


def _entry(row: dict[str, Any], folder: str) -> VideoEntry:
    if "uri" not in row or row["uri"] is None:
        raise ValueError("uri is missing")
    written = check_uri(row["uri"])
    uri = _located(written, folder)
    size = _size(row.get("size"))
    if not uri.startswith("s3://"):
        found = _stat_size(uri, written)
        if size is not None and found is not None and size != found:
            raise ValueError(f"size is {size:,} bytes but {shown(written)} has {found:,}; correct or drop the column")
        size = size if size is not None else found
    given = row.get("video_id")
    identity = written if written.startswith("s3://") else posixpath.normpath(written)
    video_id = make_video_id(identity) if given in (None, "") else check_video_id(given)
    etag = row.get("etag") or None
    if etag is not None and not (isinstance(etag, str) and etag.isprintable() and len(etag) <= 1024):
        raise ValueError(f"etag {shown(etag)} is not an ETag; it is text of at most 1024 characters")
    return VideoEntry(video_id, uri, size, etag, _extra(row))


def _located(written: str, folder: str) -> str:
    """`written` as an absolute URI. Raises `ValueError` where it leaves its bucket or does not exist."""
    if written.startswith("s3://"):
        return written
    if folder.startswith("s3://") and not written.startswith("/"):
        bucket, _, prefix = folder.removeprefix("s3://").partition("/")
        key = posixpath.normpath(posixpath.join(prefix, written))
        if key.startswith(".."):
            raise ValueError(f"uri {shown(written)} leaves the bucket {bucket}")
        return check_uri(f"s3://{bucket}/{key}")
    return path_uri(os.path.join(folder, written))  # noqa: PTH118 - Path would drop a trailing slash or dot


def _stat_size(uri: str, written: str) -> int | None:
    """Size of a local file in bytes, None for what is no regular file. Raises `ValueError` where there is nothing."""
    path = local_path(uri) if uri.startswith("file:") else uri
    try:
        found = os.stat(path)  # noqa: PTH116 - three times faster than Path.stat over 300,000 entries
    except PermissionError:
        return None
    except OSError as problem:
        raise ValueError(f"{shown(written)} is not there: {problem.strerror}, {shown(uri, 200)}") from None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _size(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError(f"size {shown(value)} is not a number of bytes")
    return value


def _extra(row: dict[str, Any]) -> str | None:
    others = {name: value for name, value in row.items() if name not in ("uri", "video_id", "size", "etag")}
    if not others:
        return None
    try:
        text = json.dumps(_plain(others, EXTRA_DEPTH), ensure_ascii=False, sort_keys=True, allow_nan=False)
        text.encode()
    except (TypeError, ValueError) as problem:
        raise ValueError(f"an extra column cannot be carried along: {problem}") from None
    if len(text) > EXTRA_LIMIT:
        raise ValueError(f"extra columns of {len(text):,} characters; at most {EXTRA_LIMIT:,} are carried along")
    return text


def _plain(value: Any, depth: int) -> Any:
    """`value` with dates and decimals as text, NaN as null, as JSON needs them. Raises `ValueError` past `depth`."""
    if depth < 0:
        raise ValueError(f"it is nested more than {EXTRA_DEPTH} deep")
    match value:
        case dict():
            return {str(name): _plain(item, depth - 1) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item, depth - 1) for item in value]
        case float() if not math.isfinite(value):
            return None
        case datetime.date() | datetime.time() | datetime.timedelta() | decimal.Decimal():
            return str(value)
    return value


def _note_duplicates(entry: VideoEntry, place: str, places: dict[str, str]) -> None:
    """Remember where an entry is. Raises `ValueError` naming the earlier place of its URI or `video_id`."""
    # Identifiers that differ in how an accent is coded look the same, and are one file name on some systems.
    for kind, value in (("uri", _canonical(entry.uri)), ("video_id", normalize("NFC", entry.video_id))):
        earlier = places.setdefault(f"{kind} {value}", place)
        if earlier != place:
            raise ValueError(f"{kind} {shown(value)} is already on {earlier}; keep one of the two")


def _canonical(uri: str) -> str:
    return uri if "://" in uri else os.path.normpath(uri)
