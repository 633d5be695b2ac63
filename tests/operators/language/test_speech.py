"""Words, their times and their confidence; what was decoded before never matters."""

from __future__ import annotations

import difflib
import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from operators.audio.tags import AudioTags
from operators.errors import ErrorKind
from operators.language.speech import MARGIN, Speech, utterances

_STUDIO = Path(__file__).parents[1] / "audio" / "conftest.py"
JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"


@pytest.fixture(scope="module")
def studio():
    spec = importlib.util.spec_from_file_location("studio", _STUDIO)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Studio()


@pytest.fixture(scope="module")
def speech() -> Speech:
    operator = Speech()
    operator.setup()
    return operator


@pytest.fixture(scope="module")
def voices(studio) -> list[dict]:
    """Three short clips of made voices, one with a pause, one over music."""
    low, high = studio.voice(1.5, 110), studio.voice(1, 190, seed=5)
    sounds = [np.concatenate([low, studio.silence(0.7), high]), high, studio.mixed(low, studio.chords(1.5), 10)]
    return list(AudioTags()(studio.clip(sound) for sound in sounds))


def test_words_lie_in_the_spans_of_voice_activity(speech, voices):
    for clip in speech(voices):
        assert clip["error"] is None
        assert clip["words"]
        assert clip["transcript"] == " ".join(word["word"] for word in clip["words"])
        assert clip["transcript_quality"] == "low"
        assert clip["language"] is None
        starts = [word["start"] for word in clip["words"]]
        assert starts == sorted(starts)
        for word in clip["words"]:
            assert word["start"] < word["end"] <= clip["clip_duration"] + 0.01
            assert 0 <= word["confidence"] <= 1
            assert not set(word["word"]) & set("<>[]()+")
            assert any(
                start - MARGIN - 0.01 <= word["start"] and word["end"] <= end + MARGIN + 0.02
                for start, end in clip["speech_spans"]
            )


def test_rows_fit_their_columns(speech, voices):
    rows = [{name: row[name] for name in speech.writes.names} for row in speech(voices)]
    assert pa.Table.from_pylist(rows, schema=speech.writes).num_rows == 3


def test_order_and_history_do_not_matter(speech, voices):
    alone = {id(clip): speech.annotate([clip])[0] for clip in voices}
    for order in (voices, voices[::-1]):
        assert speech.annotate(order) == [alone[id(clip)] for clip in order]
    fresh = Speech()
    fresh.setup()
    assert fresh.annotate([voices[1]]) == [alone[id(voices[1])]]


@pytest.mark.parametrize("spans", [None, []])
def test_without_voice_activity_there_is_no_transcript(speech, studio, spans):
    (clip,) = speech([studio.clip(studio.voice(1), speech_spans=spans)])
    assert [clip[name] for name in speech.writes.names] == [None] * 4
    assert clip["error"] is None


def test_without_audio_there_is_no_transcript(speech, studio):
    (clip,) = speech([studio.clip(None, speech_spans=None)])
    assert clip["transcript"] is None
    assert clip["words"] is None


def test_sound_that_holds_no_word_is_no_error(speech, studio):
    (clip,) = speech([studio.clip(studio.silence(0.05), speech_spans=[[0.0, 0.05]])])
    assert clip["error"] is None
    assert clip["words"] == []
    assert clip["transcript"] is None


def test_half_a_sample_fails_its_clip_only(speech, studio, voices):
    broken = {**studio.clip(studio.silence(1), speech_spans=[[0.0, 1.0]]), "audio": b"abc"}
    good, bad = speech([voices[1], broken])
    assert good["error"] is None
    assert bad["error"]["kind"] == ErrorKind.BAD_OUTPUT


def test_the_limit_bounds_what_is_decoded(studio, voices):
    operator = Speech(Speech.Settings(max_seconds=1))
    operator.setup()
    (clip,) = operator([voices[0]])
    assert clip["error"] is None
    assert all(word["end"] <= voices[0]["speech_spans"][0][0] + 1 + MARGIN + 0.02 for word in clip["words"])


@pytest.mark.parametrize(
    ("spans", "budget", "expected"),
    [
        ([(1, 2), (4, 5)], 60, [(0.8, 2.2), (3.8, 5.2)]),
        ([(0.1, 2), (2.3, 3)], 60, [(0, 3.2)]),
        ([(1, 5), (7, 9)], 3, [(0.8, 4.2)]),
        ([(1, 5), (7, 9)], 5, [(0.8, 5.2), (6.8, 8.2)]),
        ([], 60, []),
    ],
)
def test_spans_become_utterances(spans, budget, expected):
    assert np.allclose(utterances(spans, budget), expected)


def test_an_operator_can_be_sent_to_a_worker():
    operator = pickle.loads(pickle.dumps(Speech(Speech.Settings(max_seconds=7))))
    assert operator.settings.max_seconds == 7


def matched(words: Sequence[str], reference: Sequence[str]) -> int:
    """Words of the reference that were found, in order."""
    return sum(
        block.size for block in difflib.SequenceMatcher(None, reference, words, autojunk=False).get_matching_blocks()
    )


def test_a_clean_recording(speech, studio, shared_media):
    (clip,) = AudioTags()([studio.clip(studio.decode(shared_media / "speech_jfk.flac"))])
    (clip,) = speech([clip])
    words = clip["transcript"].split()
    assert matched(words, JFK.split()) >= 15
    americans = next(word for word in clip["words"] if word["word"].startswith("america"))
    assert americans["start"] == pytest.approx(1.6, abs=0.3)
