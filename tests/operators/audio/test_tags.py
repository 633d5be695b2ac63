"""The audio columns of clips with speech, music, both, neither, and nothing at all."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.audio.tags import MEASURED_TAGS, AudioTags, SoundMeasures
from operators.contract import Row
from operators.errors import ErrorKind


def heard(clip: Row) -> Row:
    (row,) = AudioTags()([clip])
    assert row["error"] is None
    return row


def tags(row: Row) -> dict[str, float]:
    return {tag["tag"]: tag["score"] for tag in row["audio_tags"]}


def test_speech(studio):
    row = heard(studio.clip(np.concatenate([studio.voice(6), studio.silence(2)])))
    assert row["speech_share"] == pytest.approx(0.75, abs=0.04)
    assert row["silence_share"] == pytest.approx(0.25, abs=0.02)
    assert row["music_share"] == 0
    assert row["speech_spans"][0] == pytest.approx([0, 6], abs=0.3)
    assert next(iter(tags(row))) == "speech"


def test_music(studio):
    row = heard(studio.clip(studio.chords(8) + studio.drums(8, 100)))
    assert row["music_share"] == 1
    assert row["speech_share"] == 0
    assert row["speech_spans"] == []
    assert tags(row)["beat"] == 1
    assert "other" not in tags(row)


def test_speech_over_music(studio):
    row = heard(studio.clip(studio.mixed(studio.voice(8), studio.chords(8), 6)))
    assert row["music_share"] > 0.9
    assert row["speech_share"] > 0.9


def test_noise_is_something_else(studio):
    assert tags(heard(studio.clip(studio.noise(8, 0.03)))) == {"other": 1.0}


def test_levels(studio):
    sound = np.concatenate([studio.noise(2, 0.2), studio.noise(2, 0.005), studio.silence(1.5)])
    row = heard(studio.clip(sound))
    assert row["energy"] == pytest.approx([-14, -14, -46, -46, -96, -96], abs=0.3)
    assert tags(row)["loud"] == pytest.approx(2 / 5.5, abs=0.02)
    assert tags(row)["quiet"] == pytest.approx(2 / 5.5, abs=0.02)
    assert tags(row)["silence"] == pytest.approx(1.5 / 5.5, abs=0.02)


def test_digital_silence(studio):
    row = heard(studio.clip(studio.silence(3)))
    assert row["loudness"] == -96
    assert row["silence_share"] == 1
    assert row["music_share"] == 0
    assert row["speech_share"] == 0
    assert tags(row) == {"silence": 1.0}


@pytest.mark.parametrize("audio", [None, b""])
def test_without_audio_every_column_is_null(audio):
    row = heard({"record": "clip", "error": None, "audio": audio, "clip_duration": 3.0})
    assert [row[name] for name in AudioTags.writes.names] == [None] * len(AudioTags.writes.names)


def test_too_short_to_tell_music(studio):
    row = heard(studio.clip(studio.noise(0.1)))
    assert row["music_share"] is None
    assert row["loudness"] == pytest.approx(-20, abs=0.5)


def test_half_a_sample_fails_its_clip_only(studio):
    good, bad = studio.clip(studio.noise(1)), {**studio.clip(studio.noise(1)), "audio": b"abc"}
    rows = list(AudioTags()([good, bad]))
    assert rows[0]["error"] is None
    assert rows[1]["error"]["kind"] == ErrorKind.BAD_OUTPUT
    assert "not a whole number" in rows[1]["error"]["message"]


def test_batch_and_order_do_not_matter(studio):
    clips = [studio.clip(sound) for sound in (studio.voice(2), studio.chords(3), studio.noise(1), studio.silence(1))]
    operator = AudioTags()
    together = operator.annotate(clips)
    assert operator.annotate(clips[::-1])[::-1] == together
    assert [AudioTags().annotate([clip])[0] for clip in clips] == together


def checked(row: Row) -> None:
    """Every value is finite and in its range, and fits its column."""
    for share in ("speech_share", "music_share", "silence_share"):
        assert row[share] is None or 0 <= row[share] <= 1
    assert -96 <= row["loudness"] <= 0
    assert all(-96 <= level <= 0 for level in row["energy"])
    assert all(0 < tag["score"] <= 1 for tag in row["audio_tags"])
    assert all(math.isfinite(edge) for span in row["speech_spans"] for edge in span)
    columns = {name: row[name] for name in AudioTags.writes.names}
    assert pa.Table.from_pylist([columns], schema=AudioTags.writes).num_rows == 1


@pytest.mark.parametrize(
    "samples",
    [
        [5],
        [0] * 1599,
        [32767] * 20_000,
        [-32768] * 20_000,
        [12_000 + k % 7 for k in range(30_000)],
        [32767, -32768] * 12_000,
        [0] * 30_000 + [32767],
    ],
    ids=["one sample", "short silence", "stuck high", "stuck low", "offset", "full scale", "one click"],
)
def test_odd_sounds(samples):
    checked(heard({"record": "clip", "error": None, "audio": np.array(samples, dtype="<i2").tobytes()}))


@settings(deadline=None, max_examples=40)
@given(st.binary(min_size=2, max_size=400).filter(lambda data: len(data) % 2 == 0), st.integers(1, 300))
def test_any_bytes(data, times):
    checked(heard({"record": "clip", "error": None, "audio": data * times}))


@pytest.mark.parametrize(
    ("file", "speech", "music", "silence"),
    [
        ("speech_jfk.flac", (0.6, 0.9), (0, 0), (0, 0.05)),
        ("gesture_oliver.mp4", (0.7, 1), (0, 0), (0, 0.05)),
        ("gesture_conan.mp4", (0.7, 1), (0, 0), (0, 0.05)),
        ("rotated.mp4", (0.3, 0.5), (0, 0), (0, 0.3)),
        ("two_women_talking.mp4", (0.4, 0.9), (0.65, 1), (0, 0.01)),
        ("cartoon.mp4", (0.7, 1), (0.3, 0.7), (0, 0.1)),
        ("tapping.mp4", (0, 0.1), (0.99, 1), (0, 0.02)),
        ("great_wall.mp4", (0, 0), (0, 0), (1, 1)),
    ],
)
def test_real_media(studio, shared_media, file, speech, music, silence):
    """`tapping` is music without words, `great_wall` has a silent track, the dialogue lies over music."""
    row = heard(studio.clip(studio.decode(shared_media / file)))
    checked(row)
    for share, (low, high) in (("speech_share", speech), ("music_share", music), ("silence_share", silence)):
        assert low <= row[share] <= high, share


def test_measures_without_tags(studio):
    clips = [studio.clip(studio.voice(3)), studio.clip(studio.chords(4)), studio.clip(None)]
    for tagged, measured in zip(AudioTags()(clips), SoundMeasures()(clips), strict=True):
        assert "audio_tags" not in measured
        assert {name: tagged[name] for name in SoundMeasures.writes.names} == {
            name: measured[name] for name in SoundMeasures.writes.names
        }
    assert SoundMeasures.name == AudioTags.name
    assert {*SoundMeasures.writes.names, "audio_tags"} == set(AudioTags.writes.names)


def test_the_names_of_measured_tags_are_all_listed(studio):
    music = 0.4 * (studio.chords(12) + studio.drums(12, 100))
    sound = np.concatenate([music, studio.noise(4, 0.2), studio.noise(3, 0.005), studio.voice(4), studio.silence(2)])
    assert set(tags(heard(studio.clip(sound)))) == MEASURED_TAGS
