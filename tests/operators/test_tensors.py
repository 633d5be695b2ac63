from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.errors import ErrorKind, RowFailure
from operators.tensors import GRID, on_grid, per_frame, read_tensor


def test_a_column_holds_frames_of_one_size():
    assert per_frame(pa.float16(), 2, 21, 3) == pa.list_(pa.list_(pa.float16(), 126))


def test_arrays_and_nested_lists_read_the_same():
    poses = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    for value in (poses, poses.reshape(2, 12), poses.reshape(2, 12).tolist()):
        assert np.array_equal(read_tensor({"poses": value}, "poses", 4, 3), poses)


def test_nulls_inside_read_as_nan():
    found = read_tensor({"x": [[1.0, None], [2.0, 3.0]]}, "x", 2)
    assert np.isnan(found[0, 1])
    assert found[1, 1] == 3.0


def test_an_empty_clip_has_no_frames():
    assert read_tensor({"x": np.zeros((0, 12), np.float32)}, "x", 4, 3).shape == (0, 4, 3)


@pytest.mark.parametrize("value", [None, [[1.0, 2.0, 3.0]], [[1.0], [1.0, 2.0]], "text", [["a", "b"]]])
def test_what_has_another_shape_fails_the_row(value: object):
    with pytest.raises(RowFailure) as caught:
        read_tensor({"x": value}, "x", 2)
    assert caught.value.kind is ErrorKind.BAD_OUTPUT


@given(st.lists(st.floats(-250, 250, width=32), min_size=1, max_size=30))
def test_rounding_moves_a_number_by_half_a_step_at_most_and_happens_once(values: list[float]):
    rounded = on_grid(values)
    assert rounded.dtype == np.float32
    assert np.abs(rounded - np.asarray(values)).max() <= GRID / 2
    assert np.array_equal(on_grid(rounded), rounded)
    assert not np.signbit(rounded[rounded == 0]).any()
