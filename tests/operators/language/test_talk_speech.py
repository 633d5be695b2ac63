from __future__ import annotations

import json
import pickle
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from operators.audio.tags import AudioTags
from operators.errors import ErrorKind
from operators.language.talk_speech import ALIGNER_MB, TalkSpeech, WhisperTalkSettings, WhisperTalkSpeech
from operators.language.whisper_speech import WhisperSettings, WhisperSpeech
from tests.operators.language.spoken_words import RATE, WORDS, assembled, clip_of, recording

ORDER = [str(word) for word in np.random.default_rng(11).permutation(WORDS)[:10]]
GAPS = [0.1, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.1, 0.3]
TEXT = ", ".join(ORDER).capitalize() + "."
SOUND, EDGES = assembled(ORDER, GAPS)
SHORT, _ = assembled(ORDER[:2], [0.1, 0.1])
OTHER = "The ship was loaded with copper and coal before the storm came in from the west that evening."


@pytest.fixture(scope="module")
def speech() -> TalkSpeech:
    operator = TalkSpeech()
    operator.setup()
    return operator


def heard(operator, transcript=None, sound=SOUND, language=None, **row) -> dict:
    extra = {} if transcript is None else {"transcript": transcript}
    clip = clip_of(sound, **row) | {"extra": json.dumps(extra | ({"language": language} if language else {}))}
    [clip] = AudioTags()([clip])
    [result] = operator([clip])
    return result


def assert_aligned(row: dict, order=ORDER, edges=EDGES) -> None:
    assert row["error"] is None
    assert [word["word"].lower() for word in row["words"]] == order
    errors = [abs(word["start"] - edge[0]) for word, edge in zip(row["words"], edges, strict=True)]
    errors += [abs(word["end"] - edge[1]) for word, edge in zip(row["words"], edges, strict=True)]
    assert np.median(errors) <= 0.04


def test_the_manifest_s_transcript_is_taken_and_aligned(speech):
    row = heard(speech, TEXT, language="en-GB")
    assert_aligned(row)
    assert row["transcript"] == TEXT
    assert row["transcript_quality"] == "given"
    assert row["language"] == "en-GB"
    assert {word["confidence"] for word in row["words"]} == {None}
    assert {row["provenance"][name] for name in speech.writes.names} == {"speech/1@manifest"}
    table = pa.Table.from_pylist([{name: row[name] for name in speech.writes.names}], schema=speech.writes)
    assert table.num_rows == 1


def test_passages_with_times_are_those_of_the_clip(speech):
    passages = [
        {"start": 80.0, "end": 99.0, "text": OTHER},
        {"start": 100.0 + EDGES[0][0], "end": 100.0 + EDGES[4][1], "text": " ".join(ORDER[:5])},
        {"start": 100.0 + EDGES[5][0], "end": 100.0 + EDGES[9][1], "text": " ".join(ORDER[5:])},
        {"start": 150.0, "end": 160.0, "text": OTHER},
    ]
    times = [100.0, 100.0 + len(SOUND) / RATE]
    row = heard(speech, passages, clip_start_end_time=times, video_duration=200.0)
    assert_aligned(row)
    assert row["transcript"] == " ".join(ORDER)


def test_of_a_passage_over_the_edge_only_what_is_spoken_in_the_clip(speech):
    cut = round((EDGES[3][1] + EDGES[4][0]) / 2 * RATE)
    sound, start = SOUND[cut:], 100.0 + cut / RATE
    passages = [{"start": 100.0, "end": 100.0 + len(SOUND) / RATE, "text": TEXT}]
    times = [start, start + len(sound) / RATE]
    row = heard(speech, passages, sound=sound, clip_start_end_time=times, video_duration=200.0)
    assert_aligned(row, ORDER[4:], [(a - cut / RATE, b - cut / RATE) for a, b in EDGES[4:]])
    assert row["transcript"].split()[0] == ORDER[4] + ","


def test_text_without_times_is_found_where_the_clip_is_a_part_of_the_video(speech):
    row = heard(speech, f"{OTHER} {TEXT} {OTHER}", clip_start_end_time=[50.0, 60.0], video_duration=120.0)
    assert_aligned(row)
    assert row["transcript_quality"] == "given"


def test_text_without_times_that_is_not_spoken_in_the_clip_is_left(speech):
    row = heard(speech, OTHER, sound=SHORT, clip_start_end_time=[50.0, 52.0], video_duration=120.0)
    assert row["error"] is None
    assert row["transcript_quality"] == "low"
    assert row["words"]


def test_a_wrong_transcript_keeps_the_clip_without_words(speech):
    row = heard(speech, OTHER)
    assert row["error"] is None
    assert (row["transcript"], row["words"], row["transcript_quality"]) == (OTHER, None, "given")


def test_a_transcript_in_another_language_is_not_aligned(speech):
    row = heard(speech, "Und nun, liebe Freunde.", language="de")
    assert (row["transcript"], row["words"]) == ("Und nun, liebe Freunde.", None)
    assert (row["transcript_quality"], row["language"]) == ("given", "de")


