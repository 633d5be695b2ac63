from __future__ import annotations

import re
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pocketsphinx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.language.letters import NAMES, RULES, guessed, spelled

PHONES = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()  # noqa: SIM905
)


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("blip", "B L IH P"),
        ("nation", "N EY SH AH N"),
        ("phone", "F OW N"),
        ("knight", "N AY T"),
        ("queen", "K W IY N"),
        ("little", "L IH T AH L"),
        ("jumped", "JH AH M P T"),
        ("skated", "S K EY T IH D"),
        ("", ""),
        ("ж1", ""),
    ],
)
def test_regular_words(word, phones):
    assert guessed(word) == tuple(phones.split())


def test_letters_are_spelled_out():
    assert spelled("abc") == ("EY", "B", "IY", "S", "IY")
    assert all(set(name.split()) <= PHONES for name in NAMES.values())


def test_rules_give_phones_of_the_model():
    assert set(re.findall(r"[A-Z]+", RULES)) <= PHONES


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30))
def test_every_word_gives_phones_of_the_model_only(word):
    assert set(guessed(word)) <= PHONES
    assert len(guessed(word)) <= 2 * len(word) + 3


def test_four_phones_in_five_are_right():
    dictionary: dict[str, list[list[str]]] = {}
    with (Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict").open(encoding="utf-8") as lines:
        for line in lines:
            word, *phones = line.split()
            if (base := word.partition("(")[0]).isalpha() and base.isascii() and len(base) > 2:
                dictionary.setdefault(base, []).append(phones)
    right = total = 0
    for word in np.random.default_rng(2).choice(sorted(dictionary), 1000, replace=False):
        guess = list(guessed(str(word)))
        matches = [
            (
                sum(block.size for block in SequenceMatcher(None, phones, guess, False).get_matching_blocks()),
                len(phones),
            )
            for phones in dictionary[str(word)]
        ]
        best = max(matches, key=lambda match: match[0] / match[1])
        right, total = right + best[0], total + best[1]
    assert right / total >= 0.8
