from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.language.pronunciation import LONGEST_TOKEN, cardinal, phones_of, pronounced, spoken

DICTIONARY = {
    "tube": "T UW B", "you": "Y UW", "live": "L AY V", "stream": "S T R IY M", "follow": "F AA L OW",
    "box": "B AA K S", "cat": "K AE T", "dog": "D AO G", "walk": "W AO K", "need": "N IY D", "hope": "HH OW P",
    "run": "R AH N", "nineteen": "N AY N T IY N", "sixty": "S IH K S T IY", "one": "W AH N", "cafe": "K AH F EY",
}  # fmt: skip


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("Americans,", "americans"),
        ("don’t", "don't"),
        ("“Hello!”", "hello"),
        ("café-bar", "cafe bar"),
        ("ﬁrst", "first"),
        ("1961", "nineteen sixty one"),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2005", "two thousand five"),
        ("1990s", "nineteen nineties"),
        ("1,961", "one thousand nine hundred sixty one"),
        ("3rd", "third"),
        ("21st", "twenty first"),
        ("40th", "fortieth"),
        ("007", "zero zero seven"),
        ("3.14", "three point one four"),
        ("$5", "five dollars"),
        ("50%", "fifty percent"),
        ("Q&A", "q and a"),
        ("9:30", "nine thirty"),
        ("COVID-19", "covid nineteen"),
        ("5km", "five km"),
        ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
        ("🎉", ""),
        ("—", ""),
        ("''", ""),
        ("привет", ""),
        ("مرحبا", ""),
        ("你好", ""),
        ("٣", ""),
        ("", ""),
        ("a" * (LONGEST_TOKEN + 1), ""),
        ("9" * 100_000, ""),
    ],
)
def test_what_is_said_for_a_token(token, words):
    assert spoken(token) == tuple(words.split())


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (70, "seventy"),
        (100, "one hundred"),
        (999, "nine hundred ninety nine"),
        (1_000_001, "one million one"),
        (12_000_000_345, "twelve billion three hundred forty five"),
    ],
)
def test_numbers(number, words):
    assert cardinal(number) == words.split()


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("cats", "K AE T S"),
        ("dogs", "D AO G Z"),
        ("box's", "B AA K S IH Z"),
        ("livestream", "L AY V S T R IY M"),
        ("walked", "W AO K T"),
        ("needed", "N IY D IH D"),
        ("hoping", "HH OW P IH NG"),
        ("running", "R AH N IH NG"),
        ("followless", "F AA L OW L AH S"),
        ("xkcd", "EH K S K EY S IY D IY"),
        ("blip", "B L IH P"),
    ],
)
def test_words_that_the_dictionary_lacks(word, phones):
    assert phones_of(word, DICTIONARY.get) == tuple(phones.split())


def test_acronyms_are_spelled_out_where_they_are_written_as_such():
    assert pronounced("UAE", DICTIONARY.get) == [("uae", ("Y", "UW", "EY", "IY"))]
    assert pronounced("Uae", DICTIONARY.get) != pronounced("UAE", DICTIONARY.get)
    assert pronounced("CAT", DICTIONARY.get) == [("cat", None)]


def test_a_token_may_be_several_words():
    assert pronounced("1961", DICTIONARY.get) == [("nineteen", None), ("sixty", None), ("one", None)]


@given(st.text(max_size=60))
def test_any_text_can_be_asked_for(text):
    for word in spoken(text):
        assert word.isascii()
        assert set(word) <= set("abcdefghijklmnopqrstuvwxyz'")
    for _, phones in pronounced(text, DICTIONARY.get):
        assert phones is None or phones
