"""Measures of a pose sequence that tell implausible frames from good ones. No thresholds here.

Poses are axis-angle, radians, T × 55 × 3 in SMPL-X's order (`operators.pose.skeleton`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

from operators.pose.skeleton import JOINT, posed_joints

PAPER_FPS = 15.0
"""Frames per second at which the paper's limits are stated."""

SLOPE_SECONDS = 0.3
"""Over which a speed is taken, as the slope of a line through positions: noise from frame to frame is no gesture."""

SIDES = ("left", "right")
WRISTS = tuple(JOINT[f"{side}_wrist"] for side in SIDES)
SHOULDERS = tuple(JOINT[f"{side}_shoulder"] for side in SIDES)
ELBOWS = tuple(JOINT[f"{side}_elbow"] for side in SIDES)
HANDS = (slice(25, 40), slice(40, 55))
"""Joints of the left and the right hand's fingers."""

TRUNK = tuple(JOINT[name] for name in ("pelvis", "spine1", "spine2", "spine3"))
UPPER_BODY = (
    *TRUNK, JOINT["neck"], JOINT["left_collar"], JOINT["right_collar"], JOINT["head"], *SHOULDERS, *ELBOWS, *WRISTS,
)  # fmt: skip
"""Joints whose jumps make a gesture useless. Fingers turn by more than the limit when they really move."""

Poses = NDArray[np.floating]


def rotation_angles(poses: Poses, joints: tuple[int, ...]) -> NDArray[np.float64]:
    """How far each of `joints` is turned out of its rest pose, about whatever axis: degrees 0–180, T × len(joints)."""
    chosen = np.asarray(poses, np.float64)[:, list(joints)]
    return np.degrees(_rotations(chosen).magnitude()).reshape(chosen.shape[:2])


def step_of(fps: float) -> int:
    """Frames that lie about 1/15 s apart, at least one."""
    return max(1, round(fps / PAPER_FPS))


def changes(poses: Poses, joints: tuple[int, ...], fps: float) -> NDArray[np.float64]:
    """How far each joint turned since the frame 1/15 s before: degrees per 1/15 s, T × len(joints).

    Where the frame rate is no multiple of 15, the nearest step is taken and its change scaled. The first
    frames, which have none before, are 0.
    """
    step = step_of(fps)
    chosen = np.asarray(poses, np.float64)[:, list(joints)]
    found = np.zeros(chosen.shape[:2])
    if len(chosen) > step:
        turned = _rotations(chosen[:-step]).inv() * _rotations(chosen[step:])
        scale = fps / (PAPER_FPS * step)
        found[step:] = np.degrees(turned.magnitude()).reshape(-1, len(joints)) * scale
    return found


def facing_angles(poses: Poses, transl: Poses, rest_joints: Poses) -> NDArray[np.float64]:
    """Degrees between where the chest faces and the way from the person to the camera, T; 180 shows the back."""
    turns = np.asarray(poses, np.float64)
    chest = Rotation.identity(len(turns))
    for joint in TRUNK:
        chest = chest * Rotation.from_rotvec(turns[:, joint])
    front = chest.apply([0.0, 0.0, 1.0])
    to_camera = -(np.asarray(transl, np.float64) + np.asarray(rest_joints, np.float64).reshape(-1, 3)[0])
    length = np.linalg.norm(to_camera, axis=1)
    cosine = np.einsum("tc,tc->t", front, to_camera) / np.where(length > 0, length, 1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def wrist_speeds(poses: Poses, rest_joints: Poses, fps: float) -> NDArray[np.float64]:
    """Speed of each wrist relative to its shoulder, metres per second, T × 2 (left, right)."""
    joints = posed_joints(np.asarray(poses), np.asarray(rest_joints))
    reach = joints[:, list(WRISTS)] - joints[:, list(SHOULDERS)]
    window = min(odd(SLOPE_SECONDS * fps), odd(len(reach) - 1))
    if len(reach) < window:
        return np.zeros((len(reach), 2))
    slopes = np.asarray(savgol_filter(reach, window, 1, deriv=1, delta=1 / fps, axis=0))
    return np.linalg.norm(slopes, axis=2)


def odd(frames: float) -> int:
    """The odd number of frames, at least 3, that is nearest to `frames`; of two the smaller one."""
    return max(3, 2 * math.ceil((frames - 1) / 2 - 0.5) + 1)


def _rotations(poses: NDArray[np.float64]) -> Rotation:
    return Rotation.from_rotvec(poses.reshape(-1, 3))
