"""Motion at another frame rate: rotations turn evenly between frames, nothing is taken from outside the clip.

Frame k of the result shows the time k / fps after the first frame, so that the clock stays the clip's. Where
the rates divide, frames of the source are kept as they are; smooth before going down by more.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

EXACT = 1e-6
"""Frames by which a place may lie beside a frame and still be it."""


def places(frames: int, fps: float, wanted: float) -> NDArray[np.float64]:
    """Where the frames at `wanted` per second lie among `frames` at `fps`, in frames of the source, (N,)."""
    count = math.floor((frames - 1) * wanted / fps + EXACT) + 1 if frames else 0
    at = np.arange(count) * (fps / wanted)
    whole = np.round(at)
    return np.clip(np.where(np.abs(at - whole) < EXACT, whole, at), 0, max(0, frames - 1))


def linear(values: ArrayLike, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (T, …) at `places`, on straight lines between frames: (N, …)."""
    track = np.asarray(values, np.float64)
    first, last, share = _between(len(track), at)
    share = share.reshape(-1, *[1] * (track.ndim - 1))
    return track[first] * (1 - share) + track[last] * share


def turned(axis_angles: ArrayLike, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations (T, …, 3), axis-angle in radians, at `places`: (N, …, 3), by the shortest way between frames."""
    from scipy.spatial.transform import Rotation

    track = np.asarray(axis_angles, np.float64)
    first, last, share = _between(len(track), at)
    shape = (len(at), *track.shape[1:])
    if not at.size or not track.size:
        return np.zeros(shape)
    start, end = (Rotation.from_rotvec(track[where].reshape(-1, 3)) for where in (first, last))
    spread = np.repeat(share, track[0].size // 3)[:, None]
    between = start * Rotation.from_rotvec((start.inv() * end).as_rotvec() * spread)
    found = between.as_rotvec().reshape(shape)
    on_frame = share == 0
    found[on_frame] = track[first[on_frame]]  # as they were written, not turned through π
    return found


def kept(mask: ArrayLike, at: NDArray[np.float64]) -> NDArray[np.bool_]:
    """A mask (T, …) at `places`: set where both frames that a place lies between are."""
    flags = np.asarray(mask, bool)
    first, last, share = _between(len(flags), at)
    return flags[first] & (flags[last] | (share == 0).reshape(-1, *[1] * (flags.ndim - 1)))


def _between(frames: int, at: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    first = np.floor(at).astype(np.intp)
    return first, np.minimum(first + 1, max(0, frames - 1)), at - first
