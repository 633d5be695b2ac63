"""What landmarks say about poses: joints in view, and how far the body is drawn from them."""

from __future__ import annotations

import numpy as np
import pytest

from operators.pose.columns import BODY_POINTS
from operators.pose.meshes.crop_cameras import Picture
from operators.pose.meshes.joint_evidence import COMMON, joints_in_view, reprojection_errors
from operators.pose.skeleton import JOINT, REST_JOINTS, posed_joints
from operators.pose.topology import BODY
from tests.talking_poses import talking_row

PICTURE = Picture(1280, 720, 1000.0)


def observed_row(frames: int = 20) -> dict:
    """A talker whose body landmarks lie on the joints of the same names."""
    row = talking_row(frames)
    drawn = PICTURE.project(posed_joints(row["raw_poses"], REST_JOINTS, row["raw_transl"]))
    body = np.zeros((frames, BODY_POINTS, 4))
    body[..., :2], body[..., 3] = 0.5, 0.9
    for joint, landmark in COMMON:
        body[:, landmark, :2] = drawn[:, joint] / [1280, 720]
    return {**row, "body_landmarks": body, "presence": np.full((frames, 4), 0.9)}


def errors(row: dict, transl=None) -> np.ndarray:
    return reprojection_errors(
        row, row["raw_poses"], REST_JOINTS, row["raw_transl"] if transl is None else transl, PICTURE
    )


def test_the_joints_that_landmarks_stand_for():
    assert len(COMMON) == 12
    assert (JOINT["left_elbow"], BODY["left_elbow"]) in COMMON


def test_a_body_on_its_landmarks_has_no_error():
    np.testing.assert_allclose(errors(observed_row()), 0, atol=1e-6)


def test_errors_are_in_heights_of_the_person():
    row = observed_row()
    stature = np.ptp(REST_JOINTS[:, 1])
    aside = row["raw_transl"] + [0.1 * stature, 0, 0]
    np.testing.assert_allclose(errors(row, aside), 0.1, rtol=0.08)  # hands are nearer, feet are as far


def test_frames_without_landmarks_have_no_error():
    row = observed_row()
    row["body_landmarks"][5:8, :, 3] = 0.1
    row["body_landmarks"][9, :, :2] = 1.5
    known = np.isfinite(errors(row))
    assert known.tolist() == [not (5 <= n < 8 or n == 9) for n in range(20)]


def test_joints_are_in_view_as_their_landmarks_are():
    row = observed_row()
    row["body_landmarks"][:, BODY["left_wrist"], 3] = 0.1
    row["presence"][3] = (1, 0, 0.7, 0)
    row["presence"][4, 0] = 0
    view = joints_in_view(row)
    assert view.shape == (20, 55)
    assert (view[0, [JOINT["left_elbow"], JOINT["left_wrist"]]] == 0).all()
    assert (view[0, [JOINT["left_shoulder"], JOINT["right_elbow"], JOINT["head"], JOINT["spine2"]]] == 1).all()
    assert view[3, JOINT["jaw"]] == 0
    np.testing.assert_allclose(view[3, 25:40], 0.7)
    assert (view[3, 40:] == 0).all()
    assert (view[4, :22] == 0).all()


@pytest.mark.parametrize("visibility", [np.nan, -1.0, 2.0])
def test_visibilities_out_of_range_stay_in_it(visibility):
    row = observed_row(3)
    row["body_landmarks"][..., 3] = visibility
    view = joints_in_view(row)
    assert np.isfinite(view).all()
    assert ((view >= 0) & (view <= 1)).all()
