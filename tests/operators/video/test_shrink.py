"""Small frames look like small frames: against swscale, in every matrix, range and depth."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from operators.video.shrink import ANALYSIS_WIDTH, Shrinker, planes, yuv_to_bgr


def picture(width: int, height: int, seed: int = 5) -> np.ndarray:
    """Smooth colours, H×W×3 uint8."""
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def coded(bgr: np.ndarray, pix_fmt: str, colorspace: int = 2, color_range: int = 0) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
    frame = frame.reformat(format=pix_fmt, dst_colorspace=colorspace, dst_color_range=color_range)
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p",
        "yuv422p",
        "yuv444p",
        "yuv420p10le",
        "yuv422p10le",
        "yuv444p12le",
        "yuva420p",
        "nv12",
        "bgr24",
        "p010le",
    ],
)
def test_every_format_gives_the_picture(pix_fmt: str) -> None:
    bgr = picture(640, 360)
    small = Shrinker(640, 360)(coded(bgr, pix_fmt))
    assert small.bgr.shape == (144, ANALYSIS_WIDTH, 3) and small.luma.shape == (144, ANALYSIS_WIDTH)
    expected = cv2.resize(bgr, (ANALYSIS_WIDTH, 144), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.bgr.astype(int) - expected).mean() < 3.5


@pytest.mark.parametrize("colorspace", [1, 5, 9])
@pytest.mark.parametrize("color_range", [1, 2])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_matrix_and_range(colorspace: int, color_range: int, pix_fmt: str) -> None:
    bgr = picture(320, 180)
    small = Shrinker(320, 180)(coded(bgr, pix_fmt, colorspace, color_range)).bgr
    expected = cv2.resize(bgr, (256, 144), interpolation=cv2.INTER_LINEAR)
    assert np.abs(small.astype(int) - expected).mean() < 3.5


@pytest.mark.parametrize("colorspace", [1, 2, 4, 5, 7, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_grey_stays_exactly_grey(colorspace: int, full_range: bool) -> None:
    """Else the hue of dark scenes is noise, and fades are cut to pieces."""
    levels = np.full((1, 256, 3), 128, np.uint8)
    levels[0, :, 0] = np.arange(256)
    bgr = cv2.transform(levels, yuv_to_bgr(colorspace, full_range))
    assert (bgr == bgr[..., :1]).all()
    black, white = (0, 255) if full_range else (16, 235)
    assert bgr[0, black, 0] == 0 and bgr[0, white, 0] == 255


def test_grey_pictures_and_sizes_that_change() -> None:
    shrinker = Shrinker(320, 180)
    grey = shrinker(coded(picture(320, 180), "gray")).bgr
    assert (grey == grey[..., :1]).all()
    assert shrinker(coded(picture(100, 300), "yuv420p")).bgr.shape == (144, 256, 3)


@pytest.mark.parametrize(("width", "height", "size"), [(33, 17, (32, 16)), (1, 1, (2, 2)), (362, 640, (256, 452))])
def test_small_and_odd_sizes(width: int, height: int, size: tuple[int, int]) -> None:
    shrinker = Shrinker(width, height)
    assert (shrinker.width, shrinker.height) == size
    assert shrinker(coded(picture(width, height), "yuv444p")).bgr.shape == (size[1], size[0], 3)


def test_planes_are_views() -> None:
    frame = av.VideoFrame(34, 18, "yuv420p10le")
    found = planes(frame)
    assert found is not None
    views, bits = found
    assert bits == 10 and [view.shape for view in views] == [(18, 34), (9, 17), (9, 17)]
    assert views[0].dtype == np.uint16 and views[0].base is not None
    assert planes(av.VideoFrame(34, 18, "rgb24")) is None
