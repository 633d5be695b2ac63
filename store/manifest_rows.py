"""Rows of a CSV, JSONL or Parquet manifest, each with its place for messages."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from store.video_entry import ManifestError, shown

LINE_LIMIT = 1 << 20
"""Characters of one line or cell; more is not a manifest."""

COLUMN_LIMIT = 1000
"""Columns of a table."""

UNPACKED_LIMIT = 4 << 30
"""Bytes that a Parquet manifest may unpack to, as its footer tells."""

BATCH_ROWS = 1024

BATCH_LIMIT = 256 << 20
"""Bytes of text in `BATCH_ROWS` rows of a Parquet manifest: a dictionary can repeat a long text for two bits."""

Rows = Iterator[tuple[str, dict[str, Any] | ValueError]]
"""Pairs of a place ("line 7", "row 7") and the row's columns, or what is wrong with the row."""


def csv_rows(data: bytes) -> Rows:
    """Rows of a CSV table with a header line, UTF-8, comma-separated, quoted by RFC 4180."""
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    header: list[str] | None = None
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as problem:
            yield f"line {reader.line_num}", ValueError(f"not CSV: {problem}")
            return
        place = f"line {reader.line_num}"
        if not cells:
            continue
        if header is None:
            header = [name.strip() for name in cells]
            _check_header(header)
            if repeated := sorted(name for name, count in Counter(header).items() if count > 1):
                raise ManifestError(f"the header names a column twice: {', '.join(map(shown, repeated[:10]))}")
        elif len(cells) != len(header):
            yield place, ValueError(f"{len(cells)} cells where the header has {len(header)}")
        else:
            yield place, dict(zip(header, cells, strict=True))


def jsonl_rows(data: bytes) -> Rows:
    """Rows of a file with one JSON object (RFC 8259) on each line."""
    for number, line in enumerate(io.StringIO(_text(data), newline="\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        if len(line) > LINE_LIMIT:
            yield place, ValueError(f"{len(line):,} characters on a line; at most {LINE_LIMIT:,} are allowed")
            continue
        try:
            row = json.loads(line, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as problem:
            yield place, ValueError(f"not JSON: {problem}")
            continue
        yield place, row if isinstance(row, dict) else ValueError(f"{shown(row)} is not a JSON object")


def parquet_rows(data: bytes) -> Rows:
    """Rows of a Parquet file, one row group in memory at a time; texts are unpacked once they were measured."""
    try:
        file = _parquet_file(data)
        for name, kind in (("uri", "text"), ("video_id", "text"), ("etag", "text"), ("size", "whole numbers")):
            _check_type(file.schema_arrow, name, kind)
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            _check_batch(batch)
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (pa.ArrowException, OSError, MemoryError, ValueError, OverflowError) as problem:
        raise ManifestError(f"not a readable Parquet file: {shown(str(problem), 300)}") from None


def _parquet_file(data: bytes) -> pq.ParquetFile:
    """The file with its columns of text left as dictionaries. Raises `ManifestError` where it is too much."""
    facts = pq.read_metadata(io.BytesIO(data))
    if facts.num_columns > COLUMN_LIMIT:
        raise ManifestError(f"{facts.num_columns:,} columns; at most {COLUMN_LIMIT:,} are allowed")
    unpacked = sum(facts.row_group(group).total_byte_size for group in range(facts.num_row_groups))
    if not 0 <= unpacked <= UNPACKED_LIMIT:
        raise ManifestError(f"it unpacks to {unpacked:,} bytes; at most {UNPACKED_LIMIT:,} are allowed")
    schema = facts.schema.to_arrow_schema()
    _check_header(schema.names)
    texts = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
    return pq.ParquetFile(io.BytesIO(data), read_dictionary=texts)


def _check_batch(batch: pa.RecordBatch) -> None:
    """Raises `ManifestError` where the rows would be enormous as Python values."""
    size = 0
    for column in batch.columns:
        if isinstance(column, pa.DictionaryArray):
            lengths = pc.binary_length(column.dictionary).take(column.indices)  # type: ignore[attr-defined]
            size += pc.sum(lengths).as_py() or 0  # type: ignore[attr-defined]
        else:
            size += column.nbytes
    if size > BATCH_LIMIT:
        raise ManifestError(f"{batch.num_rows:,} rows of it hold {size:,} bytes; at most {BATCH_LIMIT:,} are allowed")


READERS: dict[str, Callable[[bytes], Rows]] = {
    ".csv": csv_rows,
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".parquet": parquet_rows,
}
"""Readers by the manifest's suffix in lower case."""


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        raise ManifestError(f"line {line} is not UTF-8; save the manifest as UTF-8") from None


def _check_header(names: Iterable[str]) -> None:
    """Raises `ManifestError` where there are too many columns, or none is `uri`."""
    columns = list(names)
    if len(columns) > COLUMN_LIMIT:
        raise ManifestError(f"{len(columns):,} columns; at most {COLUMN_LIMIT:,} are allowed")
    if "uri" not in columns:
        listed = ", ".join(shown(name) for name in columns[:10])
        raise ManifestError(f"no column 'uri'; the columns are {listed}. Rename the one that holds paths or URIs.")


def _check_type(schema: pa.Schema, name: str, kind: str) -> None:
    index = schema.get_field_index(name)
    if index < 0:
        return
    found = schema.field(index).type
    value = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
    if not (pa.types.is_null(value) or (pa.types.is_integer(value) if kind == "whole numbers" else text)):
        raise ManifestError(f"column '{name}' holds {value}; it must hold {kind}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
