"""Rows between two stages: as Arrow blocks with declared columns, and never more of them than are needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

from operators.columns import TRANSIENT
from operators.contract import Operator, Row, row_error
from pipeline.meter import Meter
from store.schema import failed_row, fitting, to_table
from store.tensors import tensor_bytes, to_rows

STREAM = (
    pa.field("record", pa.string()),
    pa.field("partition", pa.int32()),
    pa.field("take", pa.int32()),
    pa.field("reused", pa.list_(pa.string())),
    pa.field("tallies", pa.string()),
    pa.field("payload", pa.string()),
)
"""What a row carries beside its columns; `tallies` is JSON, and `payload` is the JSON of a row that is no clip."""

HALT = "halt"
"""`record` of a row that ends the run: an engine or server is down, which is no clip's fault. Has a `message`."""

CHUNK_BYTES = 8 << 20
"""Media and tensors in one block, about."""


def media_bytes(row: Row) -> int:
    """Bytes of a row's audio, keyframes and arrays: all that makes rows large."""
    return len(row.get("audio") or b"") + sum(map(len, row.get("keyframes") or ())) + tensor_bytes(row)


def transit_schema(clips: pa.Schema, later: Sequence[Operator]) -> pa.Schema:
    """Columns that pass a stage boundary: `clips` and those media that a later operator still reads."""
    needed = {column for operator in later for column in operator.reads}
    media = [column for column in TRANSIENT if column.name in needed and column.name not in clips.names]
    return pa.schema([*STREAM, *clips, *media])


def to_blocks(rows: Iterable[Row], schema: pa.Schema, limit: int = 256) -> Iterator[pa.Table]:
    """`rows` as tables of at most `limit` rows or about `CHUNK_BYTES` of media and tensors.

    A clip whose values do not fit its columns travels on as a failed clip with those that do.
    """
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(_packed(row))
        size += media_bytes(row)
        if len(chunk) >= limit or size >= CHUNK_BYTES:
            yield _table(chunk, schema)
            chunk, size = [], 0
    if chunk:
        yield _table(chunk, schema)


def with_tallies(rows: Iterable[Row], meter: Meter) -> Iterator[Row]:
    """`rows`, where the last one carries the cost of this stage in `tallies`, beside that of earlier ones.

    The cost travels with a row that the commit waits for, so that it cannot come too late.
    """
    held: Row | None = None
    for row in rows:
        if held is not None:
            yield held
        held = row
    if held is not None:
        own = {name: tally.model_dump() for name, tally in meter.tallies().items()}
        yield {**held, "tallies": [*held.get("tallies", ()), own]}


def from_block(table: pa.Table) -> Iterator[Row]:
    """The rows of a block, in order; columns of tensors as arrays of shape (T, n)."""
    for packed in to_rows(table):
        if packed["payload"] is not None:
            yield json.loads(packed["payload"])
            continue
        row = {name: value for name, value in packed.items() if value is not None}
        row.pop("payload", None)
        row["provenance"] = dict(row.get("provenance") or ())
        row["reused"] = frozenset(row.get("reused") or ())
        if "tallies" in row:
            row["tallies"] = json.loads(row["tallies"])
        row.setdefault("error", None)
        yield row


def _packed(row: Row) -> Row:
    if row["record"] == "clip":
        tallies = json.dumps(row["tallies"]) if row.get("tallies") else None
        return {**row, "reused": sorted(row.get("reused") or ()), "tallies": tallies}
    stream = {name: row.get(name) for name in ("record", "partition", "take")}
    return {**stream, "payload": json.dumps({name: value for name, value in row.items() if name != "reused"})}


def _table(chunk: list[Row], schema: pa.Schema) -> pa.Table:
    good, bad = fitting(chunk, schema)
    if not bad:
        return good
    reasons = {id(row): problem for row, problem in bad}
    mended = [
        failed_row(row, row_error("schema", reasons[id(row)]), schema) if id(row) in reasons else row for row in chunk
    ]
    return to_table(mended, schema)
