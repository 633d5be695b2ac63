"""Tempo, key and captions of music, beside voices and without them; nothing where there is no music."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.audio.music import Music
from operators.audio.tags import AudioTags
from operators.contract import Row
from operators.errors import ErrorKind


def described(clip: Row) -> Row:
    (row,) = Music()(AudioTags()([clip]))
    assert row["error"] is None
    columns = {name: row[name] for name in Music.writes.names}
    assert pa.Table.from_pylist([columns], schema=Music.writes).num_rows == 1
    return row


def test_a_band(studio):
    row = described(studio.clip(0.6 * studio.chords(12, tempo=120) + 0.4 * studio.drums(12, 120)))
    assert row["tempo"] == pytest.approx(120, rel=0.04)
    assert row["key"] == "A minor"
    assert row["vocal_caption"] is None
    (caption,) = row["music_caption"]
    assert caption["time"] == "0:00-0:12"
    assert caption["text"].startswith("Fast")
    assert "in A minor with a strong beat" in caption["text"]
    assert "plays at about 120 beats per minute" in caption["text"]
    assert caption["text"].endswith("at an even level.")


def test_passages_are_of_ten_seconds(studio):
    row = described(studio.clip(studio.chords(36)))
    assert [caption["time"] for caption in row["music_caption"]] == [
        "0:00-0:10",
        "0:10-0:20",
        "0:20-0:30",
        "0:30-0:36",
    ]


def test_passages_without_music_are_left_out(studio):
    row = described(studio.clip(np.concatenate([studio.noise(10), studio.chords(13)])))
    assert [caption["time"] for caption in row["music_caption"]] == ["0:10-0:23"]


def test_the_course_of_the_energy(studio):
    rising = studio.chords(10) * np.linspace(0.05, 1, 160_000)
    assert "growing louder" in described(studio.clip(rising))["music_caption"][0]["text"]
    assert "fading" in described(studio.clip(rising[::-1]))["music_caption"][0]["text"]


def test_loud_and_quiet(studio):
    assert "loud music" in described(studio.clip(studio.chords(8, kind="organ")))["music_caption"][0]["text"]
    assert "quiet music" in described(studio.clip(studio.chords(8) * 0.02))["music_caption"][0]["text"]


def test_voices_are_told_and_left_out(studio):
    music = 0.3 * (studio.chords(16, tempo=120) + studio.drums(16, 120))
    alone = described(studio.clip(music))
    music[:64_000] += studio.voice(4)
    row = described(studio.clip(music))
    assert row["vocal_caption"] == "A voice is heard over part of the music."
    assert row["tempo"] == pytest.approx(alone["tempo"], rel=0.02)
    assert row["key"] == alone["key"] == "A minor"
    first, second = row["music_caption"]
    assert first["text"].startswith("Between the voices, ")
    assert "voice" not in second["text"]


def test_a_voice_throughout(studio):
    row = described(studio.clip(studio.mixed(studio.voice(12), studio.chords(12), 3)))
    assert row["key"] is None
    assert row["vocal_caption"].startswith("A voice is heard over ")
    assert row["music_caption"][0]["text"].startswith("Under a voice, ")


@pytest.mark.parametrize(
    "sound",
    ["silence", "noise", "voice", "short", "none"],
)
def test_nothing_to_describe(studio, sound):
    wave = {
        "silence": lambda: studio.silence(8),
        "noise": lambda: studio.noise(8),
        "voice": lambda: studio.voice(8),
        "short": lambda: studio.chords(4.5),
        "none": lambda: None,
    }[sound]()
    row = described(studio.clip(wave))
    assert [row[name] for name in Music.writes.names] == [None] * 4


def test_the_thresholds_are_settings(studio):
    (clip,) = AudioTags()([studio.clip(np.concatenate([studio.noise(9), studio.chords(4)]))])
    (kept,) = Music(Music.Settings(min_share=0.2))([clip])
    (left,) = Music(Music.Settings(min_share=0.6))([clip])
    (short,) = Music(Music.Settings(min_seconds=14))([clip])
    assert kept["music_caption"] is not None
    assert left["music_caption"] is None
    assert short["music_caption"] is None


def test_half_a_sample_fails_its_clip_only(studio):
    (good,) = AudioTags()([studio.clip(studio.chords(6))])
    rows = list(Music()([good, {**good, "audio": b"abc"}]))
    assert rows[0]["key"] == "A minor"
    assert rows[1]["error"]["kind"] == ErrorKind.BAD_OUTPUT


def test_batch_and_order_do_not_matter(studio):
    clips = list(AudioTags()(studio.clip(sound) for sound in (studio.chords(6), studio.drums(7), studio.noise(6))))
    together = Music().annotate(clips)
    assert Music().annotate(clips[::-1])[::-1] == together
    assert [Music().annotate([clip])[0] for clip in clips] == together


@settings(deadline=None, max_examples=25)
@given(
    st.binary(min_size=2, max_size=200).filter(lambda data: len(data) % 2 == 0),
    st.integers(1, 1000),
    st.floats(0, 1),
    st.lists(st.floats(0, 12), max_size=6).map(sorted),
)
def test_any_bytes(data, times, share, edges):
    clip = {"record": "clip", "error": None, "audio": data * times, "clip_duration": 8.0, "music_share": share}
    clip["speech_spans"] = [list(span) for span in zip(edges[::2], edges[1::2], strict=False)]
    (row,) = Music(Music.Settings(min_share=0, min_seconds=2))([clip])
    assert row["error"] is None
    assert row["tempo"] is None or 50 <= row["tempo"] <= 205


def test_real_music(studio, shared_media):
    row = described(studio.clip(studio.decode(shared_media / "tapping.mp4")))
    assert row["tempo"] == pytest.approx(100, rel=0.04)
    assert [caption["time"] for caption in row["music_caption"]] == ["0:00-0:10", "0:10-0:23"]


def test_real_music_under_dialogue(studio, shared_media):
    row = described(studio.clip(studio.decode(shared_media / "two_women_talking.mp4")))
    assert row["tempo"] == pytest.approx(120, rel=0.04)
    assert row["vocal_caption"] == "A voice is heard over about half of the music."
