"""Where shots begin: PySceneDetect's detectors, fed one small frame at a time.

The detectors decide; two things are ours. Every parameter is stated, because PySceneDetect changed
some defaults between releases. And `ContentDetector`'s score is computed with OpenCV's sums
instead of NumPy's, which gives the same number to the last bit in an eighth of the time.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detector import FlashFilter, SceneDetector
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HashDetector

THRESHOLDS = {"content": 30.0, "adaptive": 3.0, "hash": 0.395}
"""Threshold of each detector: MMTrail's for content (`ContentDetector(threshold=30)`); for the others
PySceneDetect's published defaults."""

_WEIGHTS = ContentDetector.Components(delta_hue=1.0, delta_sat=1.0, delta_lum=1.0, delta_edges=0.0)


class _QuickScore:
    """Overrides the score of `ContentDetector` and its subclasses; edges are not scored."""

    _last_channels: tuple[np.ndarray, ...] | None = None

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        channels = cv2.split(cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV))
        before, self._last_channels = self._last_channels, tuple(channels)
        if before is None:
            return 0.0
        size = float(frame_img.shape[0] * frame_img.shape[1])
        deltas = [cv2.norm(a, b, cv2.NORM_L1) / size for a, b in zip(channels, before, strict=True)]
        weights = _WEIGHTS[:3]
        return sum(d * w for d, w in zip(deltas, weights, strict=True)) / sum(abs(w) for w in weights)


class QuickContentDetector(_QuickScore, ContentDetector):
    """`ContentDetector` with the same scores, computed faster."""


class QuickAdaptiveDetector(_QuickScore, AdaptiveDetector):
    """`AdaptiveDetector` with the same scores, computed faster."""


def make_detector(name: str, threshold: float | None, min_shot_frames: int) -> SceneDetector:
    """A fresh detector: "content", "adaptive" or "hash"; `threshold` None means its entry in `THRESHOLDS`."""
    level = THRESHOLDS[name] if threshold is None else threshold
    if name == "content":
        return QuickContentDetector(
            threshold=level,
            min_scene_len=min_shot_frames,
            weights=_WEIGHTS,
            luma_only=False,
            kernel_size=None,
            filter_mode=FlashFilter.Mode.MERGE,
        )
    if name == "adaptive":
        return QuickAdaptiveDetector(
            adaptive_threshold=level,
            min_scene_len=min_shot_frames,
            window_width=2,
            min_content_val=15.0,
            weights=_WEIGHTS,
            luma_only=False,
            kernel_size=None,
        )
    return HashDetector(threshold=level, size=16, lowpass=2, min_scene_len=min_shot_frames)


class CutFinder:
    """Feeds a detector and returns its cuts as frame positions.

    A cut may be reported late (a flash being merged); it is never before the previous one.
    """

    def __init__(self, detector: SceneDetector, fps: Fraction, time_base: Fraction) -> None:
        self._detector: Any = detector
        self._fps = fps
        self._time_base = time_base
        self._positions: dict[int, int] = {}

    def feed(self, position: int, ticks: int, bgr: np.ndarray) -> list[int]:
        """Cuts known after the frame at `position`, `ticks` of the time base from the first frame."""
        self._positions[ticks] = position
        time = FrameTimecode(timecode=Timecode(pts=ticks, time_base=self._time_base), fps=self._fps)
        cuts = self._detector.process_frame(timecode=time, frame_img=bgr)
        return [self._positions[cut.pts] for cut in cuts] if cuts else []

    def finish(self, ticks: int) -> list[int]:
        """Cuts that the detector reports only at the end, `ticks` being the last frame's."""
        time = FrameTimecode(timecode=Timecode(pts=ticks, time_base=self._time_base), fps=self._fps)
        return [self._positions[cut.pts] for cut in self._detector.post_process(time)]

    def forget(self, position: int) -> None:
        """Drop what was kept of frames before `position`; no cut can lie there any more."""
        self._positions = {ticks: at for ticks, at in self._positions.items() if at >= position}
