"""Windows hold every voice once, in order and at most 30 s long, and lead times back to the clip."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.audio.waveform import SAMPLE_RATE
from operators.language.speech import utterances
from operators.language.whisper_windows import LONGEST, SHORTEST, Window, quietest, speech_windows


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-3000, 3000, round(seconds * SAMPLE_RATE)).astype(np.int16)


def test_silence_and_music_between_voices_are_cut_out():
    samples = noise(20)
    [window] = speech_windows(samples, [[1, 3], [10, 12.5]], 60)
    assert window.pieces == ((12_800, 51_200), (156_800, 203_200))
    assert window.seconds == pytest.approx(2.4 + 2.9)
    assert window.sound().dtype == np.float32
    assert np.array_equal(
        np.round(window.sound() * 32_768).astype(np.int16),
        np.concatenate([samples[12_800:51_200], samples[156_800:203_200]]),
    )


@pytest.mark.parametrize(
    ("word", "placed"),
    [((0.0, 0.5), (0.8, 1.3)), ((2.0, 2.4), (2.8, 3.2)), ((2.4, 2.9), (9.8, 10.3)), ((5.0, 5.3), (12.4, 12.7))],
)
def test_times_lead_back_to_the_clip(word, placed):
    [window] = speech_windows(noise(20), [[1, 3], [10, 12.5]], 60)
    assert window.placed(*word) == pytest.approx(placed)


def test_a_word_over_a_cut_lies_on_the_side_of_its_middle():
    [window] = speech_windows(noise(20), [[1, 3], [10, 12.5]], 60)
    assert window.placed(2.1, 2.5) == pytest.approx((2.9, 3.2))
    assert window.placed(2.3, 2.7) == pytest.approx((9.8, 10.1))


def test_a_long_utterance_is_cut_where_it_is_quietest():
    samples = noise(70)
    pause = slice(round(26.0 * SAMPLE_RATE), round(26.3 * SAMPLE_RATE))
    samples[pause] = 0
    first, second, third = speech_windows(samples, [[0, 70]], 600)
    assert pause.start <= first.pieces[0][1] <= pause.stop
    assert second.pieces[0][0] == first.pieces[0][1]
    assert third.pieces[-1][1] == len(samples)


def test_the_quietest_tenth_is_found():
    samples = noise(3)
    samples[20_000:23_200] = 0
    assert 20_000 <= quietest(samples, 0, len(samples)) <= 23_200


def test_the_budget_counts_voices():
    windows = speech_windows(noise(60), [[0, 10], [20, 40]], 15)
    assert sum(window.seconds for window in windows) == pytest.approx(10.2 + 5.4)


@pytest.mark.parametrize("spans", [[], [[0.5, 0.5]], [[9.95, 10]]])
def test_what_is_too_short_to_hold_a_word(spans):
    assert all(window.seconds >= 0.1 for window in speech_windows(noise(10), spans, 60))


def test_a_span_past_the_end_of_the_sound_is_left_out():
    assert speech_windows(noise(2), [[3, 4]], 60) == []


spans = (
    st.lists(st.floats(0, 200), max_size=12)
    .map(sorted)
    .map(lambda edges: list(zip(edges[::2], edges[1::2], strict=False)))
)


@settings(max_examples=80, deadline=None)
@given(spans, st.floats(1, 400), st.integers(1, 100))
def test_every_voice_is_heard_once_and_in_order(spans, budget, seconds):
    samples = np.zeros(seconds * SAMPLE_RATE, dtype=np.int16)
    windows = speech_windows(samples, spans, budget)
    pieces = [piece for window in windows for piece in window.pieces]
    assert all(stop - start >= SHORTEST for start, stop in pieces)
    assert all(0 < len(window.sound()) <= LONGEST for window in windows)
    assert all(before[1] <= after[0] for before, after in pairwise(pieces))
    wanted = sum(max(0.0, min(end, seconds) - start) for start, end in utterances(spans, budget))
    heard = sum(stop - start for start, stop in pieces) / SAMPLE_RATE
    assert wanted - 0.1001 * (len(spans) + len(windows)) <= heard <= wanted + 0.001


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 6), st.floats(0, 1))
def test_a_placed_word_lies_in_one_piece(start, length):
    window = Window(noise(20), ((16_000, 48_000), (80_000, 96_000), (160_000, 208_000)))
    low, high = window.placed(start, start + length)
    assert any(first / SAMPLE_RATE <= low <= high <= stop / SAMPLE_RATE for first, stop in window.pieces)
