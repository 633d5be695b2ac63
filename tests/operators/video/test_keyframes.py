"""The reservoir holds few frames and still has one near every place of every clip."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.video.keyframes import DENSITY, LARGE, PLACES, Candidate, Reservoir, choose, encode
from operators.video.stream import Geometry

FRAME = av.VideoFrame(16, 16, "yuv420p")


def fill(reservoir: Reservoir, first: int, end: int, suspect: int | None = None) -> int:
    """Feed positions [first, end), one per second; the largest number held."""
    most = 0
    for position in range(first, end):
        seen = suspect if suspect is not None and position >= suspect else None
        reservoir.add(Candidate(position, float(position), FRAME), seen)
        most = max(most, len(reservoir))
    return most


@settings(max_examples=200, deadline=None)
@given(start=st.integers(0, 50), length=st.integers(1, 3000))
def test_a_frame_lies_near_every_place_whatever_the_length(start: int, length: int) -> None:
    reservoir = Reservoir(start, 1000)
    most = fill(reservoir, start, start + length)
    assert most <= 4 * DENSITY
    chosen = choose(reservoir.split(start + length), start, start + length)
    for place, candidate in zip(PLACES, chosen, strict=True):
        assert abs(candidate.position - (start + place * length)) <= place * length / (2 * DENSITY) + 1


@settings(max_examples=200, deadline=None)
@given(before=st.integers(1, 400), late=st.integers(0, 60), after=st.integers(0, 400))
def test_a_cut_reported_late_leaves_frames_on_both_sides(before: int, late: int, after: int) -> None:
    reservoir = Reservoir(0, 1000)
    fill(reservoir, 0, before + late + 1, suspect=before)
    first = choose(reservoir.split(before), 0, before)
    for place, candidate in zip(PLACES, first, strict=True):
        assert abs(candidate.position - place * before) <= place * before / (2 * DENSITY) + 1
    fill(reservoir, before + late + 1, before + late + 1 + after)
    length = late + 1 + after
    second = choose(reservoir.split(before + length), before, before + length)
    for place, candidate in zip(PLACES, second, strict=True):
        assert abs(candidate.position - before - place * length) <= place * length / (2 * DENSITY) + 2


def test_large_pictures_are_kept_more_sparsely() -> None:
    assert fill(Reservoir(0, LARGE + 1), 0, 5000) <= 2 * DENSITY + 4


def test_the_earlier_of_two_equally_near_frames_is_chosen() -> None:
    candidates = [Candidate(n, float(n), FRAME) for n in (1, 3, 5)]
    assert [c.position for c in choose(candidates, 0.0, 10.0)] == [1, 5, 5]
    assert [c.position for c in choose(candidates[:2], 1.0, 3.0)] == [1, 1, 3]


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_encode_turns_clockwise_after_squaring_pixels(turns: int) -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:20, :40] = 255
    frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
    shape = Geometry(width=80, height=40, pixel_aspect=Fraction(1, 2), quarter_turns=turns)
    shown = cv2.imdecode(np.frombuffer(encode(frame, shape, 200, 95), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown is not None and shown.shape == (40, 40)
    expected = np.rot90(cv2.resize(picture[..., 0], (40, 40), interpolation=cv2.INTER_AREA), -turns)
    assert np.abs(shown.astype(int) - expected).mean() < 4


def test_encode_keeps_the_long_side_within_its_limit() -> None:
    frame = av.VideoFrame(640, 360, "yuv420p")
    shape = Geometry(width=640, height=360, pixel_aspect=Fraction(1), quarter_turns=1)
    shown = cv2.imdecode(np.frombuffer(encode(frame, shape, 320, 80), np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None and shown.shape[:2] == (320, 180)
