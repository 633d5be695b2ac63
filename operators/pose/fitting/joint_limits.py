"""What rotations are usual and possible at each joint: the pose prior and the limits of the fit.

Both are stated on the axis-angle vector of a joint against its parent, in SMPL-X's rest frame: for arms and
fingers x is the twist about the bone, for elbows −y (left) bends, for fingers −z (left) bends; for legs and
trunk x bends. The numbers are our own reading of common ranges of motion (Norkin and White, "Measurement of
Joint Motion", 2016), rounded; hinges are given narrow priors across their axis. They decide what
landmarks leave open, and little else.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from operators.pose.skeleton import DIGITS, JOINT, MIRROR

LIMIT_WIDTH = 0.05
"""Radians beyond a limit that count as one standard deviation."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Range:
    """Of the axis-angle vector of one joint, in radians: usual value, standard deviation, lower and upper limit."""

    mean: Triple
    spread: Triple
    low: Triple
    high: Triple


def _around(spread: Triple, reach: Triple, mean: Triple = (0.0, 0.0, 0.0)) -> Range:
    return Range(mean, spread, (-reach[0], -reach[1], -reach[2]), reach)


_FIXED = _around((0.02, 0.02, 0.02), (0.05, 0.05, 0.05))
_SPINE = _around((0.12, 0.10, 0.10), (0.5, 0.4, 0.4))
_FINGER = (
    Range((0.0, 0.0, -0.35), (0.12, 0.15, 0.5), (-0.3, -0.45, -1.75), (0.3, 0.45, 0.6)),
    Range((0.0, 0.0, -0.5), (0.04, 0.04, 0.6), (-0.12, -0.12, -2.0), (0.12, 0.12, 0.1)),
    Range((0.0, 0.0, -0.3), (0.04, 0.04, 0.3), (-0.12, -0.12, -1.5), (0.12, 0.12, 0.3)),
)
_THUMB = (
    _around((0.35, 0.35, 0.35), (1.0, 1.0, 1.0)),
    _around((0.3, 0.3, 0.3), (1.0, 1.0, 1.0)),
    _around((0.3, 0.35, 0.35), (0.9, 1.3, 1.3)),
)

RANGES = MappingProxyType(
    {
        "spine1": _SPINE,
        "spine2": _SPINE,
        "spine3": _SPINE,
        "neck": _around((0.2, 0.25, 0.15), (0.8, 0.9, 0.6)),
        "head": _around((0.2, 0.25, 0.15), (0.8, 0.9, 0.6)),
        "jaw": Range((0.03, 0.0, 0.0), (0.15, 0.02, 0.02), (-0.02, -0.1, -0.1), (0.6, 0.1, 0.1)),
        "left_eye_smplhf": _FIXED,
        "left_hip": Range((-0.5, 0.0, 0.0), (1.0, 0.3, 0.3), (-2.3, -0.9, -0.7), (0.6, 0.9, 0.9)),
        "left_knee": Range((0.5, 0.0, 0.0), (0.9, 0.08, 0.08), (-0.05, -0.2, -0.2), (2.6, 0.2, 0.2)),
        "left_ankle": _around((0.3, 0.15, 0.2), (0.8, 0.4, 0.5)),
        "left_foot": _around((0.05, 0.05, 0.05), (0.4, 0.1, 0.1)),
        "left_collar": _around((0.08, 0.15, 0.15), (0.3, 0.5, 0.7)),
        "left_shoulder": Range((0.0, -0.2, -1.0), (0.5, 0.8, 0.8), (-1.7, -2.3, -2.0), (1.7, 1.2, 1.9)),
        "left_elbow": Range((-0.3, -0.8, 0.0), (0.6, 0.8, 0.1), (-2.2, -2.7, -0.25), (1.2, 0.05, 0.25)),
        "left_wrist": _around((0.35, 0.3, 0.5), (1.2, 0.7, 1.4)),
        **{f"left_{digit}{k + 1}": _FINGER[k] for digit in DIGITS if digit != "thumb" for k in range(3)},
        **{f"left_thumb{k + 1}": _THUMB[k] for k in range(3)},
    }
)
"""Ranges of the middle and the left side; the right side mirrors them. The pelvis has none."""


@dataclass(frozen=True)
class Limits:
    """Arrays float64 (55, 3), radians: mean and spread of the prior, lower and upper limits."""

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def _limits() -> Limits:
    mean, spread = np.zeros((55, 3)), np.full((55, 3), np.inf)
    low, high = -spread, +spread
    mirror = np.array([1.0, -1.0, -1.0])  # of a rotation in the plane x = 0
    for name, given in RANGES.items():
        joint = JOINT[name]
        mean[joint], spread[joint], low[joint], high[joint] = given.mean, given.spread, given.low, given.high
        if (other := MIRROR[joint]) != joint:
            mean[other], spread[other] = mirror * given.mean, given.spread
            ends = np.stack([mirror * given.low, mirror * given.high])
            low[other], high[other] = ends.min(0), ends.max(0)
    return Limits(mean, spread, low, high)


LIMITS = _limits()
"""For all 55 joints; infinitely wide for the pelvis."""


def beyond(poses: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far each joint's axis-angle vector (…, 55, 3) lies outside its limits, radians, (…, 55)."""
    outside = poses - np.clip(poses, LIMITS.low, LIMITS.high)
    return np.linalg.norm(outside, axis=-1).astype(np.float64)
