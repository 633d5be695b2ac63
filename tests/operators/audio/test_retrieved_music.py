"""Measured music with a model's words: heard between the voices, said only where likely, worded as guesses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from operators.audio import clap, retrieved_music  # noqa: E402
from operators.audio.music import Music  # noqa: E402
from operators.audio.music_vocabulary import CONTRASTS, GENRE, INSTRUMENT, MOOD  # noqa: E402
from operators.audio.passages import Stretch, measure_music  # noqa: E402
from operators.audio.retrieved_music import RetrievedMusic, RetrievedMusicSettings, between_voices, worded  # noqa: E402
from operators.audio.tags import SoundMeasures  # noqa: E402
from operators.contract import Row  # noqa: E402
from operators.errors import ErrorKind  # noqa: E402
from tests.overhead import CEILING, Calls, overhead  # noqa: E402
from tests.tiny.clap import write_clap  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clap(tmp_path_factory.mktemp("clap"))


def operator(folder: Path, **chosen: object) -> RetrievedMusic:
    made = RetrievedMusic(
        RetrievedMusicSettings.model_validate({"model": str(folder), "device": "cpu", "floor": 0, **chosen})
    )
    made.setup()
    return made


@pytest.fixture(scope="module")
def music(folder: Path) -> RetrievedMusic:
    return operator(folder)


@pytest.fixture(scope="module")
def clips(studio) -> list[Row]:
    """Music, music under a voice for its first seconds, a voice throughout, noise, short music, nothing."""
    parted = 0.3 * (studio.chords(12, tempo=120) + studio.drums(12, 120))
    parted[:64_000] += studio.voice(4)
    sounds = (
        studio.chords(12), parted, studio.mixed(studio.voice(7), studio.chords(7), 3), studio.noise(6),
        studio.chords(4), None,
    )  # fmt: skip
    return list(SoundMeasures()(studio.clip(sound, clip_id=str(number)) for number, sound in enumerate(sounds)))


def rows_of(made: RetrievedMusic, clips: Sequence[Row]) -> list[Row]:
    """The columns of every clip, none of which fails."""
    found = [result for result in made.annotate(clips) if isinstance(result, dict)]
    assert len(found) == len(clips)
    return found


def test_the_measures_are_lite_s_and_the_words_come_after(music, clips):
    for row, stated in zip(rows_of(music, clips), Music().annotate(clips), strict=True):
        assert isinstance(stated, dict)
        assert {**row, "music_caption": None} == {**stated, "music_caption": None}
        assert (row["music_caption"] is None) == (stated["music_caption"] is None)
        for said, measured in zip(row["music_caption"] or [], stated["music_caption"] or [], strict=True):
            assert said["time"] == measured["time"]
            assert said["text"].startswith(measured["text"])
    assert pa.Table.from_pylist(rows_of(music, clips), schema=music.writes).num_rows == len(clips)


def test_words_are_from_the_vocabulary_and_hedged(music, clips):
    (clip, *_) = clips
    (row,) = rows_of(music, [clip])
    for caption in row["music_caption"]:
        guess = caption["text"].partition(". ")[2]
        assert guess.startswith("It sounds like ")
        assert any(f"sounds like {label} music, perhaps with " in guess for label in GENRE.labels)
        assert sum(label in guess for label in INSTRUMENT.labels) >= 2
        assert any(guess.endswith(f"its mood seems {label}.") for label in MOOD.labels)


def test_under_a_voice_throughout_nothing_is_guessed(music, clips):
    voiced = rows_of(music, clips)[2]
    (caption,) = voiced["music_caption"]
    assert caption["text"].startswith("Under a voice, ")
    assert "sounds like" not in caption["text"]
    assert voiced["vocal_caption"].startswith("A voice is heard over ")


def test_the_model_hears_only_what_lies_between_the_voices(folder, clips, monkeypatch):
    made = operator(folder)
    heard: list[np.ndarray] = []
    bare = made._model.sounds

    def listening(windows):
        heard.extend(windows)
        return bare(windows)

    monkeypatch.setattr(made._model, "sounds", listening)
    rows_of(made, [clips[1]])
    parts = _stretches(clips[1])
    assert np.array_equal(np.concatenate(heard), np.concatenate([between_voices(part) for part in parts]))
    voiced = sum(end - start for start, end in clips[1]["speech_spans"])
    assert voiced > 3
    assert sum(map(len, heard)) <= len(clips[1]["audio"]) / 2 - voiced * 16_000 + 320


def test_nothing_is_asked_of_the_model_without_music(folder, clips, monkeypatch):
    made = operator(folder)
    monkeypatch.setattr(made._model, "sounds", lambda windows: pytest.fail("nothing to hear"))
    for row in rows_of(made, clips[3:]):
        assert row == dict.fromkeys(made.writes.names)


def test_the_floor_keeps_words_out(folder, clips):
    (row,) = rows_of(operator(folder, floor=1), clips[:1])
    assert row["music_caption"] == Music().annotate(clips[:1])[0]["music_caption"]


def test_words_compete_with_sounds_that_are_no_music(folder, clips):
    """Where a contrast fits best, nothing is said; where a label does, that label is."""
    made = operator(folder, floor=0.3)
    [part] = _stretches(clips[0])
    pieces = clap.windows(between_voices(part))
    vector = clap.pooled(made._model.sounds(pieces), pieces)
    table = {aspect: np.tile(-vector, (len(aspect.labels) + len(CONTRASTS), 1)) for aspect in made._sentences}
    for rows in table.values():
        rows[-1] = vector
    made._sentences = table
    (row,) = rows_of(made, clips[:1])
    assert "sounds like" not in row["music_caption"][0]["text"]
    table[GENRE][-1] = -vector
    table[GENRE][GENRE.labels.index("jazz")] = vector
    (row,) = rows_of(made, clips[:1])
    assert row["music_caption"][0]["text"].endswith(" It sounds like jazz music.")


def test_a_row_does_not_depend_on_the_batch(folder, music, clips):
    together = rows_of(music, clips)
    assert rows_of(music, clips[::-1])[::-1] == together
    assert [rows_of(music, [clip])[0] for clip in clips] == together
    assert rows_of(operator(folder, windows=1), clips) == together


def test_one_poisoned_clip_fails_alone(music, clips):
    batch = [clips[0], *[{**clips[3], "clip_id": str(number)} for number in range(30)], {**clips[0], "audio": b"abc"}]
    rows = list(music(batch))
    assert [row["error"] is None for row in rows] == [True] * 31 + [False]
    assert rows[-1]["error"]["kind"] == ErrorKind.BAD_OUTPUT
    assert rows[0]["music_caption"]


def test_a_batch_that_does_not_fit_is_halved(folder, clips, monkeypatch):
    made = operator(folder, batch=4)
    expected = rows_of(made, clips)
    model: Any = made._model._model
    bare = model.get_audio_features

    def narrow(input_features):
        if len(input_features) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return bare(input_features=input_features)

    monkeypatch.setattr(model, "get_audio_features", narrow)
    rows = list(made(clips))
    assert [row["error"] for row in rows] == [None] * len(clips)
    assert [{name: row[name] for name in made.writes.names} for row in rows] == expected


@pytest.mark.parametrize(
    ("genre", "instruments", "mood", "sentence"),
    [
        (["jazz"], ["piano", "double bass"], ["calm"],
         "It sounds like jazz music, perhaps with piano and double bass; its mood seems calm."),
        (["jazz"], [], [], "It sounds like jazz music."),
        ([], ["piano"], [], "It perhaps has piano."),
        ([], ["piano"], ["sad"], "It perhaps has piano; its mood seems sad."),
        ([], [], ["sad"], "Its mood seems sad."),
        ([], [], [], ""),
    ],
)  # fmt: skip
def test_guesses_in_words(genre, instruments, mood, sentence):
    assert worded({GENRE: genre, INSTRUMENT: instruments, MOOD: mood}) == sentence


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_what_is_cut_is_gone_and_the_rest_stays(clear):
    mask = np.array(clear)
    samples = np.arange(1, 320 * len(clear) + 1, dtype=np.int64).clip(max=30_000).astype(np.int16)
    stretch = Stretch(time="0:00-0:10", measured=None, samples=samples, clear=mask)  # type: ignore[arg-type]
    heard = between_voices(stretch)
    assert len(heard) == 320 * mask.sum()
    kept = samples.reshape(-1, 320)[mask].reshape(-1)
    assert (np.abs(heard) <= np.abs(kept)).all()
    if mask.all():
        assert np.array_equal(heard, samples)


def test_a_default_that_names_one_commit():
    [files] = RetrievedMusic().files()
    assert files.parsed.pinned
    assert files.parsed.where == "laion/larger_clap_music_and_speech"


def test_the_operator_costs_little_beside_its_model_and_measures(folder, studio, monkeypatch):
    """At most a tenth of the time that a full batch takes in the model, in one call, and in the measures of `Music`.

    Of the model's time nearly all is features here, which cost the same for real weights: those would only add to it.
    """
    made, calls = operator(folder, windows=8), Calls()
    monkeypatch.setattr(made._model, "sounds", calls.timed(made._model.sounds))
    monkeypatch.setattr(retrieved_music, "measure_music", calls.timed(measure_music))
    clips = [
        studio.clip(studio.chords(10, tempo=80 + 10 * number), music_share=1.0, speech_spans=[[3.0, 4.5]])
        for number in range(8)
    ]

    def annotate(batch: Sequence[Row]) -> None:
        assert all("sounds like" in row["music_caption"][0]["text"] for row in rows_of(made, batch))

    assert overhead(lambda _: clips, annotate, calls) <= CEILING


def test_real_music_under_dialogue(music, studio, shared_media):
    clips = list(
        SoundMeasures()(studio.clip(studio.decode(shared_media / n)) for n in ("two_women_talking.mp4", "tapping.mp4"))
    )
    dialogue, tapping = rows_of(music, clips)
    assert [caption["time"] for caption in tapping["music_caption"]] == ["0:00-0:10", "0:10-0:23"]
    assert all("sounds like" in caption["text"] for caption in tapping["music_caption"])
    assert dialogue["vocal_caption"] == "A voice is heard over about half of the music."


def _stretches(clip: Row) -> tuple[Stretch, ...]:
    found = measure_music(clip, min_share=0.3, min_seconds=5)
    assert found is not None
    return found.stretches
