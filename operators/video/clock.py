"""The presentation clock of a video stream, whatever its timestamps are worth.

Every pass over a video reads time through this class, so that the times of one pass are those of another.
"""

from __future__ import annotations

from fractions import Fraction

from av.video.frame import VideoFrame

from operators.video.stream import OpenVideo


class Clock:
    """Times of frames given in decoding order, in seconds rounded to microseconds."""

    def __init__(self, video: OpenVideo, first: VideoFrame) -> None:
        base = first.time_base or video.video.time_base or Fraction(1, 1000)
        self.base = base
        self._video = video
        self._seconds_per_tick = float(base)
        self.first_tick = self.last_tick = first.pts if first.pts is not None else 0
        self.frame_seconds = self._length(first)
        self._started = False

    def tick(self, frame: VideoFrame) -> int:
        """The frame's presentation time; where it is missing or does not advance, one frame after the last."""
        ticks = frame.pts
        if self._started and (ticks is None or ticks <= self.last_tick):
            ticks = self.last_tick + max(1, round(self.frame_seconds / self._seconds_per_tick))
        self.last_tick = ticks if ticks is not None else self.first_tick
        self._started = True
        self.frame_seconds = self._length(frame)
        return self.last_tick

    def seconds(self, ticks: int) -> float:
        """Ticks as seconds on the presentation clock."""
        return round(ticks * self._seconds_per_tick - self._video.origin, 6)

    def _length(self, frame: VideoFrame) -> float:
        return frame.duration * self._seconds_per_tick if frame.duration else float(1 / self._video.fps)
