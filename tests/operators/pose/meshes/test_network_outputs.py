"""What outputs mean: names, forms of rotations, and mistakes told in words."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.errors import RowFailure
from operators.pose.meshes.network_outputs import as_axis_angle, chosen, covered, joint_rotations, numbers

TURNS = Rotation.random(4 * 21, rng=np.random.default_rng(0))


def written(form: str) -> np.ndarray:
    matrices = TURNS.as_matrix()
    values = {
        "axis_angle": TURNS.as_rotvec(),
        "matrix": matrices.reshape(-1, 9),
        "6d_columns": np.concatenate([matrices[:, :, 0], matrices[:, :, 1]], axis=1),
        "6d_rows": matrices[:, :2].reshape(-1, 6),
    }[form]
    return values.reshape(4, 21, -1)


@pytest.mark.parametrize("form", ["axis_angle", "matrix", "6d_columns", "6d_rows"])
def test_every_form_is_the_same_rotation(form):
    given = {
        "global_orient": np.zeros((4, 1, written(form).shape[2])) + written(form)[:, :1],
        "body_pose": written(form),
    }
    poses = joint_rotations(given, form, {})
    assert poses.shape == (4, 55, 3)
    found = Rotation.from_rotvec(poses[:, 1:22].reshape(-1, 3))
    assert (found.inv() * TURNS).magnitude().max() < 1e-6
    assert not poses[:, 22:].any()
    flat = {name: array.reshape(4, -1) for name, array in given.items()}
    np.testing.assert_array_equal(joint_rotations(flat, form, {}), poses)


def test_a_part_may_have_a_form_of_its_own():
    given = {"global_orient": np.tile(np.eye(3), (4, 1, 1)), "body_pose": written("6d_rows")}
    poses = joint_rotations(given, "6d_rows", {"global_orient": "matrix"})
    np.testing.assert_allclose(poses[:, 0], 0, atol=1e-12)


def test_all_joints_may_come_as_one():
    draw = np.random.default_rng(1).normal(0, 0.5, (3, 165))
    np.testing.assert_allclose(joint_rotations({"poses": draw}, "axis_angle", {}), draw.reshape(3, 55, 3), atol=1e-12)
    assert covered({"poses"}).all()


def test_6d_vectors_need_no_length_and_no_right_angle():
    raw = written("6d_columns").reshape(-1, 6) * 3.0
    raw[:, 3:] += 0.5 * raw[:, :3]
    found = Rotation.from_rotvec(as_axis_angle(raw, "6d_columns", "body_pose")[:, 0])
    assert (found.inv() * TURNS).magnitude().max() < 1e-6


def test_which_joints_parts_turn():
    assert np.flatnonzero(covered({"global_orient", "body_pose", "betas", "camera"})).tolist() == list(range(22))
    assert np.flatnonzero(covered({"right_hand_pose"})).tolist() == list(range(40, 55))


def test_outputs_are_found_by_their_own_or_by_given_names():
    there = ["global_orient", "theta", "cam", "betas", "other"]
    assert chosen(there, {"body_pose": "theta", "camera": "cam"}) == {
        "global_orient": "global_orient",
        "body_pose": "theta",
        "betas": "betas",
        "camera": "cam",
    }
    assert chosen(["poses", "transl"], {}) == {"poses": "poses", "transl": "transl"}


def test_an_output_that_was_given_away_is_not_taken_by_its_name_too():
    found = chosen(["poses", "camera", "betas"], {"expression": "betas"})
    assert found == {"poses": "poses", "camera": "camera", "expression": "betas"}


@pytest.mark.parametrize(
    ("there", "named", "says"),
    [
        (["a", "b"], {"camera": "c"}, "has no output c; it has a, b"),
        (["body_pose", "camera"], {}, "gives neither poses nor global_orient and body_pose"),
        (["poses"], {}, "gives none of transl, crop_transl, camera; name its outputs: poses"),
        ([], {}, "name its outputs: none"),
    ],
)
def test_what_a_body_needs_is_asked_for(there, named, says):
    with pytest.raises(RowFailure, match=says):
        chosen(there, named)


@pytest.mark.parametrize(
    ("part", "given", "counts", "says"),
    [
        ("camera", np.zeros((2, 4)), (3,), "camera has 4 numbers a picture, not 3"),
        ("betas", np.zeros((2, 301)), (), "betas has 301 numbers a picture, not 1 to 300"),
        ("confidence", np.zeros((2, 3)), (1, 55), "not 1 or 55"),
        ("camera", np.full((2, 3), np.nan), (3,), "camera holds numbers that are none"),
    ],
)
def test_other_numbers_are_refused(part, given, counts, says):
    with pytest.raises(RowFailure, match=says):
        numbers(part, given, counts)


def test_single_numbers_need_no_axis():
    assert numbers("confidence", np.array([0.5, 1.0]), (1, 55)).shape == (2, 1)
    assert numbers("camera", np.zeros((2, 1, 3)), (3,)).shape == (2, 3)


@pytest.mark.parametrize(
    ("form", "values", "says"),
    [
        ("matrix", np.zeros((1, 9)), "matrices that are no rotations"),
        ("matrix", np.diag([1.0, 1.0, -1.0]).reshape(1, 9), "matrices that are no rotations"),
        ("6d_rows", np.zeros((1, 6)), "span no rotation"),
        ("6d_columns", np.array([[1.0, 0, 0, 2, 0, 0]]), "span no rotation"),
    ],
)
def test_what_is_no_rotation_is_refused(form, values, says):
    with pytest.raises(RowFailure, match=says):
        as_axis_angle(values, form, "body_pose")


def test_a_wrong_form_is_noticed_by_its_numbers():
    with pytest.raises(RowFailure, match=r"body_pose has 189 numbers a picture, not 63; say its form"):
        joint_rotations({"body_pose": written("matrix")}, "axis_angle", {})
