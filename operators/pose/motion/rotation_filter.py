"""Savitzky–Golay on rotations: a polynomial through unit quaternions, brought back to unit length.

Quaternions of neighbouring frames are given one sign, and the filter acts on their four numbers. A turn of
everything by one rotation, from the left or from the right, is an orthogonal map of those numbers, so that
the filter turns with it; a constant stays what it is. For turns of less than about 60 degrees within a
window, the result is that of the same filter in the tangent space to within a hundredth of the turn.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.spatial.transform import Rotation

ORDER = 2
"""Degree of the polynomial: speeds and accelerations pass, so that strokes keep their height."""

Array = NDArray[np.float64]


def smooth_rotations(poses: Array, window: int) -> Array:
    """Axis-angle vectors T × J × 3 in radians, smoothed over `window` frames (odd).

    Vectors are continuous over the frames: one that passes half a turn goes on beyond π. A frame whose
    neighbours cancel out (opposite rotations in turns) keeps its rotation.
    """
    quaternions = continuous(poses)
    smooth = smooth_values(quaternions, window)
    length = np.linalg.norm(smooth, axis=2, keepdims=True)
    kept = np.where(length > 0.1, smooth / np.maximum(length, 0.1), quaternions)
    return axis_angles(kept)


def smooth_values(values: Array, window: int) -> Array:
    """Numbers T × …, smoothed over `window` frames (odd); fewer at most than there are, and none below 5."""
    window = min(window, len(values) - 1 + len(values) % 2)
    if window <= ORDER + 1:
        return values
    return np.asarray(savgol_filter(values, window, ORDER, axis=0, mode="interp"))


def continuous(poses: Array) -> Array:
    """Unit quaternions T × J × 4 (x, y, z, w) of axis-angle vectors, without changes of sign from frame to frame."""
    frames, joints = poses.shape[:2]
    found = Rotation.from_rotvec(np.asarray(poses, np.float64).reshape(-1, 3)).as_quat(canonical=True)
    found = found.reshape(frames, joints, 4)
    flips = np.einsum("tjc,tjc->tj", found[1:], found[:-1]) < 0
    signs = np.ones((frames, joints))
    signs[1:] = np.where(np.cumsum(flips, axis=0) % 2, -1.0, 1.0)
    return found * signs[..., None]


def axis_angles(quaternions: Array) -> Array:
    """Axis-angle vectors T × J × 3 of unit quaternions; those with a negative w turn by more than π."""
    imaginary = quaternions[..., :3]
    sine = np.linalg.norm(imaginary, axis=-1)
    angle = 2 * np.arctan2(sine, quaternions[..., 3])
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return imaginary * scale[..., None]
