"""Weights of what was seen, rays through pixels, and clips of different length in one batch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from operators.errors import RowFailure  # noqa: E402
from operators.pose.fitting.observations import batch, read_observations  # noqa: E402
from operators.pose.meshes.crop_cameras import Picture  # noqa: E402
from operators.pose.topology import BODY  # noqa: E402
from tests.posed_landmarks import PICTURE, scene  # noqa: E402
from tests.tiny.smplx_body import rest_joints  # noqa: E402


@pytest.fixture
def row() -> dict:
    return dict(scene(rest_joints(), seed=1, frames=6).row)


def changed(row: dict, column: str, index: tuple, value: float) -> dict:
    array = row[column].copy()
    array[index] = value
    return {**row, column: array}


def test_rays_and_depths_are_in_focal_lengths(row):
    picture = Picture(1000, 500, 800.0)
    body, face = np.zeros((6, 33, 4), np.float16), np.zeros((6, 68, 3), np.float16)
    body[:, 0], face[:] = (0.75, 0.5, 0, 1), (0.5, 1.0, 0.1)
    found = read_observations({**row, "body_landmarks": body, "face_landmarks": face}, picture)
    np.testing.assert_allclose(found["image"][:, 0], [[250 / 800, 0]] * 6, atol=1e-6)
    np.testing.assert_allclose(found["face"][0, 0], [0, 250 / 800, 100 / 800], atol=1e-3)


def test_landmarks_count_as_they_are_seen_within_the_picture(row):
    elbow, shoulder, hip = (BODY[f"left_{name}"] for name in ("elbow", "shoulder", "hip"))
    row = changed(row, "body_landmarks", (0, elbow, 3), 0.5)
    row = changed(row, "body_landmarks", (0, shoulder, 3), 0.1)
    row = changed(row, "body_landmarks", (0, hip, 1), 1.2)
    weight = read_observations(row, PICTURE)["body_weight"][0]
    assert weight[elbow] == pytest.approx(0.5, abs=0.01)
    assert weight[shoulder] == 0 and weight[hip] == 0 and weight[BODY["nose"]] == 1


def test_nothing_is_made_of_frames_without_a_body_or_doubtful_hands(row):
    row = changed(row, "presence", (2, 0), 0.0)
    row = changed(row, "presence", (3, 2), 0.3)
    row = changed(row, "hand_world", (4, 1), 0.0)
    row = changed(row, "presence", (5, 1), 0.0)
    found = read_observations(row, PICTURE)
    assert not found["body_weight"][2].any() and found["body_weight"][3].any()
    assert found["hand_weight"].tolist() == [[1, 1], [1, 1], [1, 1], [0, 1], [1, 0], [1, 1]]
    assert found["face_weight"].tolist() == [1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none_weigh_nothing(row, value):
    row = changed(row, "body_world", (1, 5, 2), value)
    row = changed(row, "hand_landmarks", (2, 0, 4, 0), value)
    row = changed(row, "face_landmarks", (3, slice(None), 0), value)
    found = read_observations(row, PICTURE)
    assert all(np.isfinite(array).all() for array in found.values())
    assert found["body_weight"][1, 5] == 0 and found["body_weight"][1, 4] == 1
    assert found["hand_weight"][2].tolist() == [0, 1]
    assert found["face_weight"].tolist() == [1, 1, 1, 0, 1, 1]


def test_columns_of_different_length_fail_the_row(row):
    with pytest.raises(RowFailure, match="face_landmarks has 5 frames, and presence 6"):
        read_observations({**row, "face_landmarks": row["face_landmarks"][:5]}, PICTURE)


def test_a_batch_is_padded_and_can_be_cut(row):
    short = scene(rest_joints(), seed=2, frames=3).row
    clips = [read_observations(each, PICTURE) for each in (row, short)]
    both = batch(clips, [PICTURE, Picture(400, 300, 480.0)], [25.0, 30.0])
    assert both.real.tolist() == [[True] * 6, [True] * 3 + [False] * 3]
    assert both.pixel.tolist() == pytest.approx([0.8 / 960, 0.4 / 480])
    assert both.fps.tolist() == [25.0, 30.0]
    assert not both.body_weight[1, 3:].any()
    torch.testing.assert_close(both.world[1, :3], torch.from_numpy(clips[1]["world"]))
    torch.testing.assert_close(both.between(slice(1, 3)).world, both.world[:, 1:3])
    some = both.at(torch.tensor([[5, 0], [2, 2]]))
    torch.testing.assert_close(some.lips[0, 0], both.lips[0, 5])
    torch.testing.assert_close(some.lips[1, 1], both.lips[1, 2])
    assert some.fps is both.fps
