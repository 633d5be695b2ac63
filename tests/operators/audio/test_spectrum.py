"""The short-time spectrum: amplitudes, places, and pieces that fit together."""

from __future__ import annotations

import numpy as np
import pytest

from operators.audio import spectrum


def test_a_full_sine_has_amplitude_one_in_its_bin(studio):
    samples = studio.samples(studio.tone(1, hertz=1000, level=1.0))
    amplitudes = spectrum.magnitudes(samples, 0, spectrum.frame_count(samples))
    assert amplitudes.shape == (50, 513)
    assert amplitudes.dtype == np.float32
    assert amplitudes[25].argmax() == round(1000 / spectrum.BIN)
    assert amplitudes[25].max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (320, 1), (321, 2), (16000, 50)])
def test_frames_start_within_the_clip(samples, frames):
    assert spectrum.frame_count(np.zeros(samples, dtype=np.int16)) == frames


def test_frames_are_centred(studio):
    click = studio.silence(1)
    click[8000] = 1
    amplitudes = spectrum.magnitudes(studio.samples(click), 0, 50)
    assert amplitudes.sum(axis=1).argmax() == 25


@pytest.mark.parametrize("margin", [0, 7])
def test_pieces_make_up_the_whole(studio, margin):
    samples = studio.samples(studio.noise(2.3))
    whole = spectrum.magnitudes(samples, 0, spectrum.frame_count(samples))
    pieces = [part[rows] for rows, part in spectrum.pieces(samples, margin, piece=33)]
    assert len(pieces) == 4
    assert np.array_equal(np.concatenate(pieces), whole)


def test_an_empty_clip_has_no_pieces():
    assert list(spectrum.pieces(np.zeros(0, dtype=np.int16), 3)) == []
