from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from operators.pose.motion.plausibility import (
    UPPER_BODY,
    WRISTS,
    changes,
    facing_angles,
    odd,
    rotation_angles,
    step_of,
    wrist_speeds,
)
from operators.pose.skeleton import JOINT, NAMES, REST_JOINTS
from tests.talking_poses import talking_row

ELBOW = JOINT["left_elbow"]


def still(frames: int) -> np.ndarray:
    return np.zeros((frames, len(NAMES), 3))


@given(st.floats(0, 180), st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1))
def test_the_angle_is_that_of_the_rotation_whatever_its_axis(degrees: float, axis: tuple[float, float, float]):
    poses = still(1)
    poses[0, WRISTS[1]] = np.array(axis) / np.linalg.norm(axis) * np.radians(degrees)
    assert rotation_angles(poses, WRISTS)[0] == pytest.approx([0, degrees], abs=1e-6)


def test_an_angle_beyond_half_a_turn_is_the_shorter_way_round():
    poses = still(1)
    poses[0, WRISTS[0], 0] = np.radians(200)
    assert rotation_angles(poses, WRISTS)[0, 0] == pytest.approx(160)


@pytest.mark.parametrize(("fps", "step"), [(10, 1), (15, 1), (24, 2), (25, 2), (30, 2), (50, 3), (60, 4)])
def test_an_even_turn_changes_the_same_at_any_frame_rate(fps: float, step: int):
    assert step_of(fps) == step
    poses = still(20)
    poses[:, ELBOW, 1] = np.radians(150) * np.arange(20) / fps
    found = changes(poses, (ELBOW,), fps)[:, 0]
    assert found[:step] == pytest.approx(0)
    assert found[step:] == pytest.approx(150 / 15, rel=1e-6)


def test_turning_across_half_a_turn_is_no_jump():
    poses = still(30)
    poses[:, 0] = Rotation.from_euler("x", np.linspace(170, 190, 30)[:, None], degrees=True).as_rotvec()
    assert np.abs(np.diff(poses[:, 0, 0])).max() > 3
    assert changes(poses, UPPER_BODY, 30).max() < 2


def test_fewer_frames_than_a_step_have_no_change():
    assert changes(still(1), UPPER_BODY, 30).shape == (1, len(UPPER_BODY))
    assert not changes(still(2), UPPER_BODY, 30).any()


@settings(max_examples=30, deadline=None)
@given(st.floats(-180, 180), st.floats(-1, 1), st.floats(1, 5))
def test_facing_is_the_angle_between_chest_and_camera(yaw: float, x: float, z: float):
    poses = still(1)
    poses[0, 0] = (Rotation.from_euler("y", yaw, degrees=True) * Rotation.from_rotvec([np.pi, 0, 0])).as_rotvec()
    transl = np.array([[x, 0.0, z]])
    front = np.array([-np.sin(np.radians(yaw)), 0, -np.cos(np.radians(yaw))])
    expected = np.degrees(np.arccos(np.clip(front @ -transl[0] / np.linalg.norm(transl), -1, 1)))
    assert facing_angles(poses, transl, REST_JOINTS)[0] == pytest.approx(expected, abs=1e-3)


def test_the_back_is_shown_by_the_spine_too():
    poses = still(1)
    poses[0, 0] = np.pi, 0, 0
    for joint in ("spine1", "spine2", "spine3"):
        poses[0, JOINT[joint], 1] = np.pi / 3
    assert facing_angles(poses, np.array([[0, 0, 2.0]]), REST_JOINTS)[0] == pytest.approx(180)


def test_wrist_speed_is_that_of_the_arm_and_not_of_the_walk():
    poses = still(120)
    poses[:, ELBOW, 1] = -np.linspace(0, 2, 120)
    poses[:, 0, 1] = 0.3
    speeds = wrist_speeds(poses, REST_JOINTS, 30)
    forearm = np.linalg.norm(REST_JOINTS[JOINT["left_wrist"]] - REST_JOINTS[ELBOW])
    assert speeds[10:-10, 0] == pytest.approx(forearm * 2 / (119 / 30), rel=0.01)
    assert speeds[:, 1] == pytest.approx(0)


def test_noise_is_no_gesture():
    rng = np.random.default_rng(0)
    noisy = still(300) + rng.normal(size=(300, len(NAMES), 3)) * np.radians(0.35)
    noisy[:, 0] = 0
    raw = np.diff(noisy[:, ELBOW], axis=0)
    assert np.linalg.norm(raw, axis=1).mean() * 30 * 0.25 > 0.06
    assert wrist_speeds(noisy, REST_JOINTS, 30).mean() < 0.05
    assert wrist_speeds(talking_row()["raw_poses"], REST_JOINTS, 30).mean() > 0.15


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_hardly_any_frames_have_no_speed(frames: int):
    assert not wrist_speeds(still(frames), REST_JOINTS, 30).any()
    assert wrist_speeds(still(3), REST_JOINTS, 30).shape == (3, 2)


def test_windows_are_odd_and_as_near_as_they_can_be():
    assert [odd(frames) for frames in (-1, 0, 3, 4, 5, 5.9, 6, 6.1, 9, 10)] == [3, 3, 3, 3, 5, 5, 5, 7, 9, 9]
