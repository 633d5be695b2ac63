"""Landmarks of bodies that move in known ways before a known camera: the ground truth of the pose fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from operators.pose.columns import FACE_POINTS, HAND_POINTS, JOINTS
from operators.pose.fitting.anchors import FACE_INDEX, FINGERTIPS, HAND_DIGITS, LIPS, PALM, body_points
from operators.pose.fitting.joint_limits import LIMITS
from operators.pose.fitting.proportions import Proportions
from operators.pose.meshes.crop_cameras import Picture
from operators.pose.skeleton import DIGITS, JOINT, PARENTS, offsets_from_joints, posed_joints
from operators.pose.topology import BODY_NAMES, FACE

Array = NDArray[np.float64]

PICTURE = Picture(800, 800, 960.0)

APART = tuple(JOINT[name] for name in ("spine1", "spine2", "spine3", "neck", "left_collar", "right_collar"))
"""Joints that no landmark marks."""

OBSERVED = tuple(joint for joint in range(JOINTS) if joint not in APART)


@dataclass(frozen=True)
class Scene:
    """A clip: `row` with the columns of landmarks, and what is true: metres before the camera, radians."""

    row: dict[str, Any]
    joints: Array
    poses: Array
    transl: Array
    rest: Array


def moving_poses(rng: np.random.Generator, frames: int, fps: float, *, pace: float = 0.4) -> Array:
    """Poses (T, 55, 3) within the joint limits, with a new random one every `pace` seconds and smooth ways between."""
    knots = int(frames / fps / pace) + 4
    motion = CubicSpline(np.arange(knots) * pace, rng.normal(size=(knots, JOINTS, 3)))(np.arange(frames) / fps)
    spread = np.where(np.isfinite(LIMITS.spread), LIMITS.spread, 0.0)
    poses = np.clip(LIMITS.mean + 0.7 * spread * motion, LIMITS.low, LIMITS.high)
    for name in ("left_foot", "right_foot", "left_eye_smplhf", "right_eye_smplhf"):
        poses[:, JOINT[name]] = 0  # nothing shows them
    poses[:, JOINT["jaw"]] = np.clip(0.15 + 0.1 * motion[:, JOINT["jaw"], :1], 0, 0.5) * [1, 0, 0]
    facing = Rotation.from_rotvec([np.pi, 0, 0]) * Rotation.from_rotvec([0.1, 0.3, 0.1] * motion[:, 0])
    poses[:, 0] = facing.as_rotvec()
    return poses


def turns(poses: Array) -> Array:
    """How each joint is turned against the camera, (T, 55, 3, 3)."""
    found = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, JOINTS, 3, 3)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        found[:, joint] = found[:, parent] @ found[:, joint]
    return found


def scene(rest: Array, *, seed: int, frames: int = 300, fps: float = 25.0, noisy: bool = False) -> Scene:
    """A person with the joints `rest` (55, 3) three metres before the camera.

    With noise: 2 px in the picture (and what that is in metres in world landmarks), 15 mm in depth, and every
    tenth body landmark, hand and face missing.
    """
    rng = np.random.default_rng(seed)
    poses = moving_poses(rng, frames, fps)
    seconds = int(frames / fps) + 3
    sway = CubicSpline(np.arange(seconds), rng.normal(size=(seconds, 3)))
    transl = np.array([0, 0.1, 3.0]) + 0.06 * sway(np.arange(frames) / fps) - rest[0]
    joints, turned = posed_joints(poses, rest, transl), turns(poses)
    offsets = offsets_from_joints(rest)
    own = Proportions(offsets, np.zeros((JOINTS, 3, 1)), np.eye(1), scaled_digits=True)
    anchors = body_points(own)
    points = joints[:, anchors.joint] + np.einsum("tnij,nj->tni", turned[:, anchors.joint], anchors.offset)
    body, rigid = points[:, : len(BODY_NAMES)], points[:, len(BODY_NAMES) + 2 * len(PALM) :]
    hands = np.stack([_hand(joints, turned, offsets, side) for side in (0, 1)], axis=1)
    face = _face(joints, turned, offsets, own.group_scale("head")[0], rigid)
    hips = body[:, 23:25].mean(axis=1, keepdims=True)
    columns = {
        "body_world": body - hips,
        "hand_world": hands - hands.mean(axis=2, keepdims=True),
        "body_landmarks": np.concatenate([_shares(body, hips[..., 2]), np.ones((*body.shape[:2], 1))], axis=-1),
        "hand_landmarks": _shares(hands, hands[:, :, :1, 2]),
        "face_landmarks": _shares(face, face[:, 30:31, 2]),
        "presence": np.ones((frames, 4)),
    }
    if noisy:
        _spoil(rng, columns)
    half = {name: column.astype(np.float16) for name, column in columns.items()}
    row = {"video_resolution": [PICTURE.height, PICTURE.width], "fps": fps, "blendshapes": None, **half}
    return Scene({"record": "clip", "clip_id": f"v_{seed:07d}", **row}, joints, poses, transl, rest)


def _hand(joints: Array, turned: Array, offsets: Array, side: int) -> Array:
    points = np.zeros((len(joints), HAND_POINTS, 3))
    points[:, 0] = joints[:, JOINT["left_wrist"] + side]
    for number, (first, digit) in enumerate(HAND_DIGITS):
        joint = JOINT["left_index1"] + len(DIGITS) * 3 * side + 3 * number
        points[:, first : first + 3] = joints[:, joint : joint + 3]
        points[:, first + 3] = joints[:, joint + 2] + turned[:, joint + 2] @ (FINGERTIPS[digit] * offsets[joint + 2])
    return points


def _face(joints: Array, turned: Array, offsets: Array, size: float, rigid: Array) -> Array:
    head, jaw = JOINT["head"], JOINT["jaw"]
    points = np.repeat(rigid[:, :1], FACE_POINTS, axis=1)
    points[:, list(FACE_INDEX)] = rigid
    lips = size * np.array(LIPS)
    points[:, FACE["upper_lip"]] = joints[:, head] + turned[:, head] @ lips
    points[:, FACE["lower_lip"]] = joints[:, jaw] + turned[:, jaw] @ (lips - offsets[jaw])
    return points


def _shares(points: Array, depth: Array) -> Array:
    """As MediaPipe gives them: x and y in shares of the picture, z about `depth` in the scale of x."""
    pixels = PICTURE.project(points)
    away = (points[..., 2] - depth) * PICTURE.focal / depth
    return np.concatenate([pixels / [PICTURE.width, PICTURE.height], away[..., None] / PICTURE.width], axis=-1)


def _spoil(rng: np.random.Generator, columns: dict[str, Array]) -> None:
    metres = np.array([2 * 3 / PICTURE.focal, 2 * 3 / PICTURE.focal, 0.015])
    shares = np.array([2 / PICTURE.width, 2 / PICTURE.height, 0.015 * PICTURE.focal / 3 / PICTURE.width])
    for name, scale in (("world", metres), ("landmarks", shares)):
        for part in ("body", "hand", "face"):
            if f"{part}_{name}" in columns:
                column = columns[f"{part}_{name}"]
                column[..., :3] += scale * rng.normal(size=column[..., :3].shape)
    missing = rng.random(columns["body_landmarks"].shape[:2]) < 0.1
    columns["body_landmarks"][missing] = 0
    columns["body_world"][missing] = 0
    columns["presence"][:, 1:] = rng.random((len(missing), 3)) >= 0.1
