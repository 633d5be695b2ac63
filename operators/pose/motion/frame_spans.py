"""Runs of frames: found in masks, widened, and put into words of frames and seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = tuple[int, int]
"""[first, one past the last]."""


def runs(mask: NDArray[np.bool_]) -> list[Frames]:
    """Where a mask (T,) is set without a gap, in order."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def widened(spans: Iterable[Frames], by: int, frames: int) -> list[Frames]:
    """`spans` with `by` frames more on both sides, joined where they meet, within 0 … `frames`."""
    mask = np.zeros(frames, dtype=bool)
    for start, end in spans:
        mask[max(0, start - by) : end + by] = True
    return runs(mask)


def masked(spans: Iterable[Frames], frames: int) -> NDArray[np.bool_]:
    """A mask (T,) that is set in `spans`."""
    mask = np.zeros(frames, dtype=bool)
    for start, end in spans:
        mask[start:end] = True
    return mask


def as_span(frames: Frames, fps: float) -> dict[str, Any]:
    """The value of a SPAN column: frames, and seconds from the clip's start."""
    start, end = frames
    return {"start_frame": start, "end_frame": end, "start": start / fps, "end": end / fps}


def frames_of(span: dict[str, Any]) -> Frames:
    """The frames of a SPAN column's value."""
    return span["start_frame"], span["end_frame"]
