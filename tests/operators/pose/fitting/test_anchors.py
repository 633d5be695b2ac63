"""Landmarks sit where their names say, on both sides alike, and grow with their limbs."""

from __future__ import annotations

import numpy as np

from operators.pose.fitting.anchors import BODY_ANCHORS, FACE_ANCHORS, FACE_INDEX, FACE_RIGID, PALM, body_points
from operators.pose.fitting.proportions import BODY_GROUPS, generic_proportions
from operators.pose.skeleton import JOINT, REST_JOINTS
from operators.pose.topology import BODY, BODY_NAMES, FACE, HAND_NAMES


def places() -> np.ndarray:
    points = body_points(generic_proportions())
    return REST_JOINTS[points.joint] + points.offset


def test_there_is_an_anchor_for_every_point_of_the_fit():
    points = body_points(generic_proportions())
    assert len(points.joint) == len(BODY_NAMES) + 2 * len(PALM) + len(FACE_RIGID)
    assert points.basis.shape == (*points.offset.shape, len(BODY_GROUPS))
    assert [HAND_NAMES[point] for point in PALM] == [
        "wrist", "index_mcp", "middle_mcp", "pinky_mcp", "ring_mcp", "thumb_cmc",
    ]  # fmt: skip
    assert all(FACE[name] == index for name, index in zip(FACE_RIGID, FACE_INDEX, strict=True))


def test_sides_mirror_each_other():
    found = dict(zip(map(str, BODY_NAMES), places(), strict=False))
    for name in found:
        other = name.replace("left", "right") if "left" in name else name.replace("right", "left")
        np.testing.assert_allclose(found[other], found[name] * [-1, 1, 1], atol=1e-12)


def test_joints_of_the_same_name_are_the_landmarks():
    for name in ("left_shoulder", "right_elbow", "left_wrist", "right_knee", "left_ankle"):
        anchor = BODY_ANCHORS[BODY[name]]
        assert anchor.joint == name and anchor.offset == (0, 0, 0)


def test_the_face_looks_forward_and_stands_in_order():
    found = dict(zip(BODY_NAMES, places(), strict=False))
    assert found["nose"][2] > found["left_eye"][2] > found["left_eye_outer"][2] > found["left_ear"][2]
    assert found["left_eye"][1] > found["nose"][1] > found["mouth_left"][1]
    assert 0.085 < found["left_eye_outer"][0] - found["right_eye_outer"][0] < 0.1
    assert {anchor.joint for anchor in FACE_ANCHORS} == {"head"}
    assert found["left_heel"][2] < REST_JOINTS[JOINT["left_ankle"], 2] < found["left_foot_index"][2]


def test_points_grow_with_their_limb():
    points = body_points(generic_proportions())
    nose = BODY["nose"]
    moved = points.basis[nose] @ np.eye(len(BODY_GROUPS))[BODY_GROUPS.index("head")]
    np.testing.assert_allclose(moved, points.offset[nose])
    knuckle = len(BODY_NAMES) + 1  # of the left index finger
    grown = points.basis[knuckle] @ np.eye(len(BODY_GROUPS))[BODY_GROUPS.index("palm_index")]
    np.testing.assert_allclose(grown, points.offset[knuckle])
