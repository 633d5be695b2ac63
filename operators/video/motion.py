"""How much a clip moves, and how its camera moves, from dense optical flow of sampled frame pairs.

MMTrail scored motion as the mean length of flow vectors between neighbouring frames (`of_score`,
OpenCV flow through video2dataset; its picture size is not published). Here the same mean is taken
over pairs of *neighbouring decoded frames*, sampled twice a second, with OpenCV's DIS flow (Kroeger
et al., ECCV 2016), in pixels of the analysis size, 256 wide: multiply by source width / 256 for
source pixels. The flow itself is computed at half that size. Codec motion vectors are not used:
exporting them from FFmpeg costs ten times as much, some codecs have none, and they tell how the
encoder predicted a block rather than how it moved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import cv2
import numpy as np

SAMPLES_PER_SECOND = 2
"""Pairs measured per second of video, where the frame rate allows (each is two neighbouring frames)."""

LONGEST_STRIDE = 14
"""Frames between samples at most, so that the shortest shot of 15 frames holds a pair."""

FLOW_SCALE = 2
"""Pixels of the analysis size per pixel of the picture on which flow is computed."""

GRID = 4
"""Pixels of that picture between the points to which the camera's motion is fitted."""

TEXTURE = 6.0
"""Mean gradient (grey levels per pixel) above which a grid cell shows real motion; flat areas only guess."""

FEWEST_POINTS = 12

AGREEMENT = 0.25
"""Pixels by which a point may miss the camera's motion and still belong to it (RANSAC, which OpenCV seeds alike)."""

SMALLEST = 16
"""Pixels that the flow picture's shorter side must have for DIS's 8×8 patches; below, motion is not measured."""

WIDE, LOWEST_WIDE = 80, 32
"""OpenCV's DIS crashes on pictures of this width and less than this height: it derives its scales from the width."""


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
    """Measures sampled pairs of neighbouring frames of one video, `width` × `height` at the analysis size."""

    def __init__(self, fps: Fraction, width: int, height: int) -> None:
        self._stride = min(max(round(fps / SAMPLES_PER_SECOND), 1), LONGEST_STRIDE)
        self._size = (width // FLOW_SCALE, height // FLOW_SCALE)
        measurable = min(self._size) >= SMALLEST and (self._size[0] < WIDE or self._size[1] >= LOWEST_WIDE)
        self._meter = PairMeter(*self._size) if measurable else None
        self._first: tuple[int, float, np.ndarray] | None = None

    def feed(self, position: int, offset: int, time: float, luma: np.ndarray) -> PairMotion | None:
        """The motion from the frame before to this one (`luma` H×W uint8), where that pair is sampled.

        `offset` counts from the first frame of the clip; pairs begin at 1 and every stride after.
        """
        if self._meter is None:
            return None
        first, self._first = self._first, None
        begins = (offset - 1) % self._stride == 0
        if not begins and first is None:
            return None
        small = cv2.resize(luma, self._size, interpolation=cv2.INTER_AREA)
        if begins:
            self._first = (position, time, small)
        if first is None or time <= first[1]:
            return None
        return self._meter(first[0], time - first[1], first[2], small)


class PairMeter:
    """Dense flow between two grey pictures of one size, and the similarity transform that explains most of it."""

    def __init__(self, width: int, height: int) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._ys, self._xs = (slice(GRID // 2, side, GRID) for side in (height, width))
        ys, xs = np.mgrid[0:height, 0:width]
        self._points = np.stack([xs, ys], axis=-1)[self._ys, self._xs].reshape(-1, 2).astype(np.float32)
        self._centre = np.array([(width - 1) / 2, (height - 1) / 2])

    def __call__(self, position: int, seconds: float, before: np.ndarray, after: np.ndarray) -> PairMotion:
        """Motion from `before` to `after` (H×W uint8), `seconds` apart, in pixels of the analysis size."""
        field = self._flow.calc(before, after, None)
        # `cv2.magnitude` differs in its last bits with the address of its input.
        lengths = np.sqrt(np.square(field).sum(axis=-1))
        magnitude = FLOW_SCALE * float(lengths.mean(dtype=np.float64))
        points, moves = self._points, field[self._ys, self._xs].reshape(-1, 2)
        textured = self._texture(before) >= TEXTURE
        if np.count_nonzero(textured) >= FEWEST_POINTS:
            points, moves = points[textured], moves[textured]
        matrix, _ = cv2.estimateAffinePartial2D(
            points, points + moves, method=cv2.RANSAC, ransacReprojThreshold=AGREEMENT
        )
        if matrix is None or not np.isfinite(matrix).all():
            return PairMotion(position, seconds, magnitude, (0.0, 0.0), 0.0, magnitude)
        linear, shift = matrix[:, :2], matrix[:, 2]
        pan = FLOW_SCALE * (linear @ self._centre + shift - self._centre)
        left = moves - (points @ linear.T + shift - points)
        scale = math.hypot(linear[0, 0], linear[1, 0])
        residual = FLOW_SCALE * float(np.hypot(left[:, 0], left[:, 1]).mean())
        zoom = math.log(scale) if scale > 0 else 0.0
        return PairMotion(position, seconds, magnitude, (float(pan[0]), float(pan[1])), zoom, residual)

    def _texture(self, luma: np.ndarray) -> np.ndarray:
        across, down = cv2.spatialGradient(luma)
        strength = cv2.add(cv2.convertScaleAbs(across, alpha=1 / 8), cv2.convertScaleAbs(down, alpha=1 / 8))
        return cv2.blur(strength, (8, 8))[self._ys, self._xs].ravel()


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
