"""Three keyframes of a clip whose end is not known while it is decoded.

A reservoir keeps references to decoded frames, thinned so that whatever the clip's length, a frame
lies near 20, 50 and 80 % of it. Offsets from the clip's start are kept on a grid whose step grows
with the offset, and offsets below 20 % of the length so far are let go: about 2.3 × `density`
frames. The step at offset p is at most p / density, so a keyframe lies within half a step, p / (2 ×
density), of its place: at the usual density of 16, within 0.6, 1.6 and 2.5 % of the clip's length.
Which frames are kept depends on their offsets only.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from av.video.frame import VideoFrame

from operators.video.shrink import planes
from operators.video.stream import Geometry

PLACES = (0.2, 0.5, 0.8)
"""Where keyframes are taken, as shares of the clip's duration (as MMTrail samples its scores)."""

LOOK_BACK = 16
"""Latest frames that are all kept, since a detector may report a cut this many frames late."""

BUDGET = 128 << 20
"""Bytes of decoded frames that a reservoir may hold; larger pictures are kept more sparsely."""

_DENSITIES = ((16, 1), (8, 1), (8, 2), (4, 4))  # (frames per doubling of the offset, step of the latest frames)


@dataclass(frozen=True)
class Candidate:
    """A decoded frame, its position in the video and its presentation time in seconds."""

    position: int
    time: float
    frame: VideoFrame


def _capacity(density: int, latest_step: int) -> int:
    # The grid holds at most 2.4 × density frames; a few more, so that thinning is not due at every frame.
    return round(2.4 * density) + LOOK_BACK // latest_step + 6


class Reservoir:
    """The frames of the running clip that may become keyframes."""

    def __init__(self, start: int, frame_bytes: int) -> None:
        self._start = start
        self._kept: list[Candidate] = []
        self._density, self._latest_step = next(
            (pair for pair in _DENSITIES if _capacity(*pair) * frame_bytes <= BUDGET), _DENSITIES[-1]
        )
        self._capacity = _capacity(self._density, self._latest_step)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, candidate: Candidate) -> None:
        """Take the next frame in, and let go of those that no clip end can ask for any more."""
        self._kept.append(candidate)
        if len(self._kept) > self._capacity:
            self._thin(candidate.position)

    def _thin(self, newest: int) -> None:
        earliest = self._start + PLACES[0] * (newest - self._start) * (1 - 1 / self._density)
        self._kept = [
            c
            for c in self._kept
            if self._is_recent(c.position, newest) or (c.position >= earliest and self._on_grid(c))
        ]

    def _is_recent(self, position: int, newest: int) -> bool:
        return newest - position < LOOK_BACK and position % self._latest_step == 0

    def _on_grid(self, candidate: Candidate) -> bool:
        offset = candidate.position - self._start
        step = 1 << max(0, (offset // self._density).bit_length() - 1)
        return offset % step == 0

    def split(self, position: int) -> list[Candidate]:
        """Close the clip before `position`: its candidates; the others start the next clip."""
        done = [c for c in self._kept if c.position < position]
        self._kept = [c for c in self._kept if c.position >= position]
        self._start = position
        return done


def choose(candidates: list[Candidate], start: float, end: float) -> list[Candidate]:
    """The candidates nearest in time to 20, 50 and 80 % of [start, end); the earlier one of two equals."""
    wanted = (start + place * (end - start) for place in PLACES)
    return [min(candidates, key=lambda c: (abs(c.time - time), c.position)) for time in wanted]


def encode(frame: VideoFrame, shape: Geometry, long_side: int, quality: int) -> bytes:
    """A JPEG of the frame as displayed: square pixels, rotated, its longer side at most `long_side`."""
    width, height = shape.displayed
    scale = min(1.0, long_side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if shape.quarter_turns % 2:
        size = (size[1], size[0])
    bgr = frame.to_ndarray(format="bgr24")
    if size != (frame.width, frame.height):
        bgr = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)
    if shape.quarter_turns:
        bgr = np.ascontiguousarray(np.rot90(bgr, -shape.quarter_turns))
    done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"cannot encode a picture of {bgr.shape[1]}×{bgr.shape[0]} pixels as JPEG")
    return data.tobytes()


def frame_bytes(frame: VideoFrame) -> int:
    """Bytes that a decoded frame holds."""
    found = planes(frame)
    return sum(view.nbytes for view in found[0]) if found else frame.width * frame.height * 4
