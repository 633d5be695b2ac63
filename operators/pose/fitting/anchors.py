"""Where MediaPipe's landmarks sit on the skeleton: points fixed to joints, and the joints themselves.

A landmark is a point on a picture of a person, not a joint of a skeleton. Shoulders, elbows, wrists, knees,
ankles and knuckles are taken to be the joints of these names. The others stand off their joint by a fixed
offset on the generic person (metres, in the rest frame) that grows with the limb it belongs to: hips, which
MediaPipe marks wider apart than the joints are, the points of the face, heels, toes and fingertips. The
offsets are rounded measures of adults (Farkas, "Anthropometry of the Head and Face", 1994). Lips are not among the
points that orient the head: they talk.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.pose.fitting.proportions import Proportions
from operators.pose.skeleton import DIGITS, JOINT, PARENTS, REST_OFFSETS
from operators.pose.topology import BODY_NAMES, FACE, HAND


class Anchor(NamedTuple):
    """A point at `offset` metres from `joint`, in its frame, on the generic person; grows with `group`."""

    joint: str
    offset: tuple[float, float, float]
    group: str


def _joint(name: str) -> Anchor:
    return Anchor(name, (0.0, 0.0, 0.0), "trunk")


def _head(x: float, y: float, z: float) -> Anchor:
    return Anchor("head", (x, y, z), "head")


def _knuckle(digit: str, *joints: str) -> Anchor:
    x, y, z = np.sum([REST_OFFSETS[JOINT[name]] for name in joints], axis=0)
    return Anchor("left_wrist", (float(x), float(y), float(z)), f"palm_{digit}")


_ANCHORS = {
    "nose": _head(0.0, 0.020, 0.118),
    "left_eye_inner": _head(0.017, 0.050, 0.082),
    "left_eye": _head(0.031, 0.050, 0.082),
    "left_eye_outer": _head(0.046, 0.050, 0.070),
    "left_ear": _head(0.074, 0.030, -0.005),
    "mouth_left": _head(0.025, -0.025, 0.090),
    "left_pinky": _knuckle("pinky", "left_pinky1"),
    "left_index": _knuckle("index", "left_index1"),
    "left_thumb": _knuckle("thumb", "left_thumb1", "left_thumb2"),
    "left_heel": Anchor("left_ankle", (0.0, -0.045, -0.045), "feet"),
    "left_foot_index": Anchor("left_foot", (0.0, -0.008, 0.055), "feet"),
    **{f"left_{name}": _joint(f"left_{name}") for name in ("shoulder", "elbow", "wrist", "knee", "ankle")},
    "left_hip": Anchor("left_hip", (0.03, 0.0, 0.0), "trunk"),
    "nose_root": _head(0.0, 0.050, 0.096),
    "nose_tip": _head(0.0, 0.020, 0.118),
    "nose_base": _head(0.0, 0.004, 0.104),
}
"""Landmarks of the middle and the left side, of the body and of the face."""


def _anchor(name: str) -> Anchor:
    if name in _ANCHORS:
        return _ANCHORS[name]
    twin = _ANCHORS[name.replace("right", "left")]
    x, y, z = twin.offset
    return Anchor(twin.joint.replace("left", "right"), (-x, y, z), twin.group)


FACE_RIGID = (
    "nose_root", "nose_tip", "nose_base",
    "right_eye_outer", "right_eye_inner", "left_eye_inner", "left_eye_outer",
)  # fmt: skip
"""Face points that move with the head alone, by their names in `topology.FACE`."""

LIPS = (0.0, -0.025, 0.090)
"""Where the lips meet, metres from the head's joint on the generic person."""

FINGERTIPS = MappingProxyType({"index": 0.88, "middle": 0.79, "pinky": 0.95, "ring": 0.81, "thumb": 0.84})
"""From a finger's last joint to its tip, along and as a share of the bone before that joint."""

HAND_DIGITS = tuple((HAND[f"{digit}_{'cmc' if digit == 'thumb' else 'mcp'}"], digit) for digit in DIGITS)
"""MediaPipe's first point of each digit, in SMPL-X's order; the next three follow it."""

PALM = (HAND["wrist"], *(first for first, _ in HAND_DIGITS))
"""MediaPipe's points of a hand that move with the wrist alone."""

BODY_ANCHORS = tuple(_anchor(name) for name in BODY_NAMES)
"""For each of the 33 body landmarks."""

FACE_ANCHORS = tuple(_anchor(name) for name in FACE_RIGID)
"""For each of `FACE_RIGID`."""

FACE_INDEX = tuple(FACE[name] for name in FACE_RIGID)
"""Of `FACE_RIGID` among the 68."""


@dataclass(frozen=True)
class AnchorSet:
    """Points as functions of the proportions p, float64: `offset` (N, 3) + `basis` (N, 3, K) · p on `joint` (N)."""

    joint: NDArray[np.int64]
    offset: NDArray[np.float64]
    basis: NDArray[np.float64]


def body_points(proportions: Proportions) -> AnchorSet:
    """The points of the body's fit: 33 body landmarks, 6 of the left palm, 6 of the right, 7 of the face."""
    joints, offsets, bases = [], [], []

    def add(joint: int, offset: NDArray[np.float64], basis: NDArray[Any]) -> None:
        joints.append(joint)
        offsets.append(offset)
        bases.append(basis)

    def add_anchor(anchor: Anchor) -> None:
        scale, change = proportions.group_scale(anchor.group)
        place = np.asarray(anchor.offset)
        add(JOINT[anchor.joint], scale * place, np.outer(place, change))

    for anchor in BODY_ANCHORS:
        add_anchor(anchor)
    for side in ("left", "right"):
        wrist = JOINT[f"{side}_wrist"]
        add(wrist, np.zeros(3), np.zeros_like(proportions.basis[0]))
        for digit in DIGITS:
            knuckle = JOINT[f"{side}_{digit}1"]
            assert PARENTS[knuckle] == wrist
            add(wrist, proportions.offsets[knuckle], proportions.basis[knuckle])
    for anchor in FACE_ANCHORS:
        add_anchor(anchor)
    return AnchorSet(np.array(joints), np.array(offsets), np.array(bases))
