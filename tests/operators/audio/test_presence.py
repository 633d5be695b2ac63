"""Music by its notes or by its beat."""

from __future__ import annotations

import numpy as np
import pytest

from operators.audio import activity, presence, pulse


def music(studio, sound) -> np.ndarray | None:
    samples = studio.samples(sound)
    curve = pulse.onsets(samples)
    voiced = activity.covered(activity.speech_spans(samples), len(curve), pulse.RATE)
    return presence.music_frames(samples, pulse.beaten(curve, voiced))


@pytest.mark.parametrize("sound", ["chords", "drums"])
def test_notes_and_beats_are_music(studio, sound):
    frames = music(studio, studio.chords(8) if sound == "chords" else studio.drums(8))
    assert frames is not None
    assert frames.shape == (400,)
    assert frames.all()


@pytest.mark.parametrize("sound", ["voice", "noise", "silence"])
def test_what_is_no_music(studio, sound):
    frames = music(studio, getattr(studio, sound)(8))
    assert frames is not None
    assert not frames.any()


def test_music_is_found_where_it_is(studio):
    frames = music(studio, np.concatenate([studio.voice(10), studio.chords(10)]))
    assert frames is not None
    assert frames[:400].mean() < 0.05
    assert frames[600:].mean() > 0.95


@pytest.mark.parametrize("seconds", [0, 0.001, 0.1, 1.2])
def test_too_short_to_tell(studio, seconds):
    assert music(studio, studio.noise(seconds)) is None
