"""What is measured of a clip's music, passage by passage, and what of each is free of voices."""

from __future__ import annotations

import numpy as np
import pytest

from operators.audio import activity, spectrum
from operators.audio.music import Music
from operators.audio.passages import measure_music
from operators.audio.tags import SoundMeasures
from operators.errors import RowFailure

GATES = {"min_share": 0.3, "min_seconds": 5.0}


def test_passages_hold_their_samples_and_what_is_clear_of_voices(studio):
    music = 0.3 * (studio.chords(24, tempo=120) + studio.drums(24, 120))
    music[:64_000] += studio.voice(4)
    (clip,) = SoundMeasures()([studio.clip(music)])
    found = measure_music(clip, **GATES)
    assert found is not None
    assert found.tempo == pytest.approx(120, rel=0.04)
    assert found.key == "A minor"
    assert found.voices == "A voice is heard over part of the music."
    assert [part.time for part in found.stretches] == ["0:00-0:10", "0:10-0:24"]
    first, second = found.stretches
    assert np.array_equal(np.concatenate([first.samples, second.samples]), studio.samples(music))
    assert len(first.clear) == 500
    voiced = activity.covered(clip["speech_spans"], 500, spectrum.FRAME_RATE)
    assert 100 < voiced.sum() < 220
    assert np.array_equal(first.clear, ~voiced)
    assert second.clear.all()
    assert first.measured.voiced
    assert not second.measured.voiced


def test_columns_take_a_text_for_each_passage(studio):
    (clip,) = SoundMeasures()([studio.clip(studio.chords(24))])
    found = measure_music(clip, **GATES)
    assert found is not None
    row = found.columns(["one", "two"])
    assert set(row) == set(Music.writes.names)
    assert row["music_caption"] == [{"text": "one", "time": "0:00-0:10"}, {"text": "two", "time": "0:10-0:24"}]
    with pytest.raises(ValueError, match="zip"):
        found.columns(["one"])


@pytest.mark.parametrize("sound", ["noise", "short", "none"])
def test_no_music_is_none(studio, sound):
    wave = {"noise": studio.noise(8), "short": studio.chords(4), "none": None}[sound]
    (clip,) = SoundMeasures()([studio.clip(wave)])
    assert measure_music(clip, **GATES) is None


def test_half_a_sample_is_the_row_s_failure(studio):
    (clip,) = SoundMeasures()([studio.clip(studio.chords(6))])
    with pytest.raises(RowFailure, match="not a whole number"):
        measure_music({**clip, "audio": b"abc"}, **GATES)
