"""The key of progressions in all twelve keys, major and minor."""

from __future__ import annotations

import numpy as np
import pytest

from operators.audio import key


def found(studio, sound) -> key.Key:
    result = key.find_key(key.pitch_classes(studio.samples(sound)).sum(axis=0))
    assert result is not None
    return result


@pytest.mark.parametrize("shift", range(12))
@pytest.mark.parametrize("kind", ["piano", "strings"])
@pytest.mark.parametrize("mode", ["major", "minor"])
def test_progressions(studio, shift, kind, mode):
    chords = studio.C_MAJOR if mode == "major" else studio.A_MINOR
    tonic = (0 if mode == "major" else 9) + shift
    progression = [[midi + shift - 12 for midi in chord] for chord in chords]
    result = found(studio, studio.chords(9.6, kind=kind, progression=progression, melody=False))
    assert result.name == f"{key.TONICS[tonic % 12]} {mode}"
    assert result.fit > key.CONVINCING


def test_drums_do_not_hide_the_key(studio):
    result = found(studio, studio.chords(9.6) + 0.5 * studio.drums(9.6, 100))
    assert result.name == "A minor"
    assert result.fit > key.CONVINCING


def test_noise_has_no_convincing_key(studio):
    assert found(studio, studio.noise(10)).fit < key.CONVINCING


def test_silence_has_no_key(studio):
    assert key.find_key(key.pitch_classes(studio.samples(studio.silence(1))).sum(axis=0)) is None


def test_pitches_are_placed(studio):
    for midi in range(55, 80):
        classes = key.pitch_classes(studio.samples(studio.tone(1, hertz=440 * 2 ** ((midi - 69) / 12)))).sum(axis=0)
        assert classes.argmax() == midi % 12


def test_an_empty_clip():
    assert key.pitch_classes(np.zeros(0, dtype=np.int16)).shape == (0, 12)
