"""Derivatives against finite differences, swings and gaps against what defines them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from operators.pose.fitting import rotations  # noqa: E402

vectors = st.tuples(*[st.floats(-1.8, 1.8)] * 3).map(lambda v: torch.tensor(v, dtype=torch.float64))


@given(vectors)
def test_matrices_and_axis_angles_are_inverse(vector):
    matrix = rotations.matrices(vector)
    again = rotations.matrices(rotations.axis_angles(matrix))
    torch.testing.assert_close(again, matrix)
    assert rotations.axis_angles(matrix).norm() <= torch.pi + 1e-9


@given(vectors)
def test_the_angle_to_the_identity_is_the_vectors_length(vector):
    angle = rotations.angles_between(torch.eye(3, dtype=torch.float64), rotations.matrices(vector))
    length = vector.norm()
    torch.testing.assert_close(angle, torch.minimum(length, 2 * torch.pi - length), atol=1e-7, rtol=0)


@given(vectors)
def test_the_inverse_right_jacobian_is_the_derivative_of_the_logarithm(vector):
    if vector.norm() > 3.0:  # the logarithm jumps at π
        vector = vector / vector.norm()

    def moved(delta):
        return rotations.axis_angles(rotations.matrices(vector) @ rotations.matrices(delta))

    step = 1e-5 * torch.eye(3, dtype=torch.float64)
    differences = torch.stack([(moved(d) - moved(-d)) / 2e-5 for d in step], dim=-1)
    torch.testing.assert_close(rotations.inverse_right_jacobian(vector), differences, atol=1e-6, rtol=1e-6)


@given(vectors, vectors)
def test_cross_matrices_multiply_across(first, second):
    torch.testing.assert_close(rotations.cross_matrices(first) @ second, torch.linalg.cross(first, second))


@given(vectors, vectors)
def test_a_swing_takes_one_direction_to_the_other_by_the_smallest_turn(start, end):
    if start.norm() < 1e-3 or end.norm() < 1e-3:
        return
    start, end = start / start.norm(), end / end.norm()
    swing = rotations.swings(start, end)
    torch.testing.assert_close(swing @ start, end, atol=1e-6, rtol=0)
    angle = torch.atan2(torch.linalg.cross(start, end).norm(), start @ end)
    torch.testing.assert_close(rotations.axis_angles(swing).norm(), angle, atol=1e-6, rtol=0)


def test_a_swing_turns_round_and_leaves_what_has_no_direction():
    up = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    down = torch.tensor([[0.0, -1.0, 0.0], [0.0, 1.0, 0.0]])
    swung = rotations.swings(up, down)
    torch.testing.assert_close(swung[0] @ up[0], down[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(swung[1], torch.eye(3))


@given(vectors, vectors)
def test_the_nearest_rotation_of_matched_points_is_theirs(turn, scale):
    matrix = rotations.matrices(turn)
    points = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.2, 0.3, 0.9]], dtype=torch.float64) * (1 + scale.abs())
    torch.testing.assert_close(rotations.nearest((points @ matrix.T).T @ points), matrix, atol=1e-7, rtol=0)


def test_gaps_are_crossed_evenly_and_edges_stand_still():
    angle = torch.tensor([9.0, 0.2, 7.0, 7.0, 0.8, 7.0])
    turns = rotations.matrices(torch.stack([angle, torch.zeros(6), torch.zeros(6)], -1))[None, :, None]
    seen = torch.tensor([0, 1, 0, 0, 1, 0], dtype=torch.bool)[None, :, None]
    filled = rotations.axis_angles(rotations.across_gaps(turns, seen))[0, :, 0, 0]
    torch.testing.assert_close(filled, torch.tensor([0.2, 0.2, 0.4, 0.6, 0.8, 0.8]), atol=1e-5, rtol=0)


def test_what_was_never_seen_stays():
    turns = rotations.matrices(torch.rand(2, 3, 2, 3))
    seen = torch.zeros(2, 3, 2, dtype=torch.bool)
    torch.testing.assert_close(rotations.across_gaps(turns, seen), turns)
