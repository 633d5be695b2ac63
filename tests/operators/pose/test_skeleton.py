"""The joints are SMPL-X's, the generic person has the proportions that its docstring claims."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.pose import skeleton
from operators.pose.columns import JOINTS
from operators.pose.skeleton import JOINT, MIRROR, NAMES, PARENTS, REST_JOINTS


def test_names_and_parents_are_smplxs():
    names = pytest.importorskip("smplx.joint_names").JOINT_NAMES
    assert list(NAMES) == list(names[:JOINTS])


def test_every_parent_stands_before_its_child():
    assert len(NAMES) == len(PARENTS) == len(MIRROR) == JOINTS
    assert all(parent < joint for joint, parent in enumerate(PARENTS))
    assert NAMES[PARENTS[JOINT["left_thumb1"]]] == "left_wrist"
    assert NAMES[PARENTS[JOINT["right_ring3"]]] == "right_ring2"


def test_mirrored_joints_lie_mirrored_and_keep_their_parents_side():
    assert [MIRROR[MIRROR[joint]] for joint in range(JOINTS)] == list(range(JOINTS))
    np.testing.assert_allclose(REST_JOINTS[list(MIRROR)], REST_JOINTS * [-1, 1, 1])
    for joint, parent in enumerate(PARENTS[1:], start=1):
        assert PARENTS[MIRROR[joint]] == MIRROR[parent]


def test_the_generic_person_is_of_the_stature_it_claims():
    def length(*names: str) -> float:
        places = REST_JOINTS[[JOINT[name] for name in names]]
        return float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum())

    assert length("left_hip", "left_knee") == pytest.approx(0.245 * 1.70, abs=0.005)
    assert length("left_knee", "left_ankle") == pytest.approx(0.246 * 1.70, abs=0.005)
    assert length("left_elbow", "left_wrist") == pytest.approx(0.146 * 1.70, abs=0.005)
    assert length("left_wrist", "left_middle1", "left_middle2", "left_middle3") == pytest.approx(0.162, abs=0.005)
    assert REST_JOINTS[JOINT["left_shoulder"], 0] > 0.1 > 0 > REST_JOINTS[JOINT["right_shoulder"], 0]


def test_offsets_and_joints_are_two_ways_to_say_the_same():
    joints = REST_JOINTS + np.array([0.1, -0.3, 0.0])
    offsets = skeleton.offsets_from_joints(joints)
    np.testing.assert_allclose(offsets[1:], skeleton.REST_OFFSETS[1:], atol=1e-12)
    np.testing.assert_allclose(skeleton.joints_from_offsets(offsets), joints)


def test_a_turned_pelvis_turns_everything_about_the_pelvis():
    poses = np.zeros((2, JOINTS, 3))
    poses[1, 0] = [0.0, np.pi / 2, 0.0]
    rest = REST_JOINTS + np.array([0.0, -0.35, 0.02])
    still, turned = skeleton.posed_joints(poses, rest, np.array([[0, 0, 0], [1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(still, rest, atol=1e-12)
    np.testing.assert_allclose(turned[0], rest[0] + [1.0, 2.0, 3.0])
    facing_left = Rotation.from_rotvec([0, np.pi / 2, 0]).apply(rest - rest[0])
    np.testing.assert_allclose(turned - turned[0], facing_left, atol=1e-12)


def test_a_bent_left_elbow_brings_the_forearm_forward():
    poses = np.zeros((1, JOINTS, 3))
    poses[0, JOINT["left_elbow"]] = [0.0, -np.pi / 2, 0.0]
    joints = skeleton.posed_joints(poses)[0]
    forearm = joints[JOINT["left_wrist"]] - joints[JOINT["left_elbow"]]
    np.testing.assert_allclose(forearm, [0, 0, 0.248], atol=1e-9)
