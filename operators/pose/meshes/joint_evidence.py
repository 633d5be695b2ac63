"""What landmarks say about poses that came from elsewhere: is a joint in view, and does the fit lie on the picture?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from operators.contract import Row
from operators.pose.columns import BODY_POINTS, JOINTS
from operators.pose.meshes.crop_cameras import Picture
from operators.pose.skeleton import JOINT, posed_joints
from operators.pose.topology import BODY
from operators.tensors import read_tensor

UNSEEN, SEEN = 0.2, 0.8
"""Visibilities at which a body landmark starts to count and counts in full."""

_TRUNK = ("left_shoulder", "right_shoulder")
SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar"), _TRUNK),
    **dict.fromkeys(("neck", "head"), ("nose",)),
    **{
        f"{side}_{joint}": tuple(f"{side}_{shown}" for shown in (joint, end))
        for side in ("left", "right")
        for joint, end in (
            ("shoulder", "elbow"),
            ("elbow", "wrist"),
            ("wrist", "index"),
            ("hip", "knee"),
            ("knee", "ankle"),
            ("ankle", "foot_index"),
        )
    },
    "left_foot": ("left_foot_index",),
    "right_foot": ("right_foot_index",),
}
"""Body landmarks that have to be in view for the rotation of a joint to be."""

FACE_JOINTS = [JOINT["jaw"], JOINT["left_eye_smplhf"], JOINT["right_eye_smplhf"]]
HANDS = (slice(25, 40), slice(40, 55))

COMMON = tuple((JOINT[name], BODY[name]) for name in BODY if name in JOINT)
"""Landmarks that stand for joints of the same name: shoulders, elbows, wrists, hips, knees, ankles."""


def joints_in_view(row: Row) -> NDArray[np.float64]:
    """How well each joint's rotation is in view by the landmarks, 0 to 1, (T, 55). Raises `RowFailure`."""
    body = read_tensor(row, "body_landmarks", BODY_POINTS, 4, dtype=np.float64)
    presence = np.clip(np.nan_to_num(read_tensor(row, "presence", 4, dtype=np.float64)), 0, 1)
    clear = np.clip((np.nan_to_num(body[..., 3]) - UNSEEN) / (SEEN - UNSEEN), 0, 1) * (presence[:, :1] > 0)
    view = np.zeros((len(body), JOINTS))
    for joint, landmarks in SHOWN_BY.items():
        view[:, JOINT[joint]] = clear[:, [BODY[name] for name in landmarks]].min(axis=1)
    view[:, FACE_JOINTS] = presence[:, 1:2]
    for side, hand in enumerate(HANDS):
        view[:, hand] = presence[:, 2 + side : 3 + side]
    return view


def reprojection_errors(
    row: Row,
    poses: NDArray[np.float64],
    rest_joints: NDArray[np.float64],
    transl: NDArray[np.float64],
    camera: Picture,
) -> NDArray[np.float64]:
    """How far joints are drawn from their landmarks, (T,): the median over those in view, in the person's heights.

    A person's height is that of the rest pose at the distance of the pelvis. NaN where no landmark is in view.
    """
    body = read_tensor(row, "body_landmarks", BODY_POINTS, 4, dtype=np.float64)
    joints, marks = (list(column) for column in zip(*COMMON, strict=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = camera.project(posed_joints(poses, rest_joints, transl)[:, joints])
        seen = body[:, marks, :2] * [camera.width, camera.height]
        stature = np.ptp(rest_joints[:, 1]) * camera.focal / (transl[:, 2] + rest_joints[0, 2])
        distance = np.linalg.norm(drawn - seen, axis=2) / stature[:, None]
    inside = (body[:, marks, :2] >= 0).all(axis=2) & (body[:, marks, :2] <= 1).all(axis=2)
    known = inside & (body[:, marks, 3] >= UNSEEN) & np.isfinite(distance)
    errors = np.full(len(poses), np.nan)
    some = known.any(axis=1)
    errors[some] = np.nanmedian(np.where(known, distance, np.nan)[some], axis=1)
    return errors
