"""Tempo to within 4 % of what was played, octaves where they are documented; no beat where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.audio import activity, pulse, spectrum


def tempo(studio, sound) -> float:
    found = pulse.find_pulse(pulse.onsets(studio.samples(sound)))
    assert found is not None
    return found.tempo


@pytest.mark.parametrize("played", range(60, 181, 6))
def test_a_metronome(studio, played):
    assert tempo(studio, studio.clicks(12, played)) == pytest.approx(played, rel=0.04)


@pytest.mark.parametrize("played", range(66, 181, 19))
def test_drums(studio, played):
    assert tempo(studio, studio.drums(12, played)) == pytest.approx(played, rel=0.04)


@pytest.mark.parametrize("played", [70, 95, 120, 150])
@pytest.mark.parametrize("kind", ["piano", "organ", "strings"])
def test_chords_and_melody(studio, played, kind):
    ratio = tempo(studio, studio.chords(12, tempo=played, kind=kind)) / played
    assert min(abs(ratio / octave - 1) for octave in (0.5, 1, 2)) < 0.04


def test_the_beat_is_found_in_what_is_judged(studio):
    """A voice over the middle third is left out."""
    sound = studio.clicks(15, 100)
    sound[80_000:160_000] += studio.voice(5)
    curve = pulse.onsets(studio.samples(sound))
    judged = np.ones(len(curve), dtype=bool)
    judged[490:1010] = False
    found = pulse.find_pulse(curve, judged)
    assert found is not None
    assert found.tempo == pytest.approx(100, rel=0.02)
    assert found.clarity > pulse.CLEAR


def beaten(studio, sound) -> np.ndarray:
    """Judged with the voice activity that is measured, as in a clip."""
    samples = studio.samples(sound)
    curve = pulse.onsets(samples)
    return pulse.beaten(curve, activity.covered(activity.speech_spans(samples), len(curve), pulse.RATE))


@pytest.mark.parametrize("sound", ["clicks", "drums"])
def test_a_clear_beat_goes_on(studio, sound):
    wave = studio.clicks(10, 100) if sound == "clicks" else studio.drums(10, 100)
    assert beaten(studio, wave).all()


@pytest.mark.parametrize("sound", ["noise", "tone", "silence", "short", "voice"])
def test_no_beat(studio, sound):
    wave = {
        "noise": lambda: studio.noise(10),
        "tone": lambda: studio.tone(10),
        "silence": lambda: studio.silence(10),
        "short": lambda: studio.clicks(3.9, 120),
        "voice": lambda: studio.voice(12),
    }[sound]()
    assert not beaten(studio, wave).any()


@pytest.mark.parametrize("file", ["speech_jfk.flac", "gesture_oliver.mp4", "rotated.mp4", "two_people_gesturing.mp4"])
def test_real_speech_has_no_clear_beat(studio, shared_media, file):
    curve = pulse.onsets(studio.samples(studio.decode(shared_media / file)))
    assert not pulse.beaten(curve, np.zeros(len(curve), dtype=bool)).any()


def test_pieces_do_not_show(studio, monkeypatch):
    samples = studio.samples(studio.drums(6))
    whole = pulse.onsets(samples)
    monkeypatch.setattr(spectrum, "PIECE", 77)
    assert np.allclose(pulse.onsets(samples), whole, atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, st.integers(0, 900), elements=st.floats(0, 5), fill=st.just(0.0)))
def test_any_curve_has_a_tempo_in_range_or_none(curve):
    found = pulse.find_pulse(curve)
    if found is not None:
        assert pulse.SLOWEST <= found.tempo <= pulse.FASTEST
        assert 0 < found.clarity <= 1


def test_the_faintest_curve_keeps_its_beat():
    curve = np.zeros(900)
    curve[::50] = 1.0
    found = pulse.find_pulse(curve)
    assert found is not None
    assert pulse.find_pulse(curve * 1e-200) == pytest.approx(found)
