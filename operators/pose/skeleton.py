"""SMPL-X's 55 joints, and a generic person for clips without a body model file.

Names, order and parents are SMPL-X's (Pavlakos et al., "Expressive Body Capture", CVPR 2019). The rest
pose is SMPL-X's too: y up, facing +z, arms along ±x with the palms down, x to the person's left, metres.
The generic person's proportions are our own: stature 1.70 m, limbs by the segment lengths of Drillis and
Contini (Winter, "Biomechanics and Motor Control of Human Movement", 2009, figure 4.1), measured from
joint centre to joint centre, the spine's joints about where SMPL-X has them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIGITS = ("index", "middle", "pinky", "ring", "thumb")
"""Fingers in SMPL-X's order, three joints each."""

NAMES = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "jaw", "left_eye_smplhf", "right_eye_smplhf",
    *(f"{side}_{digit}{k}" for side in ("left", "right") for digit in DIGITS for k in (1, 2, 3)),
)  # fmt: skip

JOINT = MappingProxyType({name: index for index, name in enumerate(NAMES)})

BODY_JOINTS = 22
"""Joints before the jaw."""

_HAND_PARENTS = tuple(
    wrist if joint % 3 == 0 else first + joint - 1 for wrist, first in ((20, 25), (21, 40)) for joint in range(15)
)

PARENTS = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19,
    15, 15, 15,
    *_HAND_PARENTS,
)  # fmt: skip
"""The parent of each joint, always before it; −1 for the pelvis."""


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return name.replace("left_", "right_", 1)
    return name.replace("right_", "left_", 1)


MIRROR = tuple(JOINT[_other_side(name)] for name in NAMES)
"""For each joint the one on the other side of the body."""

_BODY = {
    "left_hip": (0.085, -0.085, 0.0),
    "left_knee": (0.0, -0.417, 0.0),
    "left_ankle": (0.0, -0.418, -0.02),
    "left_foot": (0.01, -0.055, 0.13),
    "spine1": (0.0, 0.105, -0.01),
    "spine2": (0.0, 0.125, 0.01),
    "spine3": (0.0, 0.055, 0.01),
    "neck": (0.0, 0.15, -0.02),
    "head": (0.0, 0.12, 0.02),
    "left_collar": (0.045, 0.085, -0.01),
    "left_shoulder": (0.125, 0.035, -0.01),
    "left_elbow": (0.285, 0.0, 0.0),
    "left_wrist": (0.248, 0.0, 0.0),
    "jaw": (0.0, 0.0, 0.015),
    "left_eye_smplhf": (0.031, 0.05, 0.07),
    "left_index1": (0.088, 0.0, 0.024),
    "left_index2": (0.040, 0.0, 0.0),
    "left_index3": (0.024, 0.0, 0.0),
    "left_middle1": (0.090, 0.0, 0.002),
    "left_middle2": (0.044, 0.0, 0.0),
    "left_middle3": (0.028, 0.0, 0.0),
    "left_pinky1": (0.076, -0.003, -0.034),
    "left_pinky2": (0.031, 0.0, 0.0),
    "left_pinky3": (0.019, 0.0, 0.0),
    "left_ring1": (0.084, -0.001, -0.018),
    "left_ring2": (0.040, 0.0, 0.0),
    "left_ring3": (0.026, 0.0, 0.0),
    "left_thumb1": (0.024, -0.010, 0.024),
    "left_thumb2": (0.030, -0.006, 0.028),
    "left_thumb3": (0.024, -0.004, 0.021),
}


def _rest_offsets() -> NDArray[np.float64]:
    offsets = np.zeros((len(NAMES), 3))
    for name, (x, y, z) in _BODY.items():
        offsets[JOINT[name]] = x, y, z
        if name.startswith("left_"):
            offsets[JOINT[_other_side(name)]] = -x, y, z
    return offsets


REST_OFFSETS = _rest_offsets()
"""Of the generic person: each joint from its parent in the rest pose, metres, float64 55 × 3; the pelvis at zero."""
REST_OFFSETS.flags.writeable = False


def joints_from_offsets(offsets: Any, parents: tuple[int, ...] = PARENTS) -> Any:
    """Rest joints (…, J, 3) from each joint's offset to its parent; a NumPy array or a torch tensor."""
    places = []
    for joint, parent in enumerate(parents):
        offset = offsets[..., joint, :]
        places.append(offset if parent < 0 else places[parent] + offset)
    stacked = offsets * 0
    for joint, place in enumerate(places):
        stacked[..., joint, :] = place
    return stacked


def offsets_from_joints(joints: Any) -> Any:
    """Each of the 55 joints (…, 55, 3) from its parent; the pelvis keeps its place. The inverse of the above."""
    parents = list(PARENTS)
    offsets = joints - joints[..., parents, :]
    offsets[..., 0, :] = joints[..., 0, :]
    return offsets


REST_JOINTS: NDArray[np.float64] = joints_from_offsets(REST_OFFSETS)
"""Joints of the generic person in the rest pose, metres, float64 55 × 3, the pelvis at the origin."""
REST_JOINTS.flags.writeable = False


def posed_joints(
    poses: NDArray[Any], rest_joints: NDArray[Any] = REST_JOINTS, transl: NDArray[Any] | None = None
) -> NDArray[np.float64]:
    """Where the 55 joints are, metres, float64 T × 55 × 3, as `smplx` places them.

    Args:
        poses: axis-angle of each joint against its parent, radians, T × 55 × 3; the pelvis's against the camera.
        rest_joints: joints in the rest pose, metres, 55 × 3.
        transl: added to all joints, metres, T × 3. The pelvis lies at `rest_joints[0] + transl`.
    """
    from scipy.spatial.transform import Rotation

    rest = np.asarray(rest_joints, np.float64).reshape(len(NAMES), 3)
    turns = np.asarray(poses, np.float64).reshape(-1, len(NAMES), 3)
    local = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(-1, len(NAMES), 3, 3)
    offsets, rotations = offsets_from_joints(rest), local.copy()
    joints = np.empty_like(turns)
    joints[:, 0] = offsets[0] if transl is None else offsets[0] + np.asarray(transl, np.float64)
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rotations[:, joint] = rotations[:, parent] @ local[:, joint]
        joints[:, joint] = joints[:, parent] + rotations[:, parent] @ offsets[joint]
    return joints
