"""The operator: its columns, what it does with rows that lack something, and people whose geometry is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.contract import Row
from operators.errors import ConfigurationError
from operators.pose.columns import BLENDSHAPES
from operators.pose.lift import Lift, LiftSettings
from operators.pose.skeleton import JOINT, posed_joints
from tests.posed_landmarks import OBSERVED, Scene, scene
from tests.tiny.smplx_body import rest_joints, write_smplx_body

FRAMES = 40


@pytest.fixture(scope="module")
def lift() -> Lift:
    operator = Lift()
    operator.check()
    operator.setup()
    return operator


@pytest.fixture(scope="module")
def true() -> Scene:
    return scene(rest_joints(), seed=21, frames=FRAMES)


@pytest.fixture(scope="module")
def lifted(lift: Lift, true: Scene) -> Row:
    return next(iter(lift([true.row])))


def same(first: Row, second: Row) -> bool:
    return set(first) == set(second) and all(
        np.array_equal(first[name], second[name]) for name in Lift.writes.names if name in first
    )


def test_rows_hold_the_declared_columns_in_the_declared_types(lifted: Row):
    assert lifted.get("error") is None and lifted.get("drop_reason") is None
    for name in Lift.writes.names:
        value, kind = lifted.get(name), Lift.writes.field(name).type
        if value is None:
            assert name in ("expression", "expression_basis", "betas", "drop_reason")
            continue
        values = value.reshape(len(value), -1).tolist() if isinstance(value, np.ndarray) and value.ndim > 1 else value
        array = pa.array([values.tolist() if isinstance(values, np.ndarray) else values], type=kind)
        assert array.null_count == 0
        if isinstance(value, np.ndarray) and pa.types.is_list(kind) and pa.types.is_fixed_size_list(kind.value_type):
            assert len(value) == FRAMES and pa.from_numpy_dtype(value.dtype) == kind.value_type.value_type
            assert np.isfinite(value).all()
    assert lifted["body_model"] == "generic"
    assert lifted["camera"] == {"focal": 960.0, "centre_x": 400, "centre_y": 400, "width": 800, "height": 800}
    assert len(lifted["reprojection_error"]) == FRAMES and 0 <= lifted["reprojection_median"] < 0.01


def test_the_columns_give_the_joints_back(lifted: Row, true: Scene):
    rest = np.asarray(lifted["rest_joints"]).reshape(55, 3)
    joints = posed_joints(lifted["raw_poses"], rest, lifted["raw_transl"])
    assert np.median(1000 * np.linalg.norm(joints - true.joints, axis=-1)[:, OBSERVED]) <= 5


def test_a_row_does_not_depend_on_its_neighbours(lift: Lift, lifted: Row, true: Scene):
    other = scene(rest_joints(), seed=22, frames=25, noisy=True).row
    first, second = lift([other, true.row])
    assert same(second, lifted)
    assert same(first, next(iter(lift([other]))))
    together = Lift(LiftSettings(batch=4))
    together.setup()
    assert same(next(iter(together([true.row, other]))), lifted)


def test_a_model_file_gives_shape_and_name(tmp_path: Path, true: Scene):
    operator = Lift(LiftSettings(body_model=str(write_smplx_body(tmp_path))))
    operator.check()
    operator.setup()
    row = next(iter(operator([true.row])))
    assert row["body_model"] == "SMPLX_NEUTRAL neutral"
    assert row["betas"].shape == (10,) and np.abs(row["betas"]).max() < 1
    assert row["provenance"]["raw_poses"] == f"lift/1@{operator.revision()}" != "lift/1@"
    rest = np.asarray(row["rest_joints"]).reshape(55, 3)
    assert np.abs(rest - rest_joints()).max() < 0.03
    joints = posed_joints(row["raw_poses"], rest, row["raw_transl"])
    assert np.median(1000 * np.linalg.norm(joints - true.joints, axis=-1)[:, OBSERVED]) <= 5


def test_a_missing_model_file_is_a_matter_of_configuration(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"lift\.body_model"):
        Lift(LiftSettings(body_model=str(tmp_path / "nowhere.npz"))).check()


def test_blendshapes_are_the_expression(lift: Lift, true: Scene):
    shapes = np.random.default_rng(0).random((FRAMES, BLENDSHAPES)).astype(np.float16)
    row = next(iter(lift([{**true.row, "blendshapes": shapes}])))
    assert row["expression_basis"] == "arkit"
    np.testing.assert_array_equal(row["expression"], shapes.astype(np.float32))


def test_a_clip_without_a_body_is_dropped_with_its_reason(lift: Lift, true: Scene):
    nobody = {**true.row, "presence": np.zeros_like(true.row["presence"])}
    row = next(iter(lift([nobody])))
    assert row["drop_reason"] == "no_body" and row.get("error") is None and row.get("raw_poses") is None


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body_world", None),
        ("hand_world", np.zeros((FRAMES, 7), np.float16)),
        ("presence", np.ones((FRAMES + 1, 4), np.float16)),
        ("video_resolution", None),
        ("video_resolution", [600]),
    ],
)
def test_a_row_that_lacks_something_fails_alone(lift: Lift, true: Scene, lifted: Row, column: str, value: Any):
    broken, whole = lift([{**true.row, column: value}, true.row])
    assert broken["error"]["kind"] == "bad_output" and broken["error"]["operator"] == "lift"
    assert same(whole, lifted)


def test_numbers_that_are_none_count_as_missing(lift: Lift, true: Scene):
    world = true.row["body_world"].copy()
    world[3, 11:17] = np.nan
    world[4] = np.inf
    row = next(iter(lift([{**true.row, "body_world": world}])))
    assert row.get("error") is None and np.isfinite(row["raw_poses"]).all()
    assert not row["joint_mask"][4].any() and row["joint_mask"][5, JOINT["left_elbow"]]


def test_rows_from_storage_are_read_as_fresh_ones(lift: Lift, true: Scene, lifted: Row):
    nested = {
        name: value.reshape(len(value), -1).tolist() if isinstance(value, np.ndarray) else value
        for name, value in true.row.items()
    }
    assert same(next(iter(lift([nested]))), lifted)


def test_the_device_may_change_without_another_fingerprint():
    assert Lift(LiftSettings(batch=8, device="auto")).fingerprint() == Lift().fingerprint()
    assert Lift(LiftSettings(focal=1.5)).fingerprint() != Lift().fingerprint()


Tracked = Callable[[Sequence[np.ndarray], float], Row]


@pytest.fixture(scope="module")
def tracked() -> Tracked:
    """Makes a row with MediaPipe's landmarks of pictures (uint8 RGB), so many of which are a second."""
    pytest.importorskip("mediapipe", reason="mediapipe is not installed (extra: lite)")
    from operators.pose.landmarking.landmark_columns import landmark_columns
    from operators.pose.landmarks import Landmarks

    operator = Landmarks()
    operator.setup()

    def follow(pictures: Sequence[np.ndarray], fps: float) -> Row:
        found = list(operator.follow(enumerate(pictures), fps))
        columns = landmark_columns(found, fps, (0.0, 0.0, 1.0, 1.0), blendshapes=False)
        return {"record": "clip", "clip_id": "v_0", "video_resolution": list(pictures[0].shape[:2]), **columns}

    return follow


