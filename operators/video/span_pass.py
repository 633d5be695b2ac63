"""A pass over a span of a video: what is on display at the ticks of a regular clock.

Times are those of `one_pass`. Decoding starts at the key frame before the span, and at the start of the
file where the file's index misleads: where no key frame is found before the span, timestamps have to be
mended on the way, or no frame begins when the span does. In files without an index (transport streams,
AVI, raw streams) timestamps may repeat, so they are always decoded from the start; remux long ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from operators.errors import ErrorKind, RowFailure
from operators.video.clock import Clock
from operators.video.events import Ended, Event, Progress, Shown
from operators.video.limits import Limits
from operators.video.packets import Packets
from operators.video.stream import OpenVideo, geometry, open_video

INDEXED = ("mov", "matroska", "webm")
"""FFmpeg demuxers of formats with an index, whose timestamps advance."""

ROUNDING = 0.001
"""Seconds by which a frame may be late for its tick: Matroska's timestamps are whole milliseconds."""

EXACT = 2e-6
"""Seconds between two times that are one: both are rounded to microseconds."""

BACK_OFF = (0.0, 1.0, 10.0)
"""Seconds before the span for which the index is asked, one after another."""

PIXEL_ROUNDING = 1e-3
"""Pixels that a share in single precision may be off."""

FRAMES_PER_SIGN = 64
"""Frames between two signs of life on the way to the span."""

Crop = tuple[float, float, float, float]
"""Part of the displayed picture in shares of its width and height: x, y, width, height."""


@dataclass(frozen=True, kw_only=True)
class SpanOptions:
    """Seconds [start, stop) on the presentation clock, looked at `fps` times a second.

    `frames`: the span's [first frame, one past the last] as decoded, where it is known: then `start` is
    the time of its first frame, and a file that no longer gives all of them is a failure. `crop`: part
    of the displayed picture, widened to whole pixels. `longest_side`: pixels; larger pictures are shrunk.
    """

    start: float
    stop: float
    fps: float
    frames: tuple[int, int] | None = None
    crop: Crop | None = None
    longest_side: int | None = None

    @property
    def count(self) -> int:
        """Ticks in the span: its duration times `fps`, rounded, and at least 1."""
        return max(1, round((self.stop - self.start) * self.fps))


def show(path: Path, options: SpanOptions, limits: Limits | None = None) -> Iterator[Event]:
    """`Shown` for every tick k = 0 … count - 1 in order, with `Ended` always last; errors are told in it.

    Tick k shows the frame on display at start + k / fps. Of `limits`, as `one_pass.watch`.
    """
    shown = 0
    try:
        for seek in (True, False):
            try:
                with open_video(path, limits) as video:
                    for event in _Span(video, options).events(seek):
                        shown += isinstance(event, Shown)
                        yield event
                break
            except _Misled:
                continue
    except RowFailure as problem:
        yield Ended(clips=0, frames=shown, duration=None, kind=problem.kind, message=str(problem))
        return
    yield Ended(clips=0, frames=shown, duration=None)


def pixel_box(crop: Crop | None, width: int, height: int) -> tuple[int, int, int, int]:
    """The crop's left, top, right and bottom edge in whole pixels of the displayed picture, none of it lost."""
    if crop is None:
        return 0, 0, width, height
    x, y, across, down = crop
    left, right = _whole(x, x + across, width)
    top, bottom = _whole(y, y + down, height)
    return left, top, right, bottom


def _whole(low: float, high: float, size: int) -> tuple[int, int]:
    first = max(0, min(size - 1, math.floor(low * size + PIXEL_ROUNDING)))
    return first, max(first + 1, min(size, math.ceil(high * size - PIXEL_ROUNDING)))


class _Misled(Exception):
    """The index did not lead to the span; nothing has been shown yet."""


class _Timed(NamedTuple):
    time: float
    frame: VideoFrame


