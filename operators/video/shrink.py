"""Frames at analysis size, without converting a full-size frame.

The Y, U and V planes are shrunk where the decoder left them (luma bilinear, as PySceneDetect
shrinks; chroma to the nearest sample, as FFmpeg's fast conversion spreads it), and only the small
picture is converted to BGR, by the stream's own matrix and range. Converting the full frame first
costs as much as decoding it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from av.video.frame import VideoFrame

ANALYSIS_WIDTH = 256
"""Width in pixels at which shots and motion are measured: PySceneDetect's own automatic downscale."""

_PLANAR = re.compile(r"(?:yuva?j?4\d\dp|gray)(?:(9|10|12|14|16)le)?")

_LUMA_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593), 4: (0.30, 0.11), 7: (0.212, 0.087)}
"""(Kr, Kb) by FFmpeg's AVColorSpace; others, and streams that do not say, count as BT.601, as in FFmpeg."""

_BT601 = (0.299, 0.114)

_BYTE, _WORD = np.dtype("u1"), np.dtype("<u2")

_FIXED_POINT = 1024
"""`cv2.transform` computes bytes in 1/1024. With coefficients that it cannot hold exactly, grey comes out
coloured by one level, its hue is noise, and dark scenes are cut to pieces."""

_INTERPOLATION = (cv2.INTER_LINEAR, cv2.INTER_NEAREST, cv2.INTER_NEAREST)

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def yuv_to_bgr(colorspace: int, full_range: bool) -> np.ndarray:
    """The 3×4 float32 matrix that takes (Y, U, V, 1) in 0–255 to (B, G, R).

    From the definition of Y'CbCr (ITU-R BT.601-7 §2.5, BT.709-6 §3, BT.2020-2 table 4).
    """
    kr, kb = _LUMA_WEIGHTS.get(colorspace, _BT601)
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    blue, red = 2 * (1 - kb) * chroma, 2 * (1 - kr) * chroma
    rows = np.array([[luma, blue, 0], [luma, -blue * kb / kg, -red * kr / kg], [luma, 0, red]])
    rows = np.round(rows * _FIXED_POINT) / _FIXED_POINT
    offset = rows @ np.array([-black, -128.0, -128.0])
    return np.column_stack([rows, offset]).astype(np.float32)


def planes(frame: VideoFrame) -> tuple[list[np.ndarray], int] | None:
    """Views of the frame's first three planes (H×W, uint8 or uint16) and their bit depth, without a copy.

    A grey frame has one plane. None where the pixel format is not planar YUV or grey.
    """
    bits = _bits(frame.format.name)
    if bits == 0:
        return None
    dtype = _BYTE if bits == 8 else _WORD
    views = []
    for plane in frame.planes[:3]:
        stride = plane.line_size
        if stride <= 0:
            return None
        shape = (plane.height, plane.width)
        views.append(np.ndarray(shape, dtype, memoryview(plane), strides=(stride, dtype.itemsize)))
    return views, bits


@lru_cache
def _bits(pixel_format: str) -> int:
    match = _PLANAR.fullmatch(pixel_format)
    return 0 if match is None else int(match[1] or 8)


class SmallFrame(NamedTuple):
    """One frame at analysis size: `bgr` H×W×3 uint8, `luma` H×W uint8 as coded. Both change with the next frame."""

    bgr: np.ndarray
    luma: np.ndarray


class Shrinker:
    """Shrinks every frame of one video to the same small size: `width` × `height`, both even.

    A frame of another size in mid-stream is stretched to it.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = max(2, min(width, ANALYSIS_WIDTH) // 2 * 2)
        self.height = max(2, round(height * self.width / width / 2) * 2)
        self._matrices: dict[tuple[int, bool], np.ndarray] = {}
        self._bgr = np.empty((self.height, self.width, 3), np.uint8)
        self._i420 = np.empty((self.height * 3 // 2, self.width), np.uint8)
        chroma = self._i420[self.height :].reshape(2, self.height // 2, self.width // 2)
        self._i420_planes = (self._i420[: self.height], chroma[0], chroma[1])

    def __call__(self, frame: VideoFrame) -> SmallFrame:
        found = planes(frame)
        if found is None:
            # Rare formats (packed, semi-planar, RGB) go through swscale.
            bgr = frame.to_ndarray(format="bgr24", width=self.width, height=self.height, interpolation="BILINEAR")
            return SmallFrame(bgr, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
        views, bits = found
        full = int(frame.color_range) == _FULL_RANGE or "j" in frame.format.name
        if bits == 8 and len(views) == 3 and not full and int(frame.colorspace) not in _LUMA_WEIGHTS:
            return self._shrink_bt601(views)
        small = [self._shrink(view, bits, mode) for view, mode in zip(views, _INTERPOLATION, strict=False)]
        if len(small) == 1:
            small += [np.full_like(small[0], 128)] * 2
        bgr = cv2.transform(cv2.merge(small), self._matrix(int(frame.colorspace), full), dst=self._bgr)
        return SmallFrame(bgr, small[0])

    def _shrink_bt601(self, views: list[np.ndarray]) -> SmallFrame:
        # OpenCV converts this commonest kind itself, with chroma at half size: a third cheaper.
        for view, plane, mode in zip(views, self._i420_planes, _INTERPOLATION, strict=True):
            cv2.resize(view, plane.shape[::-1], dst=plane, interpolation=mode)
        return SmallFrame(cv2.cvtColor(self._i420, cv2.COLOR_YUV2BGR_I420, dst=self._bgr), self._i420_planes[0])

    def _shrink(self, view: np.ndarray, bits: int, mode: int) -> np.ndarray:
        small = cv2.resize(view, (self.width, self.height), interpolation=mode)
        return small if bits == 8 else cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bits))

    def _matrix(self, colorspace: int, full_range: bool) -> np.ndarray:
        key = (colorspace, full_range)
        if key not in self._matrices:
            self._matrices[key] = yuv_to_bgr(colorspace, full_range)
        return self._matrices[key]
