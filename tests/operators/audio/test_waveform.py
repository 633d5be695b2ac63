"""Levels are those of textbook signals, and no bytes break them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audio import waveform
from operators.errors import ErrorKind, RowFailure


def test_reads_little_endian_samples():
    samples = waveform.read_samples(b"\x01\x00\x00\x80")
    assert samples is not None
    assert samples.tolist() == [1, -32768]


@pytest.mark.parametrize("nothing", [None, b""])
def test_a_clip_without_audio_has_no_samples(nothing):
    assert waveform.read_samples(nothing) is None


def test_half_a_sample_is_refused():
    with pytest.raises(RowFailure, match="3 bytes") as refused:
        waveform.read_samples(b"abc")
    assert refused.value.kind is ErrorKind.BAD_OUTPUT


def test_known_levels(studio):
    sine = studio.samples(studio.tone(2, level=1.0))
    assert waveform.loudness(sine) == pytest.approx(-3.01, abs=0.01)
    square = np.where(np.arange(32000) % 2, 32767, -32768).astype(np.int16)
    assert waveform.loudness(square) == pytest.approx(0, abs=0.01)
    assert waveform.loudness(np.zeros(100, dtype=np.int16)) == waveform.SILENCE


def test_a_constant_offset_is_not_loud(studio):
    sound = studio.samples(studio.tone(1, level=0.1))
    assert waveform.loudness(sound + np.int16(8000)) == pytest.approx(waveform.loudness(sound), abs=0.01)
    assert waveform.loudness(np.full(16000, 12000, dtype=np.int16)) == waveform.SILENCE


def test_energy_follows_the_seconds(studio):
    sound = np.concatenate([studio.noise(1, 0.2), studio.noise(1, 0.02), studio.silence(1), studio.noise(0.5, 0.2)])
    energy = waveform.energy(studio.samples(sound))
    assert energy == pytest.approx([-13.98, -33.98, -96, -13.98], abs=0.3)


@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=4000), st.integers(1, 3000))
def test_mean_squares_are_variances(values, frame):
    squares = waveform.mean_squares(np.array(values, dtype=np.int16), frame)
    frames = [values[start : start + frame] for start in range(0, len(values), frame)]
    assert squares == pytest.approx([np.var(np.array(part) / 32768) for part in frames], abs=1e-9)


def test_pieces_do_not_show(studio, monkeypatch):
    samples = studio.samples(studio.noise(3))
    whole = waveform.mean_squares(samples, 1600)
    monkeypatch.setattr(waveform, "_PIECE", 5000)
    assert np.allclose(waveform.mean_squares(samples, 1600), whole)
