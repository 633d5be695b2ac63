"""Three keyframes of a clip whose end is not known while it is decoded.

A reservoir keeps references to decoded frames, thinned so that whatever the clip's length, a frame
lies near 20, 50 and 80 % of it. Offsets from the clip's start are kept on a grid whose step grows
with the offset, and offsets below 20 % of the length so far are let go: about 20 frames. The step at
offset p is at most p / 8, so a keyframe lies within p / 16 of its place: 1.3 % of the clip's length
at 20 %, 3.1 % at 50 % and 5 % at 80 %. Which frames are kept depends on offsets only.

Few frames are kept on purpose. A frame that is kept costs the decoder a buffer that is still in the
processor's cache; keeping the last 16 frames made decoding a fifth slower at 720p.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from av.video.frame import VideoFrame

from operators.video.shrink import planes
from operators.video.stream import Geometry

PLACES = (0.2, 0.5, 0.8)
"""Where keyframes are taken, as shares of the clip's duration (as MMTrail samples its scores)."""

DENSITY = 8
"""Frames kept per doubling of the offset; half of it for pictures of more than `LARGE` bytes."""

LARGE = 8 << 20

LATEST = 3
"""Newest frames that are always kept: the adaptive detector reports a cut two frames late."""


class Candidate(NamedTuple):
    """A decoded frame, its position in the video and its presentation time in seconds."""

    position: int
    time: float
    frame: VideoFrame


class Reservoir:
    """The frames of the running clip that may become keyframes.

    `start` is the clip's first frame, `frame_bytes` the size of a decoded frame.
    """

    def __init__(self, start: int, frame_bytes: int) -> None:
        self._start = start
        self._kept: list[Candidate] = []
        self._density = DENSITY if frame_bytes <= LARGE else DENSITY // 2

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, candidate: Candidate, suspect: int | None = None) -> None:
        """Take the next frame in and let go of those that no end of the clip can ask for.

        `suspect` is a frame at which a cut may still be reported; frames from there on are kept as if
        a clip began there.
        """
        kept, newest = self._kept, candidate.position
        kept.append(candidate)
        if len(kept) > LATEST and not self._wanted(kept[-LATEST - 1].position, suspect):
            del kept[-LATEST - 1]
        if newest % self._density == 0:
            first_end = suspect if suspect is not None and suspect > self._start else newest
            earliest = self._start + int(PLACES[0] * (1 - 1 / self._density) * (first_end - self._start))
            old = [c for c in kept[:-LATEST] if c.position >= earliest and self._wanted(c.position, suspect)]
            self._kept = old + kept[-LATEST:]

    def _wanted(self, position: int, suspect: int | None) -> bool:
        if suspect is not None and position >= suspect and self._on_grid(position - suspect):
            return True
        return self._on_grid(position - self._start)

    def _on_grid(self, offset: int) -> bool:
        return offset % (1 << max(0, (offset // self._density).bit_length() - 1)) == 0

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
