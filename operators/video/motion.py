"""How much a clip moves, and how its camera moves, from dense optical flow of sampled frame pairs.

MMTrail scored motion as the mean length of flow vectors between neighbouring frames (`of_score`,
OpenCV flow through video2dataset; its picture size is not published). Here the same mean is taken
at the analysis size, 256 pixels wide, over pairs of *neighbouring decoded frames* sampled a few
times a second, with OpenCV's DIS flow (Kroeger et al., ECCV 2016). One pixel is 1/256 of the width
per frame step: multiply by source width / 256 for source pixels. Codec motion vectors are not used:
FFmpeg's export makes every frame dearer than sampled flow makes the whole clip.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

SAMPLES_PER_SECOND = 4
"""Pairs measured per second of video, where the frame rate allows (each is two neighbouring frames)."""

LONGEST_STRIDE = 7
"""Frames between samples at most, so that the shortest shot of 15 frames holds a pair."""

GRID = 8
"""Pixels between the points to which the camera's motion is fitted."""

TEXTURE = 6.0
"""Mean gradient (grey levels per pixel) above which a grid cell shows real motion; flat areas only guess."""

FEWEST_POINTS = 12


@dataclass(frozen=True)
class PairMotion:
    """Motion between the frames at `position` and `position + 1`, in pixels of the analysis size.

    `pan` is the shift of the picture's centre (x right, y down), `zoom` the natural logarithm of its
    scale, both of the picture (the camera moves the other way); `seconds` lie between the frames.
    """

    position: int
    seconds: float
    magnitude: float
    pan: tuple[float, float]
    zoom: float
    residual: float


@dataclass(frozen=True)
class ClipMotion:
    """Means over a clip's pairs; see the columns of these names. None where no pair was sampled."""

    of_score: float | None
    motion_method: str
    pan_x: float | None
    pan_y: float | None
    zoom: float | None
    motion_residual: float | None


class MotionSampler:
    """Measures every `stride`-th pair of neighbouring frames of one video."""

    def __init__(self, fps: Fraction, width: int, height: int) -> None:
        self._stride = min(max(round(fps / SAMPLES_PER_SECOND), 1), LONGEST_STRIDE)
        # 8×8 patches on the coarsest scale need a picture of some size; smaller ones are not measured.
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._measurable = min(width, height) >= 32
        self._first: tuple[int, float, np.ndarray] | None = None

    def feed(self, position: int, time: float, luma: np.ndarray) -> PairMotion | None:
        """The motion from the frame before to this one (`luma` H×W uint8), where that pair is sampled."""
        if not self._measurable:
            return None
        first, found = self._first, None
        if first is not None and first[0] == position - 1:
            found = measure_pair(self._flow, first[0], time - first[1], first[2], luma)
        self._first = (position, time, luma) if position % self._stride == 0 else None
        return found


def measure_pair(flow: Any, position: int, seconds: float, before: np.ndarray, after: np.ndarray) -> PairMotion:
    """Dense flow between two grey pictures, and the similarity transform that explains most of it."""
    field = flow.calc(before, after, None)
    height, width = before.shape
    magnitude = cv2.mean(cv2.magnitude(field[..., 0], field[..., 1]))[0]
    ys, xs = np.mgrid[GRID // 2 : height : GRID, GRID // 2 : width : GRID]
    points = np.stack([xs, ys], axis=-1).reshape(-1, 2).astype(np.float32)
    moves = np.ascontiguousarray(field[ys, xs].reshape(-1, 2))
    textured = _texture(before)[ys, xs].ravel() >= TEXTURE
    if np.count_nonzero(textured) >= FEWEST_POINTS:
        points, moves = points[textured], moves[textured]
    matrix, _ = cv2.estimateAffinePartial2D(points, points + moves, method=cv2.LMEDS)
    if matrix is None or not np.isfinite(matrix).all():
        return PairMotion(position, seconds, magnitude, (0.0, 0.0), 0.0, magnitude)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    left = moves - (points @ matrix[:, :2].T + matrix[:, 2] - points)
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    residual = float(np.hypot(left[:, 0], left[:, 1]).mean())
    zoom = math.log(scale) if scale > 0 else 0.0
    return PairMotion(position, seconds, magnitude, (float(shift[0]), float(shift[1])), zoom, residual)


def _texture(luma: np.ndarray) -> np.ndarray:
    across, down = cv2.spatialGradient(luma)
    strength = cv2.add(cv2.convertScaleAbs(across, alpha=1 / 8), cv2.convertScaleAbs(down, alpha=1 / 8))
    return cv2.blur(strength, (GRID, GRID))


def summarise(pairs: list[PairMotion], width: int, height: int) -> ClipMotion:
    """Means over `pairs`, speeds per second of presentation time, for a picture of `width` × `height`.

    Signs are the camera's: positive pan when the picture moves left (up), positive zoom when it grows.
    Axes are the coded picture's; turn them with `Geometry.turn_vector`.
    """
    if not pairs:
        return ClipMotion(None, "none", None, None, None, None)
    count = len(pairs)
    return ClipMotion(
        of_score=sum(p.magnitude for p in pairs) / count,
        motion_method="optical_flow",
        pan_x=-sum(p.pan[0] / p.seconds for p in pairs) / count / width,
        pan_y=-sum(p.pan[1] / p.seconds for p in pairs) / count / height,
        zoom=sum(p.zoom / p.seconds for p in pairs) / count,
        motion_residual=sum(p.residual for p in pairs) / count,
    )
