"""Samples lie where their presentation times say."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.video.sound import SAMPLE_RATE, SoundTrack


def frame(samples: np.ndarray, rate: int, start: float | None, layout: str = "mono") -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(np.atleast_2d(samples).astype(np.float32), format="fltp", layout=layout)
    made.sample_rate, made.time_base = rate, Fraction(1, rate)
    made.pts = None if start is None else round(start * rate)
    return made


def feed(track: SoundTrack, sound: np.ndarray, rate: int, start: float, size: int = 1024) -> None:
    for first in range(0, len(sound), size):
        track.feed(frame(sound[first : first + size], rate, start + first / rate))


def sine(seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 11_025])
def test_resampled_sound_keeps_its_place(rate: int) -> None:
    track = SoundTrack(origin=0.0)
    feed(track, sine(2, rate), rate, 1.0)
    track.flush()
    heard = track.span(0.5, 3.5) / 32768
    expected = np.zeros(3 * SAMPLE_RATE)
    expected[SAMPLE_RATE // 2 : SAMPLE_RATE // 2 + 2 * SAMPLE_RATE] = sine(2, SAMPLE_RATE)
    inside = slice(SAMPLE_RATE // 2 + 400, 5 * SAMPLE_RATE // 2 - 400)
    assert np.abs(heard - expected)[inside].max() < 0.03
    assert np.abs(heard[: SAMPLE_RATE // 2 - 100]).max() == 0


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.floats(0.0, 2.0), max_size=6))
def test_spans_that_meet_lose_and_repeat_nothing(cuts: list[float]) -> None:
    track = SoundTrack(origin=0.0)
    feed(track, sine(2, SAMPLE_RATE), SAMPLE_RATE, 0.0)
    track.flush()
    edges = [0.0, *sorted(cuts), 2.0]
    pieces = np.concatenate([track.span(a, b) for a, b in pairwise(edges)])
    assert np.array_equal(pieces, track.span(0.0, 2.0))


def test_gaps_are_silence_and_overlaps_are_not_doubled() -> None:
    track = SoundTrack(origin=0.0)
    feed(track, np.full(16_000, 0.25), SAMPLE_RATE, 0.0)
    feed(track, np.full(16_000, 0.5), SAMPLE_RATE, 2.0)
    feed(track, np.full(16_000, 0.75), SAMPLE_RATE, 2.5)
    track.flush()
    heard = track.span(0.0, 4.0) / 32768
    middles = [heard[round(t * SAMPLE_RATE)] for t in (0.5, 1.5, 2.2, 2.7, 3.2, 3.8)]
    assert middles == pytest.approx([0.25, 0, 0.5, 0.5, 0.75, 0], abs=0.01)


def test_small_steps_of_the_clock_are_no_gaps() -> None:
    track = SoundTrack(origin=0.0)
    for n in range(100):
        track.feed(frame(np.full(160, 0.5), SAMPLE_RATE, n * 0.01 + (0.004 if n % 2 else 0)))
    track.flush()
    assert (np.abs(track.span(0.0, 1.0) / 32768 - 0.5) < 0.01).all()


def test_format_changes_missing_times_and_origin() -> None:
    track = SoundTrack(origin=10.0)
    track.feed(frame(np.full(1600, 0.5), SAMPLE_RATE, 10.0))
    track.feed(frame(np.full(1600, 0.5), SAMPLE_RATE, None))
    track.feed(frame(np.full((2, 4800), 0.25), 48_000, 10.2, "stereo"))
    track.flush()
    assert track.end == pytest.approx(0.3, abs=0.01)
    heard = track.span(0.0, 0.3) / 32768
    assert heard[[800, 2400, 4000]] == pytest.approx([0.5, 0.5, 0.25], abs=0.02)


def test_forgotten_samples_are_gone_and_others_stay() -> None:
    track = SoundTrack(origin=0.0)
    assert track.end == float("-inf")
    feed(track, np.full(32_000, 0.5), SAMPLE_RATE, 0.0)
    track.flush()
    track.forget(1.0)
    assert not track.span(0.0, 0.5).any() and (track.span(1.0, 2.0) > 0).all()


def test_sound_of_a_few_samples_a_second_is_refused_before_it_grows() -> None:
    track = SoundTrack(origin=0.0)
    with pytest.raises(ValueError, match="sample rate of 7 Hz"):
        track.feed(frame(np.zeros(100_000), 7, 0.0))
    assert track.end == float("-inf")