def joints_of(row: Row) -> np.ndarray:
    """Metres before the camera, (T, 55, 3)."""
    return posed_joints(row["raw_poses"], np.asarray(row["rest_joints"]), row["raw_transl"])


@pytest.mark.parametrize("motion", ["moved", "scaled", "rotated"])
def test_a_photograph_that_moves_grows_and_turns_takes_the_body_along(lift: Lift, tracked: Tracked, motion: str):
    """The pitch of the trunk is left out: what MediaPipe says of it wanders by 20° in a still photograph."""
    from tests.operators.pose.moving_photograph import MOTIONS, pictures

    row = next(iter(lift([tracked(pictures([MOTIONS[motion](k) for k in range(0, 24, 2)]), 12.5)])))
    chest = joints_of(row)[:, [JOINT["left_shoulder"], JOINT["right_shoulder"]]].mean(1)
    early, late = slice(0, 3), slice(-3, None)  # means of three frames, nine apart
    first, last = chest[early].mean(0), chest[late].mean(0)

    def turned(*joints: str) -> np.ndarray:
        """From early to late, axis-angle in degrees in the camera's frame."""
        turn = Rotation.identity(len(chest))
        for joint in joints:
            turn = turn * Rotation.from_rotvec(row["raw_poses"][:, JOINT[joint]])
        return (turn[late].mean() * turn[early].mean().inv()).as_rotvec(degrees=True)

    head = turned("pelvis", "spine1", "spine2", "spine3", "neck", "head")
    assert row["reprojection_median"] < 0.02
    if motion == "moved":  # by 36 and −18 px
        pixels = row["camera"]["focal"] * (last[:2] / last[2] - first[:2] / first[2])
        np.testing.assert_allclose(pixels, [36, -18], atol=6)
        assert last[2] / first[2] == pytest.approx(1, rel=0.15)
        np.testing.assert_allclose(head, 0, atol=6)
    elif motion == "scaled":  # from 0.83 to 1.1 on average
        assert last[2] / first[2] == pytest.approx(0.83 / 1.1, rel=0.06)
        np.testing.assert_allclose(head, 0, atol=6)
    else:  # counter-clockwise on the picture, which is −z
        np.testing.assert_allclose(head, [0, 0, -21.6], atol=6)
        assert turned("pelvis")[2] == pytest.approx(-21.6, abs=6)


@pytest.mark.parametrize("name", ["gesture_oliver", "gesture_conan"])
def test_joints_of_real_clips_lie_on_their_landmarks(lift: Lift, tracked: Tracked, shared_media: Path, name: str):
    import av

    with av.open(str(shared_media / f"{name}.mp4")) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    row = next(iter(lift([tracked(frames[::5], 6.0)])))
    assert row["reprojection_median"] <= 0.04
    in_view = [JOINT[f"{side}_{part}"] for side in ("left", "right") for part in ("shoulder", "elbow")]
    assert row["joint_mask"][:, in_view].all()
    out_of_view = [JOINT["left_ankle"], JOINT["right_ankle"]]
    assert not row["joint_mask"][:, out_of_view].any()
    assert 0.5 < joints_of(row)[:, 0, 2].mean() < 3
