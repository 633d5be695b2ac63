"""Arrays go into tables and come out of them unchanged, and what does not fit is refused."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from operators.errors import RowError
from operators.tensors import per_frame
from store.schema import Misfit, check_row, failed_row, fitting, to_table
from store.tensors import has_arrays, is_tensor, tensor_bytes, to_rows

SCHEMA = pa.schema(
    [
        ("clip_id", pa.string()),
        ("poses", per_frame(pa.float32(), 4, 3)),
        ("points", per_frame(pa.float16(), 2, 3)),
        ("mask", per_frame(pa.bool_(), 5)),
        ("counts", per_frame(pa.int16(), 2)),
        ("expression", pa.list_(pa.list_(pa.float32()))),
        ("errors", pa.list_(pa.float32())),
        ("frame_mask", pa.list_(pa.bool_())),
    ]
)
ERROR = RowError(operator="schema", kind="bad_output", message="no")


def row(frames: int = 3, **columns: Any) -> dict[str, Any]:
    count = np.arange(frames)
    return {
        "clip_id": "a",
        "poses": np.linspace(-1, 1, frames * 12, dtype=np.float32).reshape(frames, 4, 3),
        "points": np.full((frames, 2, 3), 0.25, dtype=np.float16),
        "mask": (count[:, None] + np.arange(5)) % 2 == 0,
        "counts": np.stack([count, -count], axis=1).astype(np.int16),
        "expression": np.full((frames, 7), 0.5, dtype=np.float32),
        "errors": np.full(frames, 0.125, dtype=np.float32),
        "frame_mask": count % 3 != 0,
        **columns,
    }


def test_what_counts_as_a_tensor():
    tensors = [field.name for field in SCHEMA if is_tensor(field.type)]
    assert tensors == ["poses", "points", "mask", "counts"]
    assert not is_tensor(pa.list_(pa.list_(pa.string(), 2)))
    assert not is_tensor(pa.list_(pa.binary()))
    assert not has_arrays([np.zeros(3)], pa.list_(pa.float64()))
    assert has_arrays([None, np.zeros((3, 2))], pa.list_(pa.list_(pa.float64())))


def test_rows_come_back_as_arrays_of_their_own():
    rows = [row(3), row(0), row(5, poses=None), row(2, clip_id=None)]
    table = to_table(rows, SCHEMA)
    table.validate(full=True)
    assert table.schema.equals(SCHEMA)
    back = to_rows(table)
    assert [list(found) for found in back] == [SCHEMA.names] * 4
    assert back[2]["poses"] is None
    assert back[3]["clip_id"] is None
    for given_row, found in zip(rows, back, strict=True):
        for name in ("poses", "points", "mask", "counts"):
            if given_row[name] is not None:
                assert found[name].dtype == given_row[name].dtype
                assert np.array_equal(found[name], given_row[name].reshape(found[name].shape))
    assert back[0]["expression"] == [[0.5] * 7] * 3
    assert back[0]["errors"] == [0.125] * 3
    back[0]["poses"][:] = 9
    assert to_rows(table)[0]["poses"].max() <= 1
    assert to_table(to_rows(table), SCHEMA).equals(table)


def test_arrays_and_nested_lists_mix_in_a_column():
    listed = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row(4).items()}
    for name in ("poses", "points"):
        listed[name] = row(4)[name].reshape(4, -1).tolist()
    mixed = to_table([row(4), listed, row(1, poses=None)], SCHEMA)
    assert mixed.slice(0, 1).to_pylist() == mixed.slice(1, 1).to_pylist()
    assert to_table([listed, row(4)], SCHEMA).slice(1, 1).equals(mixed.slice(0, 1))


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32]),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5),
        elements={"allow_nan": False, "allow_infinity": False},
    )
)
def test_any_finite_array_survives_bit_by_bit(array: np.ndarray):
    kind = per_frame(pa.from_numpy_dtype(array.dtype), *array.shape[1:])
    schema = pa.schema([("x", kind), ("y", kind)])
    backwards = array[::-1]
    chunked = pa.concat_tables([to_table([{"x": array, "y": backwards}], schema), to_table([{"x": None}], schema)])
    for table in (chunked, chunked.combine_chunks(), chunked.take(pa.array([0, 1])), chunked.slice(0, 2)):
        found, empty = to_rows(table)
        assert found["x"].tobytes() == array.tobytes()
        assert found["y"].tobytes() == np.ascontiguousarray(backwards).tobytes()
        assert empty["x"] is None


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("poses", np.zeros((3, 4, 3)), "array of float64 is none of float32"),
        ("poses", np.zeros((3, 4, 3), np.float16), "array of float16"),
        ("poses", np.zeros((3, 12), np.int32), "array of int32"),
        ("points", np.zeros((3, 2, 3), np.float32), "array of float32 is none of float16"),
        ("mask", np.zeros((3, 5), np.uint8), "array of uint8 is none of bool"),
        ("counts", np.zeros((3, 2), np.int64), "array of int64"),
        ("poses", np.zeros((3, 4, 4), np.float32), "is not T × 12"),
        ("poses", np.zeros(12, np.float32), "is not T × 12"),
        ("poses", np.zeros((), np.float32), "is not T × 12"),
        ("expression", np.zeros((3, 4, 2), np.float32), "no list of lists"),
        ("expression", np.zeros(3, np.float32), "no list of lists"),
        ("poses", np.full((3, 4, 3), np.nan, np.float32), "NaN"),
        ("points", np.full((3, 2, 3), 1e6).astype(np.float64), "float64"),
        ("points", np.full((3, 2, 3), np.inf, np.float16), "NaN and infinite"),
        ("expression", np.full((3, 4), np.inf, np.float32), "NaN and infinite"),
        ("poses", [[0.0] * 11], "12"),
        ("poses", [[float("nan")] * 12], "NaN"),
        ("poses", np.array([["a"] * 12]), "array of <U1"),
        ("poses", np.array([[object()] * 12]), "array of object"),
    ],
)
def test_what_does_not_fit_is_named(column: str, value: Any, reason: str):
    bad = row(3, **{column: value}, clip_id="b")
    with pytest.raises(Misfit, match=reason) as caught:
        check_row(bad, SCHEMA)
    assert caught.value.column == column
    with pytest.raises(Misfit, match=f"column '{column}' of b"):
        to_table([row(3), bad, row(2)], SCHEMA)
    table, misfits = fitting([row(3), bad, row(2)], SCHEMA)
    assert table.num_rows == 2
    assert [found is bad for found, _ in misfits] == [True]
    kept = failed_row(bad, ERROR, SCHEMA)
    assert set(SCHEMA.names) - set(kept) == {column}
    assert kept["error"] == ERROR
    to_table([kept], SCHEMA)


def test_nulls_among_the_numbers_are_given_as_lists():
    table = pa.table({"poses": pa.array([[[None] + [0.0] * 11]], SCHEMA.field("poses").type)})
    assert to_rows(table) == [{"poses": [[None] + [0.0] * 11]}]
    table = pa.table({"poses": pa.array([[None, [0.0] * 12]], SCHEMA.field("poses").type)})
    assert to_rows(table) == [{"poses": [None, [0.0] * 12]}]


def test_bytes_are_those_of_the_arrays():
    assert tensor_bytes({"a": np.zeros((3, 4), np.float16), "b": np.zeros(5, bool), "audio": b"123"}) == 29


def test_no_python_object_is_made_per_number():
    """A clip of 10 s takes a few milliseconds each way; as Python floats it would take over a hundred."""
    frames = 300
    schema = pa.schema([("poses", per_frame(pa.float32(), 55, 3)), ("face", per_frame(pa.float16(), 68, 3))])
    rng = np.random.default_rng(1)
    rows = [
        {
            "poses": rng.normal(size=(frames, 55, 3)).astype(np.float32),
            "face": rng.normal(size=(frames, 68, 3)).astype(np.float16),
        }
        for _ in range(4)
    ]
    lists = [{name: value.reshape(frames, -1).tolist() for name, value in found.items()} for found in rows]

    def seconds(rows: list[dict[str, Any]]) -> float:
        best = 1e9
        for _ in range(3):
            start = time.process_time()
            to_rows(to_table(rows, schema))
            best = min(best, time.process_time() - start)
        return best

    assert seconds(rows) < seconds(lists) / 4
