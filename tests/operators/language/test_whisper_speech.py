"""Transcripts of clips: only their voices are heard, times are the clip's, and no clip depends on another."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch")
pytest.importorskip("whisper")

from operators.audio.tags import SoundMeasures  # noqa: E402
from operators.contract import Row  # noqa: E402
from operators.errors import ConfigurationError, ErrorKind  # noqa: E402
from operators.language.fusion import speech_sentences  # noqa: E402
from operators.language.whisper_speech import BCP_47, MEMORY, WhisperSettings, WhisperSpeech, size_of  # noqa: E402
from operators.models.whisper_files import RELEASES  # noqa: E402
from tests.overhead import CEILING, Calls, overhead  # noqa: E402
from tests.tiny.whisper import write_reciting_whisper, write_whisper  # noqa: E402

_STUDIO = Path(__file__).parents[1] / "audio" / "conftest.py"
TEXT = "Ask not what your country can do for you."


@pytest.fixture(scope="module")
def studio():
    spec = importlib.util.spec_from_file_location("studio", _STUDIO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Studio()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whisper")


def operator(path: Path, **chosen: object) -> WhisperSpeech:
    made = WhisperSpeech(WhisperSettings.model_validate({"model": str(path), "device": "cpu", **chosen}))
    made.setup()
    return made


@pytest.fixture(scope="module")
def guessing(folder: Path) -> WhisperSpeech:
    """Random weights, and guards that let everything pass but try twice."""
    path = write_whisper(folder / "random.pt")
    return operator(path, logprob_floor=-9, compression_ceiling=1.5, temperatures=[0.0, 0.8])


@pytest.fixture(scope="module")
def reciting(folder: Path) -> WhisperSpeech:
    return operator(write_reciting_whisper(folder / "reciting.pt", TEXT))


@pytest.fixture(scope="module")
def clips(studio) -> list[Row]:
    """Voices of other lengths, one with a pause, one of 45 s; music, silence; nothing."""
    paused = np.concatenate([studio.voice(2), studio.silence(5), studio.voice(1.5, 190, seed=5)])
    made = list(
        SoundMeasures()(
            studio.clip(sound, clip_id=str(number))
            for number, sound in enumerate((paused, studio.voice(1), studio.chords(3), studio.silence(2), None))
        )
    )
    return [*made, studio.clip(studio.noise(45), speech_spans=[[0.0, 45.0]], clip_id="5")]


def rows_of(made: WhisperSpeech, clips: Sequence[Row]) -> list[Row]:
    """The columns of every clip, none of which fails."""
    found = [result for result in made.annotate(clips) if isinstance(result, dict)]
    assert len(found) == len(clips)
    return found


def alike(one: Row, other: Row) -> bool:
    if any(one[name] != other[name] for name in ("transcript", "transcript_quality", "language")):
        return False
    times = [[(w["start"], w["end"], w["confidence"]) for w in row["words"] or ()] for row in (one, other)]
    return len(times[0]) == len(times[1]) and np.allclose(*times, atol=1e-5)


def test_a_transcript(reciting, clips):
    rows = list(reciting(clips))
    columns = [{name: row[name] for name in reciting.writes.names} for row in rows]
    assert pa.Table.from_pylist(columns, schema=reciting.writes).num_rows == len(clips)
    paused, short, *nothing, long = rows
    for row in (paused, short, long):
        assert row["error"] is None
        assert row["transcript_quality"] == "high"
        assert row["language"] == "en"
        assert row["provenance"]["words"] == f"speech/1@{reciting.revision()}"
    assert paused["transcript"] == short["transcript"] == TEXT
    assert long["transcript"] == f"{TEXT} {TEXT}"
    for row in nothing:
        assert [row[name] for name in reciting.writes.names] == [None] * 4


def test_words_lie_in_the_clip_s_voices(reciting, clips):
    for clip, row in zip(clips, rows_of(reciting, clips), strict=True):
        words = row["words"] or []
        assert [word["start"] for word in words] == sorted(word["start"] for word in words)
        for word in words:
            assert word["start"] <= word["end"]
            assert 0 <= word["confidence"] <= 1
            assert any(
                start - 0.201 <= word["start"] and word["end"] <= end + 0.201 for start, end in clip["speech_spans"]
            )
    assert " ".join(word["word"] for word in rows_of(reciting, clips[:1])[0]["words"]) == TEXT


def test_a_pause_of_five_seconds_is_skipped(reciting, clips):
    """The words after the pause have the clip's times, not the window's."""
    (row,) = rows_of(reciting, clips[:1])
    starts = [word["start"] for word in row["words"]]
    assert min(starts) < 2.5
    assert max(starts) > 6.5
    assert not [word for word in row["words"] if 2.6 < word["start"] < 6.4]


def test_a_row_does_not_depend_on_the_batch(guessing, clips):
    together = rows_of(guessing, clips)
    assert all(map(alike, rows_of(guessing, clips[::-1])[::-1], together))
    assert all(alike(rows_of(guessing, [clip])[0], row) for clip, row in zip(clips, together, strict=True))
    assert len({row["transcript"] for row in together}) > 2


def test_windows_of_many_clips_are_decoded_together(reciting, clips, monkeypatch):
    sizes = []
    bare = reciting._recogniser.hear
    monkeypatch.setattr(reciting._recogniser, "hear", lambda sounds: sizes.append(len(sounds)) or bare(sounds))
    rows_of(reciting, clips)
    assert sizes == [4]


def test_one_poisoned_clip_in_a_batch_fails_alone(reciting, studio, clips):
    batch = [{**clips[1], "clip_id": str(number)} for number in range(32)]
    batch[9] = {**batch[9], "audio": b"abc"}
    rows = list(reciting(batch))
    assert [row["clip_id"] for row in rows if row["error"]] == ["9"]
    assert rows[9]["error"]["kind"] == ErrorKind.BAD_OUTPUT
    assert all(row["transcript"] == TEXT for row in rows if not row["error"])


def test_a_batch_that_does_not_fit_is_halved(folder, guessing, clips, monkeypatch):
    made = operator(folder / "random.pt", batch=4, logprob_floor=-9, compression_ceiling=1.5, temperatures=[0.0, 0.8])
    model: Any = made._recogniser._model
    bare, sizes = model.encoder.forward, []

    def narrow(mel):
        sizes.append(len(mel))
        if len(mel) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return bare(mel)

    monkeypatch.setattr(model.encoder, "forward", narrow)
    rows = list(made(clips))
    assert [row["error"] for row in rows] == [None] * len(clips)
    assert all(map(alike, rows, rows_of(guessing, clips)))
    assert max(sizes) > 1


def test_a_doubtful_text_is_of_low_quality(folder, clips):
    doubtful = operator(write_reciting_whisper(folder / "doubtful.pt", TEXT, sure=0.3), temperatures=[0.0])
    (row,) = rows_of(doubtful, clips[1:2])
    assert row["transcript_quality"] == "low"
    assert row["transcript"]


def test_voices_in_which_nothing_is_heard(folder, clips):
    silent = operator(write_reciting_whisper(folder / "silent.pt", TEXT, sure=0.2, silence=4), temperatures=[0.0])
    (row,) = rows_of(silent, clips[1:2])
    assert row == {"transcript": None, "words": [], "transcript_quality": None, "language": None}


def test_one_failed_window_makes_the_whole_of_low_quality(reciting, clips, monkeypatch):
    passes = iter([True, False])
    bare = reciting._recogniser.hear

    def doubted(sounds):
        from dataclasses import replace

        return [replace(heard, passed=next(passes)) for heard in bare(sounds)]

    monkeypatch.setattr(reciting._recogniser, "hear", doubted)
    (row,) = rows_of(reciting, clips[5:])
    assert row["transcript_quality"] == "low"


def test_only_so_much_voice_is_decoded(folder, clips):
    made = operator(write_reciting_whisper(folder / "limited.pt", TEXT), max_seconds=20)
    (row,) = rows_of(made, clips[5:])
    assert row["transcript"] == TEXT
    assert all(word["end"] <= 20.21 for word in row["words"])


@pytest.mark.parametrize(("language", "chosen", "expected"), [("jw", "", "jv"), ("zh", "", "zh"), ("de", "fr", "fr")])
def test_languages_are_bcp_47(folder, clips, language, chosen, expected):
    path = write_reciting_whisper(folder / f"{language}.pt", TEXT, language=language)
    (row,) = rows_of(operator(path, language=chosen), clips[1:2])
    assert row["language"] == expected


def test_whisper_s_other_codes_are_those_of_bcp_47():
    from whisper.tokenizer import LANGUAGES

    assert len(LANGUAGES) == 100
    assert BCP_47.keys() <= LANGUAGES.keys()
    assert not BCP_47.keys() & BCP_47.values()
    assert {code for code in LANGUAGES if len(code) != 2} == {"haw", "yue"}  # ISO 639-3 codes, as BCP 47 takes them


def test_an_english_only_model_states_a_language_only_where_it_was_told(folder, clips):
    path = write_reciting_whisper(folder / "english.pt", TEXT, multilingual=False)
    for chosen, expected in (("", None), ("en", "en")):
        (row,) = rows_of(operator(path, language=chosen), clips[1:2])
        assert row["transcript"] == TEXT
        assert row["language"] == expected


def test_marks_are_no_words(guessing, clips):
    for row in rows_of(guessing, clips):
        assert "<|" not in (row["transcript"] or "")


def test_a_high_quality_transcript_is_what_fusion_quotes(reciting, clips):
    (row,) = reciting(clips[1:2])
    said = speech_sentences({**row, "vocal_caption": None}, 20)
    assert said == [f"A voice heard throughout says “{TEXT.rstrip('.')}”."]


def test_settings_that_decide_the_text_are_in_the_fingerprint(folder):
    made = [
        WhisperSpeech(WhisperSettings.model_validate({"model": str(folder / "random.pt"), **chosen}))
        for chosen in ({}, {"windows": 2, "device": "cpu", "batch": 3}, {"temperatures": [0.0]}, {"language": "de"})
    ]
    first, tuned, *others = [one.fingerprint() for one in made]
    assert first == tuned
    assert len({first, *others}) == 3


@pytest.mark.parametrize(
    "chosen",
    [{"temperatures": []}, {"temperatures": [0.4, 0.2]}, {"temperatures": [0, 3]}, {"precision": "bfloat16"},
     {"language": "English"}, {"language": "EN"}],
)  # fmt: skip
def test_settings_that_make_no_sense(chosen):
    with pytest.raises(ValidationError):
        WhisperSettings.model_validate(chosen)


def test_a_missing_checkpoint_is_said_before_anything_starts(tmp_path):
    with pytest.raises(ConfigurationError, match=r"speech\.model"):
        WhisperSpeech(WhisperSettings(model=str(tmp_path / "nothing.pt"))).check()


def test_memory_is_declared_by_the_release_and_its_windows():
    def needed(**chosen: object) -> tuple[int, int]:
        resources = WhisperSpeech(WhisperSettings.model_validate(chosen)).resources
        return resources.memory_mb, resources.gpu_memory_mb

    assert {size_of(release) for release in RELEASES} == set(MEMORY)
    assert needed(model="small") == needed(model="small.en") == (3500, 2800)
    assert needed(model="small", windows=32)[1] == 4400
    assert needed(model="turbo") == needed(model="large-v3-turbo") < needed(model="large-v3")
    assert needed(model="small", precision="float32")[1] == 5600
    assert needed(model="/models/mine.pt") == (4000, 5000)


def test_overhead_over_the_bare_model(reciting, studio, monkeypatch):
    """What the operator adds to the recogniser on the same full batch: gates, windows, times."""
    clips = [studio.clip(studio.noise(25, seed=seed), speech_spans=[[0.0, 12.0], [13.0, 25.0]]) for seed in range(8)]
    calls, sizes = Calls(), []
    hear = calls.timed(reciting._recogniser.hear)

    def counted(sounds):
        sizes.append(len(sounds))
        return hear(sounds)

    monkeypatch.setattr(reciting._recogniser, "hear", counted)
    assert overhead(lambda _: clips, reciting.annotate, calls) <= CEILING
    assert set(sizes) == {8}


def test_real_speech(reciting, guessing, studio, shared_media):
    (clip,) = SoundMeasures()([studio.clip(studio.decode(shared_media / "speech_jfk.flac"))])
    (row,) = rows_of(reciting, [clip])
    assert row["transcript"] == TEXT
    assert all(clip["speech_spans"][0][0] - 0.2 <= word["start"] for word in row["words"])
    assert rows_of(guessing, [clip]) == rows_of(guessing, [clip])
