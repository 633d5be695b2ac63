"""Arrow schemas of everything that a run writes, and the one way from rows to tables.

A value that does not fit its column is an error of its row, never a silent loss:

- Missing and None are null. Null is how an operator says "not measured".
- NaN and infinities do not fit, at any depth, and neither does a number outside the column's range:
  a measure that could not be taken is null, and anything else is a bug to be seen.
- A float does not fit a column of whole numbers, and text does not fit a list.
- Text must be encodable as UTF-8.
- An array of frames fits list<fixed_size_list<…>> where its dtype is the column's and its frames have that size.
- `provenance`, a dictionary in rows, is written as a map sorted by column.
- Keys without a column (`record`, transient columns, notes of operators) are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pyarrow as pa

from operators.columns import STANDARD, STRUCTS, TRANSIENT, select
from operators.contract import Row
from operators.errors import ChainError, ErrorKind, RowError, RowFailure
from store.tensors import from_array, from_pieces, has_arrays

SCHEMA_VERSION = 2
"""Raise it whenever the name or type of a standard column changes; written to run.json and every footer."""

RESERVED = frozenset({"record", "uri", "reused", *(field.name for field in TRANSIENT)})
"""Keys of the stream that an operator's own columns may not take."""


def _field(name: str, kind: pa.DataType, unit: str, doc: str) -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "doc": doc, "source": ""})


MANIFEST_SCHEMA = pa.schema(
    [
        *select("video_id"),
        _field("uri", pa.string(), "", "where the video lies, as given"),
        _field("size", pa.int64(), "byte", "its size when the manifest was made; null where unknown"),
        _field("etag", pa.string(), "", "names its bytes when the manifest was made; null where unknown"),
        *select("extra"),
    ]
)
"""The videos of one partition, in the order of the input."""

VIDEO_SCHEMA = pa.schema(
    [
        *select("video_id", "video_path"),
        _field("status", pa.string(), "", "done | partial (clips, and an error) | failed (an error, and no clip)"),
        _field("n_clips", pa.int32(), "", "clips that the video was split into: kept, dropped and failed"),
        _field("error", STRUCTS["error"], "", "what went wrong; null when done"),
        *select("video_duration", "video_resolution", "video_fps"),
        _field("codec", pa.string(), "", "FFmpeg's name of the video codec"),
        _field("has_audio", pa.bool_(), "", "whether there is an audio stream"),
        _field("size", pa.int64(), "byte", "size of the file that was read"),
        _field("etag", pa.string(), "", "names the bytes that were read"),
        *select("extra"),
    ]
)
"""One record per video; columns are null where the video could not be opened."""

VERDICT_SCHEMA = pa.schema([*select("clip_id", "video_id", "clip_index", "tier", "drop_reason", "hq_drop_reason")])
"""Tiers decided anew from stored scores; laid over the clips by `clip_id`."""


class Misfit(RowFailure):
    """A value does not fit its column. `column` names it; `kind` is always `bad_output`."""

    def __init__(self, column: str, row: Row, reason: object) -> None:
        whose = row.get("clip_id") or row.get("video_id") or "a row without id"
        super().__init__(ErrorKind.BAD_OUTPUT, f"column {column!r} of {whose}: {reason}")
        self.column = column


def clip_schema(writes: Iterable[pa.Schema], keep_media: bool) -> pa.Schema:
    """The schema of `clips/` and `failed/`: the standard columns, then the chain's own ones in its order.

    Args:
        writes: the `writes` of every operator of the chain.
        keep_media: also write the keyframes and the audio.

    Raises `ChainError` when two operators give one column different types, or take a reserved name.
    """
    fields = {field.name: field for field in (*STANDARD, *(TRANSIENT if keep_media else ()))}
    transient = {field.name: field for field in TRANSIENT}
    for field in (field for schema in writes for field in schema):
        known = fields.get(field.name) or transient.get(field.name)
        if known is None and field.name in RESERVED:
            raise ChainError(f"column {field.name!r} belongs to the stream; give it another name")
        if known is not None and known.type != field.type:
            raise ChainError(f"column {field.name!r} is {known.type} elsewhere, and {field.type} in `writes`")
        if known is None:
            fields[field.name] = field
    return pa.schema(list(fields.values()))


