"""Untrusted text made safe to stand in a caption: one line, no control characters, balanced quotes."""

from __future__ import annotations

import re
import unicodedata

_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, direction marks, surrogates, private, line breaks
_DOUBLE_QUOTES = dict.fromkeys(map(ord, '"“”„‟«»″〝〞〟＂❝❞「」『』'), "’")
_STOPS = ".!?…。！？"
_BETWEEN = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
ELLIPSIS = "…"


def one_line(text: str) -> str:
    """The text in NFC on one line: unseen characters become spaces, runs of space become one.

    Double quotation marks of every kind become ’, so that only `quoted` opens and closes quotations.
    """
    plain = unicodedata.normalize("NFC", text)
    if not plain.isprintable():
        plain = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in plain)
    return " ".join(plain.split()).translate(_DOUBLE_QUOTES)


def shortened(text: str, *, words: int, characters: int) -> str:
    """The text's first words, at most so many words and characters, with an ellipsis where cut."""
    kept = " ".join(text.split()[:words])[:characters].rstrip()
    return kept if kept == text else kept.rstrip(_STOPS + ",;:") + ELLIPSIS


def quoted(text: str, *, words: int, characters: int) -> str:
    """The text as a quotation in “ and ”, which occur nowhere inside; "" where nothing legible is left."""
    plain = one_line(text)
    if not any(char.isalnum() for char in plain):
        return ""
    return f"“{shortened(plain, words=words, characters=characters).rstrip('.')}”"


def sentences(text: str) -> list[str]:
    """The sentences of a text that was brought to one line, each with a full stop at its end."""
    found = [part.strip() for part in _BETWEEN.split(one_line(text))]
    return [_closed(part) for part in found if any(char.isalnum() for char in part)]


def _closed(sentence: str) -> str:
    sentence = sentence[0].upper() + sentence[1:]
    return sentence if sentence[-1] in ".!?" else sentence.rstrip(_STOPS + ",;: ") + "."
