"""Sentences about music read well and say what the numbers say."""

from __future__ import annotations

import itertools
import re

import pytest

from operators.audio.music_words import Passage, clock, describe, voices

PLAIN = Passage(
    tempo=None,
    clarity=0.0,
    key=None,
    loudness=-25,
    rise=0,
    centroid=1500,
    sustained=1,
    voiced=False,
    between_voices=True,
)


def passage(**facts) -> Passage:
    return Passage(**{**vars(PLAIN), **facts})


def test_nothing_but_music():
    assert describe(PLAIN) == "Music plays at an even level."


def test_everything():
    full = passage(
        tempo=72.4, clarity=0.5, key="A minor", loudness=-40, rise=6, centroid=500, sustained=4, voiced=True
    )
    assert describe(full) == (
        "Between the voices, slow, quiet music in A minor with a strong beat, sustained notes and a dark tone plays "
        "at about 72 beats per minute, growing louder."
    )


@pytest.mark.parametrize(
    ("tempo", "word"), [(60, "Slow"), (75.9, "Slow"), (76, "Mid-tempo"), (119, "Mid-tempo"), (120, "Fast")]
)
def test_pace(tempo, word):
    assert describe(passage(tempo=tempo)).startswith(f"{word} music")


def test_voices_over_it():
    assert describe(passage(voiced=True, between_voices=False, rise=-9)) == "Under a voice, music plays, fading."


def test_every_sentence_is_well_formed():
    facts = itertools.product(
        (None, 60.0, 130.0), (0.1, 0.6), (None, "Eb major"), (-10, -25, -50), (-9, 0, 9), (300, 1500, 3000), (1, 4),
        (False, True),
    )  # fmt: skip
    names = ("tempo", "clarity", "key", "loudness", "rise", "centroid", "sustained", "voiced")
    for values in facts:
        text = describe(passage(**dict(zip(names, values, strict=True))))
        assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,#-]+\.", text)
        assert "  " not in text
        assert ",," not in text
        assert " ," not in text
        assert text.lower().count("music") == text.count(" plays") == 1


def test_voices():
    assert voices(0, 8) is None
    assert voices(0.04, 8) is None
    assert voices(3.21, 8) == "A voice is heard over about half of the music."
    assert voices(8.01, 8) == "A voice is heard over all of the music."


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (9.6, "0:10"), (60, "1:00"), (3605, "60:05")])
def test_clock(seconds, text):
    assert clock(seconds) == text
