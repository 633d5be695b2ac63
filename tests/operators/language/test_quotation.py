"""Untrusted text on one line, in balanced quotes, within bounds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.language.quotation import one_line, quoted, sentences, shortened


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=200))
def test_one_line_is_printable_and_settled(text: str):
    line = one_line(text)
    assert line == one_line(line)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in line)
    assert not set(line) & set('"“”„«»')


@settings(deadline=None, max_examples=300)
@given(text=st.text(max_size=200), words=st.integers(1, 20), characters=st.integers(1, 100))
def test_a_quotation_is_bounded_and_balanced(text: str, words: int, characters: int):
    quotation = quoted(text, words=words, characters=characters)
    if not quotation:
        assert not any(char.isalnum() for char in one_line(text))
        return
    assert quotation[0] == "“"
    assert quotation[-1] == "”"
    assert not set(quotation[1:-1]) & set("“”")
    assert len(quotation) <= characters + 3
    assert len(quotation.split()) <= words


@pytest.mark.parametrize(
    ("text", "quotation"),
    [
        ("Ask not.", "“Ask not”"),
        ('she said "no"', "“she said ’no’”"),
        ("one two three four", "“one two three…”"),
        ("…!?", ""),
        ("", ""),
    ],
)
def test_quotations(text: str, quotation: str):
    assert quoted(text, words=3, characters=80) == quotation


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one. two! three?", ["One.", "Two!", "Three?"]),
        ("no stop", ["No stop."]),
        ("at 23.976 frames. then", ["At 23.976 frames.", "Then."]),
        ("一句。两句", ["一句.", "两句."]),
        (" ... ", []),
        ("a,b;", ["A,b."]),
    ],
)
def test_sentences_are_parted_and_closed(text: str, found: list[str]):
    assert sentences(text) == found


def test_shortening_marks_only_what_was_cut():
    assert shortened("one two", words=2, characters=80) == "one two"
    assert shortened("one, two", words=1, characters=80) == "one…"
    assert shortened("abcdef", words=5, characters=3) == "abc…"
