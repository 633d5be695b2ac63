"""Shards: immutable Parquet objects of rows of one partition, named by markers.

The same table and footer give the same bytes. Footer metadata sits under keys that begin with
`rushes.`, so that a shard which no marker names yet can be recognised without reading its rows.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from operators.errors import ConfigurationError, StorageError
from store.layout import parse_shard_key, partition_prefix, shard_key
from store.markers import ShardEntry
from store.objects import ObjectInfo, ObjectStore
from store.run_record import package_version
from store.schema import SCHEMA_VERSION

PREFIX = "rushes."
ROW_GROUP_BYTES = 64 << 20  # uncompressed: large enough to compress well, small enough to read beside others
ROW_GROUP_ROWS = 65_536
DENSE_FLOATS = 64  # numbers per row, on average, from which a column of floats is taken for a tensor
SMALLEST = 12  # bytes of a Parquet file: two magic numbers and the length of the footer
FOOTER_READ = 64 << 10  # one ranged read covers the footer of any schema of ours


def write_shard(
    store: ObjectStore, kind: str, partition: int, name: str, table: pa.Table, footer: Mapping[str, str]
) -> ShardEntry:
    """Write `table` as one whole object and describe it for the marker.

    Args:
        footer: facts to find again with `read_footer`, such as the chain's fingerprint. `kind`,
            `partition`, `schema_version` and `package_version` are added.

    Raises `StorageError` when the object could not be written.
    """
    key = shard_key(kind, partition, name)
    facts = {
        "kind": kind,
        "partition": str(partition),
        "schema_version": str(SCHEMA_VERSION),
        "package_version": package_version(),
        **{key.removeprefix(PREFIX): value for key, value in footer.items()},
    }
    data = _encode(table, facts)
    store.put(key, data)
    return _entry(key, table.num_rows, data)


def read_shard(store: ObjectStore, entry: ShardEntry, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a shard in order, without those that its marker excludes.

    Raises `StorageError` when the object is missing, or is not the one that was committed.
    """
    data = store.get(entry.key)
    if problem := damage(entry, data):
        raise StorageError(f"{entry.key}: {problem}; `python -m jobs.verify` lists all damage")
    return without(decode(entry.key, data, columns), entry.exclude)


def adopt_shard(store: ObjectStore, key: str, columns: Sequence[str] | None = None) -> tuple[ShardEntry, pa.Table]:
    """An entry for a shard that no marker names yet, and its rows (all `columns`, or these), in one read.

    Raises `StorageError` when it is missing or no whole Parquet file, `ConfigurationError` when
    `key` is not that of a shard.
    """
    if parse_shard_key(key) is None:
        raise ConfigurationError(f"not the key of a shard: {key!r:.200}")
    data = store.get(key)
    table = decode(key, data, columns)
    return _entry(key, table.num_rows, data), table


def list_shards(store: ObjectStore, partition: int) -> list[ObjectInfo]:
    """The objects under `clips/`, `videos/` and `failed/` of one partition, committed or not."""
    return [
        found
        for kind in ("clips", "videos", "failed")
        for found in store.list(partition_prefix(kind, partition))
        if parse_shard_key(found.key)
    ]


def read_footer(store: ObjectStore, key: str, size: int) -> dict[str, str]:
    """The footer facts of a shard of `size` bytes, without their prefix, from one ranged read or two.

    Raises `StorageError` when the object is missing or no whole Parquet file.
    """
    if size < SMALLEST:
        raise StorageError(f"{key}: not a whole Parquet file: {size} bytes")
    start = max(0, size - FOOTER_READ)
    tail = store.get_range(key, start, size - start)
    needed = int.from_bytes(tail[-8:-4], "little") + 8
    if len(tail) < needed <= size:
        tail = store.get_range(key, size - needed, needed)
    try:
        metadata = pq.read_metadata(pa.BufferReader(tail)).metadata or {}
    except _NOT_PARQUET as problem:
        raise StorageError(f"{key}: not a whole Parquet file: {problem}") from problem
    prefix = PREFIX.encode()
    return {
        name.removeprefix(prefix).decode(errors="replace"): value.decode(errors="replace")
        for name, value in metadata.items()
        if name.startswith(prefix)
    }


def damage(entry: ShardEntry, data: bytes) -> str | None:
    """What is wrong with the bytes of a committed shard: truncated or altered; None when they are whole."""
    if len(data) != entry.bytes:
        how = "truncated" if len(data) < entry.bytes else "altered"
        return f"{how}: {len(data)} of {entry.bytes} bytes"
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        return "altered: its checksum is not the committed one"
    return None


def decode(key: str, data: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The table in a shard's bytes, without footer facts. Raises `StorageError` naming `key`."""
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read(columns=list(columns) if columns is not None else None)
    except _NOT_PARQUET as problem:
        raise StorageError(f"{key}: not a whole Parquet file: {problem}") from problem
    return table.replace_schema_metadata(None)


def without(table: pa.Table, exclude: Sequence[int]) -> pa.Table:
    """`table` without the rows of these numbers; numbers past the end are ignored."""
    if not exclude:
        return table
    keep = np.ones(table.num_rows, dtype=bool)
    numbers = np.asarray(exclude, dtype=np.int64)
    keep[numbers[numbers < table.num_rows]] = False
    return table.filter(pa.array(keep))


_NOT_PARQUET = (pa.ArrowException, OSError, ValueError)


def _encode(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    whole = table.combine_chunks().replace_schema_metadata(
        {PREFIX + name: facts[name] for name in sorted(facts)},
    )
    per_row = max(1, whole.nbytes // max(1, whole.num_rows))
    sink = io.BytesIO()
    pq.write_table(
        whole,
        sink,
        compression="zstd",
        row_group_size=max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // per_row)),
        **_encodings(whole),
    )
    return sink.getvalue()


def _encodings(table: pa.Table) -> dict[str, Any]:
    """Parquet's options for columns of many floats: bytes of one significance side by side, and no dictionary.

    zstd then finds the signs and exponents that neighbours share; a dictionary of measured floats has
    as many entries as there are values.
    """
    dense, others = [], []
    for column, field in zip(table.columns, table.schema, strict=True):
        for path, count, kind in _leaves(column.combine_chunks(), field.name):
            floats = pa.types.is_floating(kind) and count >= DENSE_FLOATS * max(1, table.num_rows)
            (dense if floats else others).append(path)
    if not dense:
        return {}
    return {"use_dictionary": others, "column_encoding": dict.fromkeys(dense, "BYTE_STREAM_SPLIT")}


def _leaves(array: pa.Array, path: str) -> Iterator[tuple[str, int, pa.DataType]]:
    """Parquet's path, number of values and type of every leaf column."""
    kind = array.type
    if pa.types.is_struct(kind):
        for number, field in enumerate(kind):
            yield from _leaves(array.field(number), f"{path}.{field.name}")
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys, f"{path}.key_value.key")
        yield from _leaves(array.items, f"{path}.key_value.value")
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(array.flatten(), f"{path}.list.element")
    else:
        yield path, len(array), kind


def _entry(key: str, rows: int, data: bytes) -> ShardEntry:
    parts = parse_shard_key(key)
    assert parts is not None
    return ShardEntry(kind=parts.kind, key=key, rows=rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
