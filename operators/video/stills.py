"""Keyframes as arrays: decoded once per process, cropped to the picture, brought to a working size.

Arrays are uint8 H×W×3 in RGB order. `decode` remembers the last few keyframes, because several
operators look at the same three JPEGs; what it returns is read-only. `decode_small` is for models that
look at many clips at once and shrink every picture anyway.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from operators.contract import Row
from operators.errors import ErrorKind, RowFailure

RGB = NDArray[np.uint8]

WORKING_SIDE = 1280  # px; larger JPEGs are decoded at 1/2, 1/4 or 1/8 as long as they stay over this
MAX_SIDE = 8192  # px; `shots` writes far smaller ones
BAR_LUMA = 24  # of 255; letterbox bars are black (16 in limited range) with some noise
KEPT_FRAMES = 6  # two clips' keyframes
MARGIN = 1.5  # a picture that is decoded small has this many pixels for each one wanted
WHOLE = b"\xff\xd9"  # the marker at a JPEG's end


def keyframes(row: Row) -> list[bytes]:
    """The clip's keyframes as they are stored, JPEGs. Raises `RowFailure` (decode) where there are none."""
    stored: Any = row.get("keyframes")
    if not stored:
        raise RowFailure(ErrorKind.DECODE, "the clip has no keyframes; cut its video again with `shots`")
    return [bytes(jpeg) for jpeg in stored]


def stills(row: Row) -> list[RGB]:
    """The clip's keyframes as RGB arrays.

    Raises `RowFailure` (decode) where there are none or one cannot be decoded.
    """
    return [decode(jpeg) for jpeg in keyframes(row)]


@lru_cache(maxsize=KEPT_FRAMES)
def decode(jpeg: bytes) -> RGB:
    """One JPEG as a read-only RGB array. Raises `RowFailure` (decode, refused)."""
    rgb = _decoded(jpeg, lambda width, height: max(width, height) / WORKING_SIDE)
    rgb.flags.writeable = False
    return rgb


def decode_small(jpeg: bytes, short_side: int) -> RGB:
    """One JPEG as an RGB array, decoded at 1/2, 1/4 or 1/8 where its short side stays over `short_side` × `MARGIN`.

    The JPEG library leaves detail out before it transforms, which makes a 720p keyframe for a model that
    sees 224 px three times as cheap. With this margin the model's input moves by 0.06 of 255 on average;
    without it by up to 1. Raises `RowFailure` (decode, refused).
    """
    return _decoded(jpeg, lambda width, height: min(width, height) / (short_side * MARGIN))


def _decoded(jpeg: bytes, spare: Callable[[int, int], float]) -> RGB:
    """One JPEG decoded at 1/2, 1/4 or 1/8 where `spare`, of its width and height, is as much.

    By OpenCV, which takes 3 ms for a 720p keyframe where Pillow takes 6 to 8, for the same pixels.
    """
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            width, height = image.size
    except Exception as problem:  # Pillow raises OSError, SyntaxError, ValueError and its own for bad bytes
        raise RowFailure(ErrorKind.DECODE, f"keyframe is not a JPEG: {problem}") from problem
    if max(width, height) > MAX_SIDE:
        raise RowFailure(ErrorKind.REFUSED, f"keyframe of {width}×{height} px is over {MAX_SIDE} px a side")
    reduction = next(flag for least, flag in _REDUCED if spare(width, height) >= least)
    # OpenCV fills what is missing with grey and says nothing, so that the end is looked for.
    whole = WHOLE in jpeg[-64:]
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), reduction | cv2.IMREAD_IGNORE_ORIENTATION) if whole else None
    if bgr is None:
        raise RowFailure(ErrorKind.DECODE, "keyframe is not a whole JPEG")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


_REDUCED = (
    (8, cv2.IMREAD_REDUCED_COLOR_8),
    (4, cv2.IMREAD_REDUCED_COLOR_4),
    (2, cv2.IMREAD_REDUCED_COLOR_2),
    (0, cv2.IMREAD_COLOR),
)  # fmt: skip


def active_picture(rgb: RGB) -> RGB:
    """The frame without black bars at its edges; the whole frame where nothing else would be left.

    Cheap on frames that were shrunk before.
    """
    lit = cv2.inRange(rgb, (0, 0, 0), (BAR_LUMA, BAR_LUMA, BAR_LUMA)) == 0
    rows = np.flatnonzero(lit.any(axis=1))
    columns = np.flatnonzero(lit.any(axis=0))
    if rows.size == 0:
        return rgb
    return rgb[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def shrink(rgb: RGB, *, long_side: int | None = None, short_side: int | None = None) -> RGB:
    """The frame with at most this long or short side in pixels, by area averaging; never enlarged."""
    height, width = rgb.shape[:2]
    scale = 1.0
    if long_side is not None:
        scale = min(scale, long_side / max(height, width))
    if short_side is not None:
        scale = min(scale, short_side / min(height, width))
    if scale == 1.0:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def quickly_shrunk(rgb: RGB, long_side: int) -> RGB:
    """The frame with at most this long side in pixels, for the eyes of a model; never enlarged.

    Bilinear down to one half, where every pixel still counts: a fifth of the time of area averaging, and as near
    to bicubic as Pillow's bilinear is.
    """
    height, width = rgb.shape[:2]
    scale = long_side / max(height, width)
    if not 0.5 <= scale < 1:
        return shrink(rgb, long_side=long_side)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR), np.uint8)
