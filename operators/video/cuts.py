"""Where shots begin: PySceneDetect's detectors, fed one small frame at a time.

The detectors decide; two things are ours. Every parameter is stated, because PySceneDetect changed
some defaults between releases. And `ContentDetector`'s score is computed with one OpenCV sum instead
of NumPy's, which gives the same number, but for the last bits, in an eighth of the time.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from scenedetect.common import FrameTimecode
from scenedetect.detector import FlashFilter, SceneDetector
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HashDetector

THRESHOLDS = {"content": 30.0, "adaptive": 3.0, "hash": 0.395}
"""Threshold of each detector: MMTrail's for content (`ContentDetector(threshold=30)`); for the others
PySceneDetect's published defaults."""

ADAPTIVE_WINDOW = 2
"""Frames before and after a frame with which the adaptive detector compares it; it reports as much later."""

_WEIGHTS = ContentDetector.Components(delta_hue=1.0, delta_sat=1.0, delta_lum=1.0, delta_edges=0.0)


class _QuickScore:
    """Overrides the score of `ContentDetector` and its subclasses.

    With equal weights and no edges the score is the mean absolute difference over the three HSV
    channels. Buffers are reused: allocating four pictures per frame cost as much as the sums.
    """

    _before: np.ndarray | None = None
    _spare: np.ndarray | None = None

    def _calculate_frame_score(self, timecode: FrameTimecode, frame_img: np.ndarray) -> float:
        hsv = cv2.cvtColor(frame_img, cv2.COLOR_BGR2HSV, dst=self._spare)
        before, self._before = self._before, hsv
        if before is None:
            return 0.0
        self._spare = before
        return cv2.norm(hsv, before, cv2.NORM_L1) / hsv.size


class QuickContentDetector(_QuickScore, ContentDetector):
    """`ContentDetector` with the same scores, computed faster.

    `above`: whether the last frame's score reached the threshold. A cut that is reported late, after a
    flash was merged, is always at the latest such frame.
    """

    above = False

    def process_frame(self, timecode: FrameTimecode, frame_img: np.ndarray) -> list[FrameTimecode]:
        cuts = super().process_frame(timecode, frame_img)
        self.above = self._frame_score is not None and self._frame_score >= self._threshold
        return cuts


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
            window_width=ADAPTIVE_WINDOW,
            min_content_val=15.0,
            weights=_WEIGHTS,
            luma_only=False,
            kernel_size=None,
        )
    return HashDetector(threshold=level, size=16, lowpass=2, min_scene_len=min_shot_frames)


class Moment:
    """A frame's time for the detectors: what they use of `FrameTimecode`, which costs ten times as much.

    Differences are whole frames of the nominal rate, as with a `FrameTimecode` made from a presentation
    time. `position` counts decoded frames, `ticks` the time base's units from the first frame, and
    `frames_per_tick` is nominal rate × time base.
    """

    __slots__ = ("frame_rate", "frames_per_tick", "position", "ticks")

    def __init__(self, position: int, ticks: int, frames_per_tick: float, frame_rate: float) -> None:
        self.position = position
        self.ticks = ticks
        self.frames_per_tick = frames_per_tick
        self.frame_rate = frame_rate

    def __sub__(self, other: Moment) -> int:
        return round(max(0, self.ticks - other.ticks) * self.frames_per_tick)


class CutFinder:
    """Feeds a detector and returns its cuts as frame positions.

    A cut may be reported late: at `suspect`, or up to `ADAPTIVE_WINDOW` frames ago.
    """

    def __init__(self, detector: SceneDetector, min_shot_frames: int, fps: Fraction, time_base: Fraction) -> None:
        self._detector: Any = detector
        self._min_shot_frames = min_shot_frames
        self._frame_rate = float(fps)
        self._frames_per_tick = float(fps * time_base)
        self._suspect: Moment | None = None

    @property
    def suspect(self) -> int | None:
        """Position of the frame at which a cut may still be reported, or None."""
        return self._suspect.position if self._suspect is not None else None

    def feed(self, position: int, ticks: int, bgr: np.ndarray) -> list[int]:
        """Cuts known after the frame at `position`, `ticks` of the time base from the first frame."""
        moment = Moment(position, ticks, self._frames_per_tick, self._frame_rate)
        cuts = self._detector.process_frame(timecode=moment, frame_img=bgr)
        if getattr(self._detector, "above", False):
            self._suspect = moment
        elif self._suspect is not None and moment - self._suspect >= self._min_shot_frames:
            self._suspect = None  # the flash filter decides by now
        return [cut.position for cut in cuts] if cuts else cuts

    def finish(self, position: int, ticks: int) -> list[int]:
        """Cuts that the detector reports only at the end, given the last frame."""
        moment = Moment(position, ticks, self._frames_per_tick, self._frame_rate)
        return [cut.position for cut in self._detector.post_process(moment)]
