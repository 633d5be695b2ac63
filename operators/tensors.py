"""Per-frame tensors in rows: NumPy arrays on the way, Arrow fixed-size lists in storage.

An operator writes an array of shape (T, …) in exactly the declared dtype; the column's type is a list of
T fixed-size lists. Every number is finite: a frame without a value holds zeros, and a mask or a score
beside it says so. A row that comes back from a block or from storage holds an array of shape (T, n), or
nested lists: read it with `read_tensor`.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from operators.contract import Row
from operators.errors import ErrorKind, RowFailure

GRID = 2.0**-16
"""Step of stored rotations and translations: 0.001 degrees, 0.02 mm. Finer bits are noise that does not compress."""


def per_frame(dtype: pa.DataType, *shape: int) -> pa.DataType:
    """The column type for T frames of `shape`, flattened: list<fixed_size_list<dtype, prod(shape)>>."""
    return pa.list_(pa.list_(dtype, prod(shape)))


def read_tensor(row: Row, column: str, *shape: int, dtype: Any = np.float32) -> NDArray[Any]:
    """The column as an array of `dtype` and shape (T, *shape); NaN stands for null values inside it.

    Raises `RowFailure` (bad_output) where the column is null or its values do not have this shape.
    """
    value = row.get(column)
    if value is None:
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{column} is missing; run the operator that writes it again")
    try:
        return np.asarray(value, dtype=dtype).reshape(len(value), *shape)
    except (TypeError, ValueError) as problem:
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{column} is not T × {shape}: {problem}") from problem


def on_grid(values: ArrayLike) -> NDArray[np.float32]:
    """`values` rounded to multiples of `GRID`, so that they compress; exact in float32 up to ±256."""
    return (np.round(np.asarray(values, dtype=np.float64) / GRID) * GRID + 0.0).astype(np.float32)