def to_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """A table of `rows`, in order. Raises `Misfit` naming the first column and row that do not fit."""
    columns = []
    for field in schema:
        values = [_value(row, field) for row in rows]
        try:
            columns.append(_array(values, field.type))
        except _NO_FIT as problem:
            for row, value in zip(rows, values, strict=True):
                _check(row, field, value)
            raise Misfit(field.name, {}, problem) from problem
    return pa.Table.from_arrays(columns, schema=schema)


def check_row(row: Row, schema: pa.Schema) -> None:
    """Raise `Misfit` for the first value of `row` that does not fit its column."""
    for field in schema:
        _check(row, field, _value(row, field))


def fitting(rows: Sequence[Row], schema: pa.Schema) -> tuple[pa.Table, list[tuple[Row, Misfit]]]:
    """A table of the rows that fit, in order, and the others with the reason why they do not."""
    try:
        return to_table(rows, schema), []
    except Misfit:
        good, bad = [], []
        for row in rows:
            try:
                check_row(row, schema)
                good.append(row)
            except Misfit as problem:
                bad.append((row, problem))
        return to_table(good, schema), bad


def failed_row(row: Row, error: RowError, schema: pa.Schema) -> Row:
    """The row to write to `failed/`: `row` with `error`, and without the values that do not fit."""
    kept: Row = {}
    for field in schema:
        try:
            value = _value(row, field)
            _check(row, field, value)
            kept[field.name] = value
        except Misfit:
            continue
    return {**kept, "error": error}


_NO_FIT = (pa.ArrowException, TypeError, ValueError, OverflowError, UnicodeError)


def _value(row: Row, field: pa.Field) -> Any:
    value = row.get(field.name)
    if not isinstance(value, dict) or not pa.types.is_map(field.type):
        return value
    try:
        return sorted(value.items())
    except TypeError as problem:
        raise Misfit(field.name, row, problem) from problem


def _check(row: Row, field: pa.Field, value: Any) -> None:
    try:
        _array([value], field.type)
    except _NO_FIT as problem:
        raise Misfit(field.name, row, problem) from problem


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if has_arrays(values, kind):
        return from_pieces([_frames(value, kind) for value in values], kind)
    array = pa.array(values, type=kind)
    _refuse_losses(values, kind)
    for chunk in array.chunks if isinstance(array, pa.ChunkedArray) else [array]:
        for leaf in _floats(chunk):
            if not np.isfinite(leaf.drop_null().to_numpy(zero_copy_only=False)).all():
                raise ValueError("NaN and infinite numbers do not fit; leave the value out where it is not known")
    return array


def _frames(value: Any, kind: pa.DataType) -> pa.Array | None:
    if isinstance(value, np.ndarray):
        return from_array(value, kind)
    return None if value is None else _array([value], kind).flatten()


def _floats(array: pa.Array) -> Iterator[pa.Array]:
    if pa.types.is_floating(array.type):
        yield array
    elif pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _floats(child)
    elif pa.types.is_map(array.type):
        yield from _floats(array.items)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        yield from _floats(array.flatten())


def _refuse_losses(values: Iterable[Any], kind: pa.DataType) -> None:
    """Raise `ValueError` for what pyarrow would take with a loss and without a word.

    That is a float where `kind` is of integers (its fraction is cut off), and text where it is a list
    (it falls apart into letters).
    """
    present = [value for value in values if value is not None]
    if pa.types.is_integer(kind):
        for value in present:
            if not isinstance(value, Integral):
                raise ValueError(f"{value!r:.50} is not a whole number")
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        for value in present:
            if isinstance(value, str | bytes):
                raise ValueError(f"{value!r:.50} is not a list")
            if _may_lose(kind.value_type):
                _refuse_losses(value, kind.value_type)
    elif pa.types.is_struct(kind) and _may_lose(kind):
        for field in kind:
            _refuse_losses([row.get(field.name) for row in present], field.type)


def _may_lose(kind: pa.DataType) -> bool:
    nested = [kind.field(i).type for i in range(kind.num_fields)]
    return pa.types.is_integer(kind) or pa.types.is_list(kind) or any(map(_may_lose, nested))
