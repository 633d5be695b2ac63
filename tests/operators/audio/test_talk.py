from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from operators.audio import talk
from operators.audio.diarization import Turn
from operators.audio.tags import AudioTags
from operators.audio.talk import TalkGates, other_voices, speech_snr

WORDS = [{"word": "hello", "start": 0.1, "end": 0.5, "confidence": 0.9}] * 3


def judged(clip: dict, **settings) -> dict:
    operator = TalkGates(TalkGates.Settings(**settings))
    operator.setup()
    [row] = operator([clip])
    assert row["error"] is None
    pa.Table.from_pylist([{name: row[name] for name in operator.writes.names}], schema=operator.writes)
    return row


@pytest.fixture(scope="module")
def voice(studio) -> np.ndarray:
    """Two phrases with pauses before, between and after."""
    pause = studio.silence(0.7)
    return np.concatenate([pause, studio.voice(2, 110), pause, studio.voice(1.5, 130, seed=5), pause])


@pytest.fixture(scope="module")
def clip(studio, voice) -> dict:
    [row] = AudioTags()([studio.clip(voice + studio.noise(len(voice) / 16_000, 0.0005))])
    return {**row, "words": WORDS, "transcript": "hello hello hello", "language": "en"}


def test_clean_speech_is_kept(clip):
    row = judged(clip)
    assert row["drop_reason"] is None
    assert row["speech_snr"] > 30
    assert row["diarization"] is None


@pytest.mark.parametrize("decibels", [20, 15, 10, 5])
def test_the_measure_follows_the_noise(studio, voice, decibels):
    """Speech here pauses for a third of the time, and fills its own noise floor: a few dB more than was mixed."""
    spans = [[0.7, 2.7], [3.4, 4.9]]
    power = np.concatenate([voice[int(a * 16_000) : int(b * 16_000)] for a, b in spans])
    noise = studio.noise(len(voice) / 16_000, np.sqrt((power**2).mean()) * 10 ** (-decibels / 20))
    snr = speech_snr(studio.samples(voice + noise), spans)
    assert snr == pytest.approx(decibels, abs=3)


def test_noisy_speech_is_dropped(studio, voice, clip):
    [noisy] = AudioTags()([studio.clip(voice + studio.noise(len(voice) / 16_000, 0.1))])
    row = judged({**noisy, "speech_spans": clip["speech_spans"], "words": WORDS, "transcript": "x", "language": None})
    assert row["drop_reason"] == "noisy"
    assert judged({**noisy, "speech_spans": clip["speech_spans"], "words": WORDS}, min_snr_db=0)["drop_reason"] is None


@pytest.mark.parametrize(
    ("words", "transcript", "least", "reason"),
    [
        (None, None, 1, "no_words"),
        ([], None, 1, "no_words"),
        (WORDS, "x", 4, "no_words"),
        (WORDS, "x", 3, None),
        (None, "words that could not be aligned", 5, None),
        (None, None, 0, None),
    ],
)
def test_clips_with_too_few_words_are_dropped(clip, words, transcript, least, reason):
    row = judged({**clip, "words": words, "transcript": transcript}, min_words=least)
    assert row["drop_reason"] == reason
    assert row["speech_snr"] is not None


@pytest.mark.parametrize(
    ("language", "wanted", "reason"),
    [
        ("en", (), None),
        ("de", (), None),
        ("en-US", ("en",), None),
        ("EN", ("en",), None),
        (None, ("en",), None),
        ("de", ("en", "fr"), "language"),
        ("en", ("en-GB",), "language"),
        ("eng", ("en",), "language"),
    ],
)
def test_clips_in_another_language_are_dropped(clip, language, wanted, reason):
    assert judged({**clip, "language": language}, languages=wanted)["drop_reason"] == reason


def test_sound_without_voices_has_no_measure(studio):
    for sound in (None, studio.silence(1), studio.silence(0.01)):
        row = judged({**studio.clip(sound), "speech_spans": [], "words": WORDS, "transcript": "x"})
        assert (row["speech_snr"], row["drop_reason"]) == (None, None)


def test_digital_silence_is_no_noise_floor(studio, voice):
    noise = studio.noise(len(voice) / 16_000, 0.05)
    spans = [[0.7, 2.7], [3.4, 4.9]]
    padded = np.concatenate([studio.silence(5), voice + noise])
    moved = [[start + 5, end + 5] for start, end in spans]
    assert speech_snr(studio.samples(padded), moved) == pytest.approx(
        speech_snr(studio.samples(voice + noise), spans), abs=0.1
    )


def test_share_of_other_voices():
    assert other_voices([]) == 0
    assert other_voices([Turn("a", 0, 3), Turn("b", 3, 4), Turn("a", 4, 5)]) == pytest.approx(0.2)


@pytest.mark.parametrize(("other", "reason"), [(1.0, None), (4.0, "several_voices")])
def test_clips_of_several_voices_are_dropped_where_a_diarizer_is_named(clip, monkeypatch, other, reason):
    class Heard:
        """Stands where the user's pipeline would: it needs models that Rushes does not have."""

        def __init__(self, pipeline: str, device: str) -> None:
            assert pipeline == "pipeline"

        def __call__(self, samples: np.ndarray) -> list[Turn]:
            return [Turn("SPEAKER_00", 0.0, 5.0), Turn("SPEAKER_01", 5.0, 5.0 + other)]

    monkeypatch.setattr(talk, "Diarizer", Heard)
    row = judged(clip, diarizer="pipeline")
    assert row["drop_reason"] == reason
    assert [turn["speaker"] for turn in row["diarization"]] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize("languages", [("",), ("en us",), ("ü",), ("-",)])
def test_languages_must_be_tags(languages):
    with pytest.raises(ValidationError, match="BCP 47"):
        TalkGates.Settings(languages=languages)
