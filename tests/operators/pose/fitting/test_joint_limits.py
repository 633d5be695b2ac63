"""The ranges fit each other, mirror each other and say which way joints bend."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from operators.pose.fitting.joint_limits import LIMITS, beyond
from operators.pose.skeleton import JOINT, MIRROR, posed_joints


def test_what_is_usual_is_possible():
    assert (LIMITS.low <= LIMITS.mean).all() and (LIMITS.mean <= LIMITS.high).all()
    assert (LIMITS.spread > 0).all()
    assert np.isinf(LIMITS.spread[0]).all() and np.isfinite(LIMITS.spread[1:]).all()


def test_the_right_side_mirrors_the_left():
    flip = np.array([1, -1, -1])
    mirror = list(MIRROR)
    np.testing.assert_array_equal(LIMITS.mean[mirror], LIMITS.mean * flip)
    np.testing.assert_array_equal(LIMITS.spread[mirror], LIMITS.spread)
    ends = np.stack([LIMITS.low * flip, LIMITS.high * flip])
    np.testing.assert_array_equal(LIMITS.low[mirror], ends.min(0))
    np.testing.assert_array_equal(LIMITS.high[mirror], ends.max(0))


def test_hinges_bend_the_way_they_do():
    poses = np.zeros((1, 55, 3))
    hinges = ("left_elbow", "right_elbow", "left_knee", "right_knee", "left_index1", "right_index1")
    for name in hinges:
        joint = JOINT[name]
        wide = np.where(LIMITS.high[joint] > -LIMITS.low[joint], LIMITS.high[joint], LIMITS.low[joint])
        axis = np.abs(wide).argmax()
        poses[0, joint, axis] = np.sign(wide[axis]) * 1.2
    joints = posed_joints(poses)[0]
    for side in ("left", "right"):
        forearm = joints[JOINT[f"{side}_wrist"]] - joints[JOINT[f"{side}_elbow"]]
        shin = joints[JOINT[f"{side}_ankle"]] - joints[JOINT[f"{side}_knee"]]
        assert forearm[2] > 0.2 > -0.2 > shin[2]
    alone = np.zeros((1, 55, 3))
    alone[0, JOINT["left_index1"]] = poses[0, JOINT["left_index1"]]
    finger = posed_joints(alone)[0]
    assert finger[JOINT["left_index2"], 1] < finger[JOINT["left_index1"], 1] - 0.03  # towards the palm, down


@given(arrays.arrays(np.float64, (55, 3), elements=st.floats(-3, 3)))
def test_beyond_is_zero_inside_and_the_distance_outside(pose):
    inside = np.clip(pose, LIMITS.low, LIMITS.high)
    assert (beyond(inside) == 0).all()
    np.testing.assert_allclose(beyond(pose), np.linalg.norm(pose - inside, axis=1))
