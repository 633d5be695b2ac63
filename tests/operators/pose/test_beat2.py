"""BEAT2's files: the body stands where it stood, there and back, and the file loads in `smplx`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.errors import ConfigurationError, RowFailure
from operators.pose.beat2 import Motion, from_beat2, lacks, motion_of, to_beat2
from operators.pose.meshes.body_model import BodyModel
from operators.pose.skeleton import REST_JOINTS, posed_joints

FRAMES = 7
HALF_TURN = np.array([np.pi, 0.0, 0.0])


def row(**columns: Any) -> dict[str, Any]:
    draw = np.random.default_rng(3)
    poses = draw.normal(0, 0.4, (FRAMES, 55, 3)).astype(np.float32)
    upright = Rotation.from_rotvec(HALF_TURN) * Rotation.from_rotvec(draw.normal(0, 0.2, (FRAMES, 3)))
    poses[:, 0] = upright.as_rotvec()
    return {
        "fps": 30.0,
        "poses": poses,
        "transl": draw.normal([0.1, 0.2, 3.0], 0.1, (FRAMES, 3)).astype(np.float32),
        "expression": None,
        "expression_basis": None,
        "betas": None,
        "rest_joints": REST_JOINTS.ravel().tolist(),
        "body_model": "generic",
        "frame_mask": [True] * 5 + [False] * 2,
        **columns,
    }


def fitted_row(body: BodyModel, **columns: Any) -> dict[str, Any]:
    draw = np.random.default_rng(4)
    betas = draw.normal(0, 1, 10)
    return row(
        betas=betas.tolist(),
        expression=draw.normal(0, 1, (FRAMES, 50)).tolist(),
        expression_basis="smplx",
        rest_joints=body.rest_joints(betas).ravel().tolist(),
        body_model="SMPLX_FEMALE female",
        **columns,
    )


def save(path, arrays) -> Any:
    np.savez_compressed(path, **arrays)
    return path


def same(found: Motion, expected: Motion) -> None:
    assert (found.fps, found.gender) == (expected.fps, expected.gender)
    turned = Rotation.from_rotvec(found.poses.reshape(-1, 3)).inv() * Rotation.from_rotvec(
        expected.poses.reshape(-1, 3)
    )
    assert turned.magnitude().max() < 1e-5
    np.testing.assert_allclose(found.transl, expected.transl, atol=1e-5)
    np.testing.assert_allclose(found.rest_joints, expected.rest_joints, atol=1e-6)
    np.testing.assert_array_equal(found.frame_mask, expected.frame_mask)


def test_there_and_back_is_the_same_motion(tmp_path, smplx_body):
    body = BodyModel(smplx_body)
    for number, clip in enumerate((row(), fitted_row(body))):
        motion = motion_of(clip)
        found = from_beat2(save(tmp_path / f"{number}.npz", to_beat2(motion)))
        same(found, motion)
        betas = np.zeros(300)
        betas[: len(motion.betas)] = motion.betas
        np.testing.assert_allclose(found.betas, betas, atol=1e-6)
        assert found.expression is not None
        if motion.expression is not None:
            np.testing.assert_allclose(found.expression[:, :50], motion.expression, atol=1e-6)
        assert not found.expression[:, 50:].any()


def test_there_and_back_with_hands_relative_to_a_mean_hand(tmp_path, smplx_body):
    means = BodyModel(smplx_body).hand_means
    motion = motion_of(row())
    arrays = to_beat2(motion, means)
    assert not arrays["flat_hand_mean"]
    assert np.abs(arrays["poses"] - to_beat2(motion)["poses"])[:, 75:].max() > 0.1
    same(from_beat2(save(tmp_path / "m.npz", arrays), hand_means=means), motion)
    same(from_beat2(save(tmp_path / "f.npz", to_beat2(motion)), hand_means=means), motion)  # it says that it is flat


def test_back_and_there_is_the_same_file(tmp_path):
    """What the data set itself has, without anything that only ours have."""
    draw = np.random.default_rng(5)
    theirs = {
        "poses": draw.normal(0, 0.4, (FRAMES, 165)).astype(np.float32),
        "expressions": draw.normal(0, 1, (FRAMES, 100)).astype(np.float32),
        "trans": draw.normal(0, 1, (FRAMES, 3)).astype(np.float32),
        "betas": draw.normal(0, 1, 300).astype(np.float32),
        "gender": np.array("male"),
        "mocap_frame_rate": np.array(30),
        "model": np.array("smplx2020"),
    }
    again = to_beat2(from_beat2(save(tmp_path / "theirs.npz", theirs)))
    for name, array in theirs.items():
        if array.dtype.kind != "f":
            assert again[name] == array
            assert again[name].dtype.kind == array.dtype.kind
            continue
        assert again[name].dtype == array.dtype
        np.testing.assert_allclose(again[name], array, atol=2e-6)


def test_the_arrays_have_beat2s_names_shapes_and_meanings():
    arrays = to_beat2(motion_of(row()))
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes == {
        "poses": (FRAMES, 165),
        "expressions": (FRAMES, 100),
        "trans": (FRAMES, 3),
        "betas": (300,),
        "gender": (),
        "mocap_frame_rate": (),
        "model": (),
        "flat_hand_mean": (),
        "rest_joints": (55, 3),
        "frame_mask": (FRAMES,),
    }
    assert (str(arrays["gender"]), int(arrays["mocap_frame_rate"]), str(arrays["model"])) == (
        "neutral",
        30,
        "smplx2020",
    )
    assert not arrays["expressions"].any()
    assert not arrays["betas"].any()
    assert not any(array.dtype.hasobject for array in arrays.values())


def test_people_stand_upright_and_look_along_z():
    poses = np.zeros((FRAMES, 55, 3), np.float32)
    poses[:, 0] = HALF_TURN  # upright before the camera, and facing it
    motion = motion_of(row(poses=poses, transl=np.full((FRAMES, 3), [0.3, 0.5, 3.0])))
    arrays = to_beat2(motion)
    joints = posed_joints(arrays["poses"].reshape(-1, 55, 3), REST_JOINTS, arrays["trans"])
    np.testing.assert_allclose(joints[0], REST_JOINTS + np.array([0.3, -0.5, -3.0]), atol=1e-5)
    assert joints[0, 15, 1] > joints[0, 0, 1] > joints[0, 7, 1]  # head over pelvis over ankle


def test_the_file_loads_in_smplx_and_stands_where_the_clip_did(tmp_path, smplx_body):
    torch, smplx = pytest.importorskip("torch"), pytest.importorskip("smplx")
    body = BodyModel(smplx_body)
    clip = fitted_row(body)
    motion = motion_of(clip)
    path = save(tmp_path / "m.npz", to_beat2(motion, body.hand_means))
    with np.load(path, allow_pickle=False) as file:
        data = {name: torch.from_numpy(file[name]) for name in ("poses", "trans", "betas", "expressions")}
    # as EMAGE's code does, hands relative to the mean hand
    model = smplx.create(
        str(body.path), model_type="smplx", use_face_contour=False, num_betas=300, num_expression_coeffs=100,
        ext="npz", use_pca=False, batch_size=FRAMES,
    )  # fmt: skip
    poses = data["poses"]
    with torch.no_grad():
        out = model(
            betas=data["betas"][None].repeat(FRAMES, 1),
            transl=data["trans"],
            expression=data["expressions"],
            jaw_pose=poses[:, 66:69],
            global_orient=poses[:, :3],
            body_pose=poses[:, 3:66],
            left_hand_pose=poses[:, 75:120],
            right_hand_pose=poses[:, 120:165],
            leye_pose=poses[:, 69:72],
            reye_pose=poses[:, 72:75],
        )
    _, ours = body.posed(motion.poses, motion.betas, motion.expression, motion.transl)
    np.testing.assert_allclose(out.joints.numpy()[:, :55], ours * [1, -1, -1], atol=2e-5)


def test_another_frame_rate():
    motion = motion_of(row(frame_mask=[True, True, False, True, True, True, True]))
    half = motion.at(15.0)
    assert (len(half), half.fps) == (4, 15.0)
    np.testing.assert_array_equal(half.poses, motion.poses[::2])
    np.testing.assert_array_equal(half.frame_mask, [True, False, True, True])
    assert motion.at(30.0) is motion
    assert len(motion.at(25.0)) == 6
    assert str(to_beat2(motion.at(12.5))["mocap_frame_rate"]) == "12.5"


def test_a_cut():
    motion = motion_of(fitted_row_like())
    part = motion.cut((2, 5))
    assert len(part) == 3
    np.testing.assert_array_equal(part.poses, motion.poses[2:5])
    np.testing.assert_array_equal(part.transl, motion.transl[2:5])
    assert part.expression is not None
    assert part.expression.shape == (3, 10)


def fitted_row_like() -> dict[str, Any]:
    return row(expression=np.ones((FRAMES, 10)), expression_basis="smplx", betas=[0.5], body_model="SMPLX_MALE male")


def test_what_a_file_lacks_is_said():
    assert set(lacks(row())) == {"betas", "expressions", "gender"}
    arkit = lacks(row(expression=np.zeros((FRAMES, 52)), expression_basis="arkit"))
    assert "ARKit" in arkit["expressions"]
    assert motion_of(row(expression=np.zeros((FRAMES, 52)), expression_basis="arkit")).expression is None
    assert lacks(fitted_row_like()) == {}
    assert motion_of(fitted_row_like()).gender == "male"


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"poses": None}, "poses is missing"),
        ({"transl": np.zeros((3, 3))}, "different lengths: 7 poses, 3 translations"),
        ({"poses": np.zeros((FRAMES, 24, 3))}, "poses is not T"),
    ],
)
def test_columns_that_do_not_fit_fail_the_row(columns, says):
    with pytest.raises(RowFailure, match=says):
        motion_of(row(**columns))


def test_more_coefficients_than_beat2_has_fail_the_row():
    with pytest.raises(RowFailure, match="400 shape coefficients, where BEAT2 has 300"):
        to_beat2(motion_of(row(betas=np.zeros(400))))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"poses": np.zeros((FRAMES, 156), np.float32)}, "not 1…1000000 × 165"),
        ({"trans": np.zeros((3, 3), np.float32)}, "7 poses, but 3 trans"),
        ({"mocap_frame_rate": np.array(0)}, "0 frames per second"),
        ({"betas": np.full(300, np.nan)}, "betas holds numbers that are none"),
        ({"gender": np.array(["a", None], object)}, "gender is a pickled object"),
    ],
)
def test_files_that_make_no_sense_are_refused(tmp_path, change, says):
    with pytest.raises(ConfigurationError, match=says):
        from_beat2(save(tmp_path / "m.npz", {**to_beat2(motion_of(row())), **change}))
