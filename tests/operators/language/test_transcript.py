from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.language.transcript import EDGE, MOST, bare, cleaned, transcript_of, written_words


def clip(transcript, start=10.0, end=20.0, duration=60.0, **extra):
    return {
        "clip_start_end_time": [start, end],
        "video_duration": duration,
        "extra": json.dumps({"transcript": transcript, **extra}),
    }


SEGMENTS = [
    {"start": 0.0, "end": 9.0, "text": "before"},
    {"start": 9.0, "end": 12.0, "text": "over the edge"},
    {"start": 12.5, "end": 15.0, "text": "inside it"},
    {"start": 30, "end": 31, "text": "after"},
]


def test_passages_of_the_clip_count_from_its_start():
    transcript = transcript_of(clip(SEGMENTS))
    assert transcript is not None and transcript.timed and not transcript.complete
    assert [(p.text, p.start, p.end) for p in transcript.passages] == [
        ("over the edge", -1.0, 2.0),
        ("inside it", 2.5, 5.0),
    ]
    assert [p.text for p in transcript.within(10.0)] == ["inside it"]
    assert transcript.text == "over the edge inside it"


def test_a_passage_may_reach_over_the_edge_a_little():
    transcript = transcript_of(clip([{"start": 10 - EDGE / 2, "end": 20 + EDGE / 2, "text": "all of it"}]))
    assert transcript is not None and transcript.complete


def test_a_timed_transcript_may_say_that_nobody_speaks():
    transcript = transcript_of(clip(SEGMENTS, start=40.0, end=50.0))
    assert transcript is not None and transcript.complete
    assert transcript.passages == ()


@pytest.mark.parametrize(("end", "complete"), [(60.0, True), (58.0, True), (50.0, False)])
def test_text_without_times_is_the_clip_s_only_where_the_clip_is_the_video(end, complete):
    transcript = transcript_of(clip("All of the talk.", start=0.0, end=end))
    assert transcript is not None and not transcript.timed
    assert transcript.complete is complete
    [passage] = transcript.passages
    assert (passage.start, passage.end) == (0.0, 60.0)


def test_a_csv_gives_its_segments_as_text_and_whisper_in_a_dictionary():
    for given_ in (json.dumps(SEGMENTS), {"segments": SEGMENTS, "text": "before"}, json.dumps({"segments": SEGMENTS})):
        assert transcript_of(clip(given_)) == transcript_of(clip(SEGMENTS))


def test_words_may_be_timed_each():
    transcript = transcript_of(
        clip([{"word": "So,", "start": 11, "end": 11.5}, {"word": "then", "start": 11.6, "end": 12}])
    )
    assert transcript is not None and transcript.word_by_word
    more = transcript_of(clip(SEGMENTS))
    assert more is not None and not more.word_by_word


@pytest.mark.parametrize(
    ("tag", "language"), [("en", "en"), ("pt-BR", "pt-BR"), ("E N", None), (5, None), ("<b>", None)]
)
def test_the_language_is_the_manifest_s(tag, language):
    transcript = transcript_of(clip("text", language=tag))
    assert transcript is not None and transcript.language == language


@pytest.mark.parametrize("extra", [None, "", "not JSON", "[]", "5", '{"other": 1}', "[" * 100_000])
def test_without_a_transcript_there_is_none(extra):
    assert transcript_of({"clip_start_end_time": [0, 1], "video_duration": 1, "extra": extra}) is None


@pytest.mark.parametrize(
    "given_",
    [
        None, "", "  ", 5, True, [], {}, [1, "a", None], [{"text": "x"}], [{"text": 5, "start": 0, "end": 1}],
        [{"text": "x", "start": "0", "end": 1}], [{"text": "x", "start": 2, "end": 1}], "[Music]", "\u202e\u200b",
        [{"text": "x", "start": -5, "end": 1}], [{"text": "x", "start": True, "end": 1e300}],
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_transcript(given_):
    assert transcript_of(clip(given_)) is None


def test_broken_items_do_not_spoil_the_others():
    transcript = transcript_of(clip([None, {"start": 0}, *SEGMENTS, {"text": "x", "start": 11, "end": float("nan")}]))
    assert transcript == transcript_of(clip(SEGMENTS))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("one\ttwo\r\nthree\x00four", "one two three four"),
        ("a\u202eb\u200bc\ufeff", "abc"),
        ("e\u0301", "é"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("Yes. (Laughter) No. [Applause] ♪ la ♪ <i>so</i>", "Yes. No. la so"),
        (">> MAN: Hello.\nSpeaker 2: Bye.\nChris Anderson: Note: this stays", "Hello. Bye. Note: this stays"),
        ("at 9:30 I left", "at 9:30 I left"),
        ("مرحبا بالعالم", "مرحبا بالعالم"),
        ("two (2) cats (that were, as we saw, most of them quite asleep by the time we came home)",
         "two cats (that were, as we saw, most of them quite asleep by the time we came home)"),
    ],
)  # fmt: skip
def test_text_is_made_harmless(text, clean):
    assert cleaned(text) == clean


def test_long_texts_are_cut():
    transcript = transcript_of(clip("word " * 400_000))
    assert transcript is not None and len(transcript.text) <= MOST
    many = transcript_of(clip([{"text": "word " * 10_000, "start": 11, "end": 12}] * 50))
    assert many is not None and len(many.text) <= MOST + 50


def test_words_are_parted_from_their_punctuation():
    words = written_words("“So,” he said — $5 — don't… 🎉 (it's 50%)")
    assert [bare(word) for word in words] == ["So", "he", "said", "$5", "don't", "it's", "50%"]


@given(st.text(max_size=200))
def test_any_text_can_be_read(text):
    clean = cleaned(text)
    assert clean.isprintable()
    clean.encode()
    assert all(bare(word) for word in written_words(clean))


@pytest.mark.parametrize("piece", ["\n", " ", "[", "(((", "A", ">", "A B:\n", "<i", "\u0301", "👩‍🚀"])
def test_hostile_texts_take_no_time(piece):
    transcript_of(clip(piece * (MOST // len(piece))))
