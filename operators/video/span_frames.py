"""Frames of a clip on a regular clock, decoded in a killable child process.

    with SpanFrames(Limits(owner="landmarks")) as frames:
        for index, rgb in frames.read(path, (12.5, 22.5), fps=30, crop=(0.2, 0.0, 0.6, 1.0), longest_side=1280):
            ...

Frame `index` is what is on display `index` / fps seconds after the span's start, as the viewer sees it:
turned, in square pixels. Times are those of `SplitShots`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operators.errors import ErrorKind, RowFailure
from operators.video.decoding import DecodingProcess, Limits
from operators.video.events import Ended, Shown
from operators.video.span_pass import Crop, SpanOptions, pixel_box, show

__all__ = ["Crop", "Limits", "SpanFrames", "frame_count", "pixel_box"]

RGB = NDArray[np.uint8]


def frame_count(span: tuple[float, float], fps: float) -> int:
    """Frames that a span of seconds [start, stop) has at `fps`: its duration times fps, rounded, at least 1."""
    return SpanOptions(start=span[0], stop=span[1], fps=fps).count


class SpanFrames:
    """Reads spans one at a time; the child process serves many and is replaced after it died or was killed.

    `isolate=False` decodes in this process, for measurements.
    """

    def __init__(self, limits: Limits | None = None, *, isolate: bool = True) -> None:
        self._process = DecodingProcess(limits or Limits()) if isolate else None

    def __enter__(self) -> SpanFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process; the next span starts a new one."""
        if self._process is not None:
            self._process.close()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while none lives."""
        return self._process.pid if self._process is not None else None

    def read(
        self,
        path: Path,
        span: tuple[float, float],
        *,
        fps: float,
        frames: tuple[int, int] | None = None,
        crop: Crop | None = None,
        longest_side: int | None = None,
    ) -> Iterator[tuple[int, RGB]]:
        """(index, picture) for every frame 0 … `frame_count(span, fps)` - 1, in order.

        `span`: seconds [start, stop) on the presentation clock; `frames`: the clip's first frame and one
        past its last as decoded, where known (`clip_start_end_idx`); `crop`: part of the displayed
        picture in shares, widened to whole pixels (`pixel_box`); `longest_side`: pixels, larger pictures
        are shrunk. Pictures are read-only uint8 H×W×3 arrays of one size; where the same frame is still on
        display the same array comes again. Raises `RowFailure`: unreadable, no_video, decode, timeout,
        out_of_memory, worker_died.
        """
        options = SpanOptions(
            start=span[0], stop=span[1], fps=fps, frames=frames, crop=crop, longest_side=longest_side
        )
        picture: RGB | None = None
        for event in self._process.show(path, options) if self._process is not None else show(path, options):
            if isinstance(event, Ended):
                if event.kind is not None:
                    raise RowFailure(ErrorKind(event.kind), event.message or "")
            elif isinstance(event, Shown):
                if event.rgb is not None:
                    picture = _picture(event)
                assert picture is not None
                yield event.index, picture


def _picture(event: Shown) -> RGB:
    assert event.rgb is not None
    picture = np.frombuffer(event.rgb, np.uint8).reshape(event.height, event.width, 3)
    picture.flags.writeable = False
    return picture
