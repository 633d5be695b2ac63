"""Arrays in rows and nested lists in tables: the same values, with no Python object per number.

A column of type list<fixed_size_list<number>> holds T frames of one shape; a row gives it an array of
shape (T, …) and gets one of shape (T, n) back, for Arrow does not know how the n values of a frame are
arranged. Two-dimensional arrays fit list<list<number>> as well, but are read back as lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from operators.contract import Row


def is_tensor(kind: pa.DataType) -> bool:
    """Whether columns of this type are read as arrays: list<fixed_size_list<number or bool>>."""
    return pa.types.is_list(kind) and pa.types.is_fixed_size_list(kind.value_type) and _is_number(_leaf(kind))


def has_arrays(values: Sequence[Any], kind: pa.DataType) -> bool:
    """Whether any of `values` is an array that `from_arrays` must turn into a column of `kind`."""
    nested = pa.types.is_list(kind) and (is_tensor(kind) or _is_matrix(kind))
    return nested and any(isinstance(value, np.ndarray) for value in values)


def from_array(value: np.ndarray, kind: pa.DataType) -> pa.Array:
    """The frames of `value` as an array of `kind`'s lists, one per frame.

    Raises `ValueError` where the dtype is not exactly the column's, the frames have another size, or a
    number is NaN or infinite.
    """
    leaf = _leaf(kind)
    expected = np.dtype(leaf.to_pandas_dtype())
    if value.dtype != expected:
        raise ValueError(f"an array of {value.dtype} is none of {expected}; convert it where it is made")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError("NaN and infinite numbers do not fit; write zeros, and say in a mask that they are none")
    flat = pa.array(np.ascontiguousarray(value).reshape(-1), type=leaf)
    frame = kind.value_type
    if _is_matrix(kind):
        if value.ndim != 2:
            raise ValueError(f"an array of shape {value.shape} is no list of lists")
        offsets = np.arange(len(value) + 1, dtype=np.int32) * value.shape[1]
        return pa.ListArray.from_arrays(pa.array(offsets), flat, type=frame)
    if value.ndim < 2 or prod(value.shape[1:]) != frame.list_size:
        raise ValueError(f"an array of shape {value.shape} is not T × {frame.list_size}")
    return pa.FixedSizeListArray.from_arrays(flat, type=frame)


def from_pieces(pieces: Sequence[pa.Array | None], kind: pa.DataType) -> pa.Array:
    """A column of `kind` whose rows are `pieces`, each an array of `kind`'s lists; None is null."""
    ends = np.cumsum([0, *(0 if piece is None else len(piece) for piece in pieces)], dtype=np.int64)
    if ends[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{ends[-1]} frames do not fit one column")
    present = [piece for piece in pieces if piece is not None]
    values = pa.concat_arrays(present) if present else pa.array([], type=kind.value_type)
    nulls = pa.array([piece is None for piece in pieces], type=pa.bool_())
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), values, type=kind, mask=nulls)


def to_rows(table: pa.Table) -> list[Row]:
    """The rows of `table` in order: arrays of shape (T, n), own and writable, for columns of tensors; else as Python.

    A tensor with nulls among its numbers is given as nested lists.
    """
    tensors = [field.name for field in table.schema if is_tensor(field.type)]
    rows: list[Row] = table.drop_columns(tensors).to_pylist() if tensors else table.to_pylist()
    for name in tensors:
        for row, value in zip(rows, _arrays(table[name]), strict=True):
            row[name] = value
    return rows if not tensors else [{name: row[name] for name in table.column_names} for row in rows]


def tensor_bytes(row: Row) -> int:
    """Bytes of the arrays in `row`."""
    return sum(value.nbytes for value in row.values() if isinstance(value, np.ndarray))


def _arrays(column: pa.ChunkedArray) -> list[Any]:
    found: list[Any] = []
    for chunk in column.chunks:
        size = chunk.type.value_type.list_size
        for scalar in chunk:
            if scalar.values is None:
                found.append(None)
                continue
            frames = scalar.values
            numbers = frames.flatten()
            if frames.null_count or numbers.null_count:
                found.append(scalar.as_py())
            else:
                found.append(np.array(numbers.to_numpy(zero_copy_only=False)).reshape(len(frames), size))
    return found


def _leaf(kind: pa.DataType) -> pa.DataType:
    return kind.value_type.value_type


def _is_matrix(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind.value_type) and _is_number(_leaf(kind))


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
