"""Keyframes as arrays: hostile bytes become row failures, sizes stay bounded, bars are cut away."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from operators.errors import ErrorKind, RowFailure
from operators.video.stills import (
    MARGIN,
    active_picture,
    decode,
    decode_small,
    keyframes,
    quickly_shrunk,
    shrink,
    stills,
)
from tests.drawn_clips import clip, jpeg, plain


def test_a_jpeg_comes_back_as_a_read_only_rgb_array():
    rgb = decode(jpeg(plain((200, 30, 60))))
    assert rgb.shape == (90, 160, 3)
    assert np.abs(rgb.reshape(-1, 3).mean(axis=0) - (200, 30, 60)).max() < 3
    with pytest.raises(ValueError, match="read-only"):
        rgb[0, 0] = 0


def test_grey_jpegs_and_single_pixels_are_pictures_too():
    buffer = io.BytesIO()
    Image.new("L", (1, 1), 128).save(buffer, "JPEG")
    assert decode(buffer.getvalue()).shape == (1, 1, 3)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("width", "height"), [(600, 400), (37, 211), (2560, 17)])
def test_pixels_are_those_of_pillow(width: int, height: int, progressive: bool, sampling: str):
    stored = io.BytesIO()
    Image.fromarray(data.coffee()).resize((width, height)).save(
        stored, "JPEG", quality=85, subsampling=sampling, progressive=progressive
    )
    with Image.open(stored) as image:
        image.draft("RGB", (width * 1280 // max(1280, width), height * 1280 // max(1280, width)))
        np.testing.assert_array_equal(decode(stored.getvalue()), np.asarray(image.convert("RGB")))


def test_a_large_keyframe_is_decoded_smaller():
    assert max(decode(jpeg(plain((9, 9, 9), 2400, 4000))).shape) == 2000


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        ([b""], ErrorKind.DECODE),
        ([b"not a picture"], ErrorKind.DECODE),
        ([jpeg(plain((1, 2, 3)))[:200]], ErrorKind.DECODE),
        ([], ErrorKind.DECODE),
        (None, ErrorKind.DECODE),
        ([jpeg(plain((0, 0, 0), 8, 17000))], ErrorKind.REFUSED),
    ],
)
def test_what_is_no_keyframe_is_a_row_failure(stored: list[bytes] | None, kind: ErrorKind):
    with pytest.raises(RowFailure) as failure:
        stills({"keyframes": stored})
    assert failure.value.kind == kind


def test_formats_other_than_jpeg_are_not_opened():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    with pytest.raises(RowFailure):
        decode(buffer.getvalue())


@settings(deadline=None, max_examples=60)
@given(place=st.integers(2, 600), value=st.integers(0, 255))
def test_a_damaged_jpeg_decodes_or_fails_as_data(place: int, value: int):
    data = bytearray(jpeg(plain((120, 80, 40), 32, 32)))
    data[place % len(data)] = value
    try:
        assert decode(bytes(data)).ndim == 3
    except RowFailure as failure:
        assert failure.kind in (ErrorKind.DECODE, ErrorKind.REFUSED)


def test_black_bars_are_cut_away_and_black_frames_kept_whole():
    frame = plain((0, 0, 0), 100, 200)
    frame[20:80, 10:190] = 90
    assert active_picture(frame).shape == (60, 180, 3)
    assert active_picture(plain((3, 3, 3))).shape == (90, 160, 3)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (720, 1280), (1280, 720)])
def test_shrinking_keeps_the_shape_within_a_side_and_never_enlarges(height: int, width: int):
    small = shrink(plain((5, 6, 7), height, width), long_side=640)
    assert max(small.shape) <= max(640, 3)
    assert small.shape[0] <= height
    assert small.shape[1] <= width
    assert min(small.shape[:2]) >= 1


@pytest.mark.parametrize("side", [1280, 1279, 768, 640, 500, 320])
def test_a_picture_shrunk_quickly_is_the_same_picture(side: int):
    frame = np.asarray(cv2.resize(data.coffee(), (1280, 720)), np.uint8)
    quick = quickly_shrunk(frame, side)
    assert quick.shape == (round(side * 720 / 1280), side, 3)
    bicubic = np.asarray(Image.fromarray(frame).resize(quick.shape[1::-1], Image.Resampling.BICUBIC))
    assert np.abs(quick.astype(int) - bicubic).mean() < 1.5


def test_a_small_picture_is_not_enlarged():
    frame = plain((5, 6, 7), 40, 30)
    assert quickly_shrunk(frame, 56) is frame


@pytest.mark.parametrize(("short_side", "height"), [(720, 720), (480, 720), (240, 360), (120, 180), (60, 90), (1, 90)])
def test_a_picture_for_a_small_model_is_decoded_small_with_some_margin(short_side: int, height: int):
    frame = np.asarray(cv2.resize(data.coffee(), (1280, 720)), np.uint8)
    rgb = decode_small(jpeg(frame), short_side)
    assert rgb.shape == (height, height * 16 // 9, 3)
    assert height == 720 or height == 90 or min(rgb.shape[:2]) >= short_side * MARGIN
    shrunk = cv2.resize(frame, rgb.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(rgb.astype(int) - shrunk).mean() < 2


def test_a_picture_that_is_decoded_whole_is_the_same_picture():
    stored = jpeg(data.coffee())
    np.testing.assert_array_equal(decode_small(stored, 400), decode(stored))


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (b"", ErrorKind.DECODE),
        (b"not a picture", ErrorKind.DECODE),
        (b"\xff\xd8\xff\xd9", ErrorKind.DECODE),
        (jpeg(data.coffee())[:9000], ErrorKind.DECODE),
        (jpeg(plain((0, 0, 0), 8, 17000)), ErrorKind.REFUSED),
    ],
)
def test_what_is_no_keyframe_is_a_row_failure_for_small_pictures_too(stored: bytes, kind: ErrorKind):
    with pytest.raises(RowFailure) as failure:
        decode_small(stored, 224)
    assert failure.value.kind == kind


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_small_picture_or_a_row_failure(stored: bytes):
    try:
        assert decode_small(b"\xff\xd8\xff" + stored + b"\xff\xd9", 64).shape[2] == 3
    except RowFailure as failure:
        assert failure.kind in {ErrorKind.DECODE, ErrorKind.REFUSED}


def test_keyframes_are_the_stored_bytes():
    assert keyframes(clip(plain((1, 2, 3)))) == [jpeg(plain((1, 2, 3)))] * 3