def test_words_that_the_manifest_times_keep_their_times_where_they_cannot_be_aligned(speech):
    words = [{"word": "Hallo,", "start": 9.9, "end": 10.5}, {"word": "Welt!", "start": 10.6, "end": 11.0}]
    row = heard(speech, words, language="de", clip_start_end_time=[10.0, 20.0], video_duration=60.0)
    assert [word["word"] for word in row["words"]] == ["Hallo", "Welt"]
    assert [(word["start"], word["end"]) for word in row["words"]] == [(0.0, 0.5), pytest.approx((0.6, 1.0))]


def test_a_timed_transcript_may_say_that_nobody_speaks(speech):
    row = heard(speech, [{"start": 0, "end": 5, "text": OTHER}], clip_start_end_time=[50.0, 60.0], video_duration=99.0)
    assert (row["transcript"], row["words"], row["transcript_quality"]) == (None, [], "given")


def test_without_a_transcript_the_recogniser_is_heard_with_aligned_words(speech):
    row = heard(speech)
    assert row["transcript_quality"] == "low"
    assert [word["word"] for word in row["words"]] == row["transcript"].split()
    assert all(0 <= word["confidence"] <= 1 for word in row["words"])
    assert all(first["end"] <= second["start"] + 1e-6 for first, second in pairwise(row["words"]))


def test_order_batch_and_history_do_not_matter(speech):
    [plain] = AudioTags()([clip_of(SHORT)])
    other, given = (
        plain | {"extra": json.dumps({"transcript": text})} for text in ("frimple zorblat", " ".join(ORDER[:2]))
    )
    clips = [plain, other, given]
    fresh = TalkSpeech()
    fresh.setup()
    alone = [fresh.annotate([clip])[0] for clip in clips]
    assert speech.annotate(clips[::-1]) == alone[::-1]


@pytest.mark.parametrize("sound", [np.zeros(0, np.int16), np.zeros(400, np.int16), np.zeros(RATE, np.int16)])
@pytest.mark.parametrize("transcript", [None, "hello there", [{"start": 0, "end": 0.02, "text": "hello there"}]])
def test_sound_without_words_is_no_error(speech, sound, transcript):
    row = heard(speech, transcript, sound=sound, clip_duration=1.0, video_duration=1.0, clip_start_end_time=[0.0, 1.0])
    assert row["error"] is None
    assert not row["words"]


@pytest.mark.parametrize(
    "transcript",
    ["\x00\x07", "مرحبا بالعالم", "🎉" * 1000, "9" * 100_000, "a" * 1_000_000, "word " * 3_000, "<sil> [NOISE] </s>",
     "it's " * 300, "(2) the(2) ++BREATH++", "$" * 500, "'" * 500,
     [{"start": 0, "end": 9, "text": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 " * 50}]],
)  # fmt: skip
def test_hostile_transcripts_fail_no_clip(speech, transcript):
    row = heard(speech, transcript, sound=SHORT)
    assert row["error"] is None
    pa.Table.from_pylist([{name: row[name] for name in speech.writes.names}], schema=speech.writes)


def test_half_a_sample_fails_its_clip(speech):
    [clip] = AudioTags()([clip_of(SHORT, extra=json.dumps({"transcript": " ".join(ORDER[:2])}))])
    good, bad = speech([clip, {**clip, "audio": b"abc"}])
    assert good["error"] is None
    assert bad["error"]["kind"] == ErrorKind.BAD_OUTPUT


def test_more_sound_than_the_limit_is_not_aligned(speech):
    operator = TalkSpeech(TalkSpeech.Settings(max_seconds=2))
    operator.setup()
    row = heard(operator, TEXT)
    assert (row["transcript"], row["words"], row["error"]) == (TEXT, None, None)


def test_whisper_takes_the_recogniser_s_place():
    operator = WhisperTalkSpeech(WhisperTalkSettings(model="small.en"))
    assert (operator.name, operator.reads) == (TalkSpeech.name, TalkSpeech.reads)
    plain = WhisperSpeech(WhisperSettings(model="small.en"))
    assert operator.resources.memory_mb == plain.resources.memory_mb + ALIGNER_MB
    assert pickle.loads(pickle.dumps(operator)).settings == operator.settings


def test_whisper_s_words_are_aligned(tmp_path):
    pytest.importorskip("whisper")
    from tests.tiny.whisper import write_reciting_whisper

    path = write_reciting_whisper(tmp_path / "reciting.pt", " ".join(ORDER))
    operator = WhisperTalkSpeech(WhisperTalkSettings(model=str(path), device="cpu"))
    operator.setup()
    row = heard(operator)
    assert_aligned(row)
    assert (row["transcript_quality"], row["language"]) == ("high", "en")
    assert all(0 <= word["confidence"] <= 1 for word in row["words"])
    assert heard(operator, TEXT)["transcript_quality"] == "given"


def test_a_known_recording(speech, shared_media):
    text = (
        "And so, my fellow Americans, ask not what your country can do for you — "
        "ask what you can do for your country."
    )  # fmt: skip
    row = heard(speech, text, sound=recording(shared_media / "speech_jfk.flac"))
    assert len(row["words"]) == 22
    assert row["transcript"] == text
    starts = [word["start"] for word in row["words"]]
    assert starts == sorted(starts)


def test_gesture_clips_have_words(speech, shared_media):
    oliver, conan = (recording(shared_media / name) for name in ("gesture_oliver.mp4", "gesture_conan.mp4"))
    assert np.array_equal(oliver, conan)
    assert len(heard(speech, sound=oliver)["words"]) > 10