class _Span:
    def __init__(self, video: OpenVideo, options: SpanOptions) -> None:
        self._video = video
        self._options = options
        self._reached = 0.0
        self._seen = 0
        self._size: tuple[int, int] | None = None

    def events(self, seek: bool) -> Iterator[Event]:
        """The pass itself; used once. Raises `_Misled` only when `seek`, and before anything is shown."""
        frames = self._from_key_frame() if seek else self._from_start()
        yield from self._on_ticks(self._to_span(frames, strict=seek))

    def _from_start(self) -> Iterator[_Timed]:
        packets = Packets(self._video, [self._video.video], lambda: self._reached)
        return self._timed(frame for packet in packets for frame in packets.decode(packet))

    def _from_key_frame(self) -> Iterator[_Timed]:
        video = self._video
        base = video.video.time_base
        if base is None or not set(video.container.format.name.split(",")) & set(INDEXED):
            raise _Misled
        for back in BACK_OFF:
            wanted = self._options.start + video.origin - back
            if wanted <= (video.video.start_time or 0) * base:
                break
            try:
                video.container.seek(int(wanted / base), stream=video.video)
            except (FFmpegError, OverflowError):
                break
            packets = Packets(video, [video.video], lambda: self._reached)
            frames = self._unbroken(packets)
            key = next((frame for frame in frames if frame.key_frame), None)
            if key is None:
                raise _Misled
            clock = Clock(video, key)
            if key.pts is not None and clock.seconds(key.pts) <= self._options.start + EXACT:
                return self._timed(chain([key], frames))
        raise _Misled

    def _unbroken(self, packets: Packets) -> Iterator[VideoFrame]:
        """Frames as long as they come with a timestamp that advances and no packet fails; else `_Misled`.

        From the span's first frame on, nothing is held against them.
        """
        last: int | None = None
        for packet in packets:
            for frame in packets.decode(packet):
                regular = frame.pts is not None and (last is None or frame.pts > last) and not packets.failures
                if self._seen == 0 and not regular:
                    raise _Misled
                last = frame.pts
                yield frame

    def _timed(self, frames: Iterator[VideoFrame]) -> Iterator[_Timed]:
        clock: Clock | None = None
        for frame in frames:
            clock = clock or Clock(self._video, frame)
            self._reached = clock.seconds(clock.tick(frame))
            yield _Timed(self._reached, frame)

    def _to_span(self, frames: Iterator[_Timed], *, strict: bool) -> Iterator[_Timed | Progress]:
        """The frame on display at the span's start and those after it, as far as the span goes."""
        options = self._options
        before: _Timed | None = None
        for passed, timed in enumerate(frames):
            if timed.time < options.start - EXACT:
                before = timed
                if passed % FRAMES_PER_SIGN == FRAMES_PER_SIGN - 1:
                    yield Progress(frames=passed, clips=0)
                continue
            if self._seen == 0:
                begins = timed.time <= options.start + EXACT
                if strict and not begins and (options.frames is not None or before is None):
                    raise _Misled
                if not begins and before is not None:
                    yield before
            self._seen += 1
            yield timed
        if self._seen == 0:
            if strict:
                raise _Misled
            if before is not None and options.frames is None:
                yield before

    def _on_ticks(self, frames: Iterator[_Timed | Progress]) -> Iterator[Event]:
        """Every tick with the last frame that is not later than it; a frame that no tick meets is not converted."""
        options = self._options
        current: _Timed | None = None
        told: _Timed | None = None
        tick = 0
        try:
            for timed in frames:
                if isinstance(timed, Progress):
                    yield timed
                    continue
                while current is not None and tick < options.count and self._time_of(tick) < timed.time:
                    yield self._shown(tick, current, again=current is told)
                    tick, told = tick + 1, current
                if tick == options.count:
                    return
                current = timed
        except RowFailure:
            if not self._has_all:
                raise
        if current is None or not self._has_all:
            text = f"the file ends at {self._reached:.2f} s, before the clip does; it is not the one that was split"
            raise RowFailure(ErrorKind.DECODE, text)
        while tick < options.count:
            yield self._shown(tick, current, again=current is told)
            tick, told = tick + 1, current

    def _time_of(self, tick: int) -> float:
        return self._options.start + tick / self._options.fps + ROUNDING

    @property
    def _has_all(self) -> bool:
        wanted = self._options.frames
        return wanted is None or self._seen >= wanted[1] - wanted[0]

    def _shown(self, tick: int, timed: _Timed, *, again: bool) -> Shown:
        if again and self._size is not None:
            return Shown(index=tick, width=self._size[0], height=self._size[1], rgb=None)
        rgb = self._picture(timed.frame)
        height, width = rgb.shape[:2]
        self._size = width, height
        return Shown(index=tick, width=width, height=height, rgb=rgb.data.cast("B"))

    def _picture(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The frame as displayed, cropped and shrunk; all pictures of a span have the first one's size."""
        shape = replace(geometry(self._video.video, frame), width=frame.width, height=frame.height)
        rgb = frame.to_ndarray(format="rgb24")
        if shape.quarter_turns:
            rgb = np.rot90(rgb, -shape.quarter_turns)
        if shape.pixel_aspect != 1:
            rgb = cv2.resize(np.ascontiguousarray(rgb), shape.displayed, interpolation=cv2.INTER_AREA)
        left, top, right, bottom = pixel_box(self._options.crop, rgb.shape[1], rgb.shape[0])
        rgb = np.ascontiguousarray(rgb[top:bottom, left:right])
        size = self._size or _fitting(right - left, bottom - top, self._options.longest_side)
        if size != (rgb.shape[1], rgb.shape[0]):
            rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        return np.asarray(rgb, np.uint8)


def _fitting(width: int, height: int, longest: int | None) -> tuple[int, int]:
    scale = min(1.0, longest / max(width, height)) if longest is not None else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))
