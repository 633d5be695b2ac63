"""The columns of people: shares of the picture, zeros where nothing was found."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from operators.pose import columns
from operators.pose.landmarking.attribution import Person
from operators.pose.landmarking.landmark_columns import landmark_columns
from operators.pose.landmarking.landmark_tracking import Body, Face, Hand

NOBODY = Person(None, None, None, None)
CROP = (0.25, 0.5, 0.5, 0.25)


def person(rng: np.random.Generator, blendshapes: bool = False) -> Person:
    def values(*shape: int) -> np.ndarray:
        return rng.random(shape, np.float32)

    return Person(
        Body(values(33, 4), values(33, 3), 0.75),
        Face(values(68, 3), values(52) if blendshapes else None),
        Hand(values(21, 3), values(21, 3), 0.9),
        Hand(values(21, 3), values(21, 3), 0.3),
    )


def test_columns_are_those_that_are_declared_and_fit_their_types():
    people = [person(np.random.default_rng(n)) for n in range(3)]
    row = landmark_columns(people, 30.0, CROP, blendshapes=False)
    assert list(row) == [field.name for field in columns.LANDMARKS]
    for field in columns.LANDMARKS:
        value = row[field.name]
        if isinstance(value, np.ndarray):
            assert value.dtype == np.float16 and len(value) == 3 == row["frame_count"]
            assert value[0].size == field.type.value_type.list_size
            pa.array([value.reshape(3, -1).tolist()], type=field.type)


def test_points_leave_in_shares_of_the_picture():
    someone = person(np.random.default_rng(1))
    row = landmark_columns([someone], 25.0, CROP, blendshapes=False)
    assert someone.body is not None and someone.face is not None and someone.right_hand is not None
    expected = someone.body.points[:, :3] * (0.5, 0.25, 0.5) + (0.25, 0.5, 0.0)
    np.testing.assert_allclose(row["body_landmarks"][0, :, :3], expected, atol=1e-3)
    np.testing.assert_allclose(row["body_landmarks"][0, :, 3], someone.body.points[:, 3], atol=1e-3)
    np.testing.assert_allclose(row["body_world"][0], someone.body.world, atol=1e-3)
    np.testing.assert_allclose(row["face_landmarks"][0, :, 2], someone.face.points[:, 2] * 0.5, atol=1e-3)
    np.testing.assert_allclose(row["hand_world"][0, 1], someone.right_hand.world, atol=1e-3)
    assert row["crop"] == list(CROP)


def test_presence_tells_how_sure_it_is():
    row = landmark_columns([person(np.random.default_rng(1))], 25.0, CROP, blendshapes=False)
    assert row["presence"][0].tolist() == pytest.approx([0.75, 1.0, 0.9, 0.7], abs=1e-3)


def test_a_hand_that_is_there_is_never_at_zero():
    hand = Hand(np.ones((21, 3), np.float32), np.ones((21, 3), np.float32), 0.0)
    row = landmark_columns([Person(None, None, hand, None)], 25.0, CROP, blendshapes=False)
    assert row["presence"][0].tolist() == [0.0, 0.0, pytest.approx(1e-3, rel=1e-2), 0.0]


def test_nobody_is_zeros():
    row = landmark_columns([NOBODY, NOBODY], 25.0, CROP, blendshapes=True)
    for name in ("body_landmarks", "body_world", "hand_landmarks", "hand_world", "face_landmarks", "presence"):
        assert row[name].shape[0] == 2 and not row[name].any()
    assert row["blendshapes"].shape == (2, 52) and not row["blendshapes"].any()


def test_blendshapes_are_null_without_their_network():
    people = [person(np.random.default_rng(1), blendshapes=True), NOBODY]
    assert landmark_columns(people, 25.0, CROP, blendshapes=False)["blendshapes"] is None
    filled = landmark_columns(people, 25.0, CROP, blendshapes=True)["blendshapes"]
    assert filled[0].any() and not filled[1].any()
