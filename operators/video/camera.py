"""Is it the camera that moves? A claim about camera speed, tested on the keyframes.

Optical flow over a few pairs of frames can take turning rays or passing figures for a pan. Between
keyframes, seconds apart, the claim predicts where the picture has gone: the picture moved as predicted
must match better than the picture left in its place. Of pan, tilt and zoom those are left out that do
not make the prediction better than the others alone do.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from operators.video.stills import RGB, shrink

SIDE = 96  # px; coarse enough for a speed that is a mean
BLUR = 1.5  # px
OVERLAP = 0.25  # share of the frame that must still be in view after the predicted movement
STILL = 0.6  # correlation of a picture with itself in place that rules out a movement out of view
BETTER = 0.01  # gain in correlation

Speeds = tuple[float, float, float]
"""Pan in frame widths per second (positive: the camera turns right), tilt in heights per second (positive: down),
zoom as rate of scale change per second (positive: in)."""


def borne_out(frames: Sequence[RGB], times: Sequence[float], claimed: Speeds) -> Speeds:
    """The claimed speeds that frames taken at these times (s) bear out, 0 for the others and for what is not claimed.

    All are 0 where the frames cannot tell.
    """
    lumas = [_luma(frame) for frame in frames]
    pairs = [
        (first, second, end - start)
        for first, second, start, end in zip(lumas, lumas[1:], times, times[1:], strict=False)
        if end > start and first.shape == second.shape
    ]
    whole = _mean_gain(pairs, claimed) if pairs else 0.0
    if whole <= BETTER:
        return 0.0, 0.0, 0.0
    pan, tilt, zoom = claimed
    standing = (
        pan if pan and whole - _mean_gain(pairs, (0.0, tilt, zoom)) > BETTER else 0.0,
        tilt if tilt and whole - _mean_gain(pairs, (pan, 0.0, zoom)) > BETTER else 0.0,
        zoom if zoom and whole - _mean_gain(pairs, (pan, tilt, 0.0)) > BETTER else 0.0,
    )
    return standing if _mean_gain(pairs, standing) > BETTER else (0.0, 0.0, 0.0)


def _mean_gain(pairs: Sequence[tuple[np.ndarray, np.ndarray, float]], speeds: Speeds) -> float:
    pan, tilt, zoom = speeds
    return float(np.mean([_gain(first, second, pan * dt, tilt * dt, zoom * dt) for first, second, dt in pairs]))


def _luma(frame: RGB) -> np.ndarray:
    grey = cv2.cvtColor(shrink(frame, long_side=SIDE), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), BLUR)


def _gain(first: np.ndarray, second: np.ndarray, pan: float, tilt: float, zoom: float) -> float:
    """Correlation with the second picture of the first one moved, less that of the first one left in place."""
    height, width = first.shape
    scale = float(np.exp(np.clip(zoom, -3, 3)))
    move = np.array(
        [[scale, 0, width / 2 * (1 - scale) - pan * width], [0, scale, height / 2 * (1 - scale) - tilt * height]],
        np.float32,
    )
    in_view = cv2.warpAffine(np.ones_like(first), move, (width, height), flags=cv2.INTER_NEAREST) > 0
    in_place = _correlation(first, second)
    if in_view.mean() < OVERLAP:
        return STILL - in_place
    moved = cv2.warpAffine(first, move, (width, height), flags=cv2.INTER_LINEAR)
    return _correlation(moved[in_view], second[in_view]) - in_place


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    a, b = one.ravel() - one.mean(dtype=np.float64), other.ravel() - other.mean(dtype=np.float64)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
