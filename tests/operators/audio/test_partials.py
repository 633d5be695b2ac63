"""Sustained partials: high for notes, low for voices, noise and drums; drones are set aside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.audio import partials, spectrum
from operators.audio.presence import SUSTAINED


@pytest.mark.parametrize("kind", ["piano", "organ", "strings"])
def test_notes_are_sustained(studio, kind):
    assert partials.activation(studio.samples(studio.chords(8, kind=kind))).min() > SUSTAINED


@pytest.mark.parametrize("decibels", [10, 5, 0])
def test_notes_are_heard_under_a_voice(studio, decibels):
    sound = studio.mixed(studio.voice(8), studio.chords(8), decibels)
    assert partials.activation(studio.samples(sound)).mean() > SUSTAINED


@pytest.mark.parametrize("sound", ["voice", "noise", "drums", "clicks", "tone", "silence"])
def test_what_has_no_sustained_partials(studio, sound):
    wave = {
        "voice": lambda: studio.voice(8),
        "noise": lambda: studio.noise(8),
        "drums": lambda: studio.drums(8),
        "clicks": lambda: studio.clicks(8, 120),
        "tone": lambda: studio.tone(8),
        "silence": lambda: studio.silence(8),
    }[sound]()
    assert partials.activation(studio.samples(wave)).max() < SUSTAINED


def test_a_drone_is_no_music(studio):
    whine = sum(studio.tone(15, hertz, 0.05) for hertz in (410, 820, 1230, 1640, 2050, 2460))
    assert partials.activation(studio.samples(whine)).max() < 0.5


def test_prominence_sums_the_peaks_over_their_higher_valleys():
    assert partials.prominence(np.array([0, 0.5, 0.1, 0.9, 0.2, 0, 0])) == pytest.approx(0.4 + 0.8)
    assert partials.prominence(np.zeros(8)) == 0


@pytest.mark.parametrize(
    ("samples", "values"), [(0, 0), (320 * 63, 0), (320 * 64, 64), (320 * 65, 65), (320 * 200, 200), (320 * 640, 640)]
)
def test_a_value_per_frame_where_there_is_enough(studio, samples, values):
    noise = studio.samples(studio.noise(samples / 16_000))
    assert len(partials.activation(noise)) == values


def test_pieces_do_not_show(studio, monkeypatch):
    samples = studio.samples(studio.chords(9))
    whole = partials.activation(samples)
    monkeypatch.setattr(spectrum, "PIECE", 128)
    assert np.allclose(partials.activation(samples), whole)


@settings(deadline=None, max_examples=30)
@given(arrays(np.int16, st.integers(20_000, 60_000), elements=st.integers(-32768, 32767), fill=st.just(0)))
def test_values_lie_in_their_range(samples):
    values = partials.activation(samples)
    assert ((values >= 0) & (values <= partials.PEAKS)).all()


@pytest.mark.parametrize("file", ["speech_jfk.flac", "gesture_oliver.mp4", "rotated.mp4"])
def test_real_speech(studio, shared_media, file):
    values = partials.activation(studio.samples(studio.decode(shared_media / file)))
    assert values.max() < SUSTAINED


def test_real_music(studio, shared_media):
    values = partials.activation(studio.samples(studio.decode(shared_media / "tapping.mp4")))
    assert values.min() > SUSTAINED
