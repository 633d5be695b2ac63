"""Rows of a CSV, JSONL or Parquet manifest, each with its place for messages."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from store.video_entry import ManifestError, shown

LINE_LIMIT = 1 << 20
"""Characters of one line or cell; more is not a manifest."""

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
            if repeated := sorted({name for name in header if header.count(name) > 1}):
                raise ManifestError(f"the header names a column twice: {', '.join(map(shown, repeated))}")
            yield from _header(header)
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
    """Rows of a Parquet file, one row group in memory at a time."""
    try:
        file = pq.ParquetFile(io.BytesIO(data))
        yield from _header(file.schema_arrow.names)
        for name, kind in (("uri", "text"), ("video_id", "text"), ("etag", "text"), ("size", "whole numbers")):
            _check_type(file.schema_arrow, name, kind)
        number = 0
        for batch in file.iter_batches(batch_size=8192):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row
    except (pa.ArrowException, OSError) as problem:
        raise ManifestError(f"not a readable Parquet file: {problem}") from None


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


def _header(names: Iterable[str]) -> Rows:
    """Nothing; raises `ManifestError` where the column `uri` is missing."""
    columns = list(names)
    if "uri" not in columns:
        listed = ", ".join(shown(name) for name in columns[:10])
        raise ManifestError(f"no column 'uri'; the columns are {listed}. Rename the one that holds paths or URIs.")
    yield from ()


def _check_type(schema: pa.Schema, name: str, kind: str) -> None:
    index = schema.get_field_index(name)
    if index < 0:
        return
    found = schema.field(index).type
    value = found.value_type if pa.types.is_dictionary(found) else found
    text = pa.types.is_string(value) or pa.types.is_large_string(value) or pa.types.is_string_view(value)
    if not (pa.types.is_null(value) or (pa.types.is_integer(value) if kind == "whole numbers" else text)):
        raise ManifestError(f"column '{name}' holds {found}; it must hold {kind}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key is there twice")
    return row


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
