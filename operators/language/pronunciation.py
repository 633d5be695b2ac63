"""From written to spoken English: which words are said for a token of a transcript, and with which phones.

Words are looked up in the aligner's dictionary. The others are put together from words of the
dictionary, spelled out where they are acronyms, or guessed from their letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from operators.language.letters import guessed, spelled

Lookup = Callable[[str], str | None]
"""Phones of a lower-case word, separated by spaces; None where the dictionary lacks it."""

LONGEST = 40  # letters of a word; longer ones are no words
LONGEST_TOKEN = 200  # characters between two spaces; longer tokens are not spoken
LARGEST = 10**15  # numbers from here on are read digit by digit
UNVOICED = frozenset({"P", "T", "K", "F", "TH"})
HISSING = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})

SYMBOLS = {"%": "percent", "&": "and", "+": "plus", "@": "at", "=": "equals", "°": "degrees"}
CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen"}

_PIECE = re.compile(r"[$£€¥]?[0-9][0-9,]*(?:\.[0-9]+)?(?:st|nd|rd|th|s)?(?![a-z])|[0-9]|[a-z']+|[%&+@=°]")
_YEAR = re.compile(r"1[1-9][0-9][0-9]|20[1-9][0-9]")
_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def spoken(token: str) -> tuple[str, ...]:
    """The lower-case words, of a to z and apostrophes, that are said for a token as it is written.

    Empty for punctuation and for what is not written in Latin letters: no English word is known for it.

    >>> spoken("$1,250.50"), spoken("1990s"), spoken("café-bar")
    (('one', 'thousand', 'two', 'hundred', 'fifty', 'point', 'five', 'zero', 'dollars'),
     ('nineteen', 'nineties'), ('cafe', 'bar'))
    """
    if len(token) > LONGEST_TOKEN:
        return ()
    folded = unicodedata.normalize("NFKD", token).replace("’", "'").replace("‘", "'")
    plain = "".join(c for c in folded if not unicodedata.combining(c)).lower()
    words: list[str] = []
    for piece in _PIECE.findall(plain):
        if piece in SYMBOLS:
            words.append(SYMBOLS[piece])
        elif piece[0].isdigit() or piece[0] in CURRENCIES:
            words.extend(_amount(piece))
        elif (word := piece.strip("'")) and len(word) <= LONGEST:
            words.append(f"'{word}" if piece in ("'em", "'til", "'cause") else word)
    return tuple(words)


def _amount(piece: str) -> list[str]:
    currency = CURRENCIES.get(piece[0])
    number, ending = re.fullmatch(r"([0-9,.]*)([a-z]*)", piece.lstrip("$£€¥")).groups()  # pyright: ignore[reportOptionalMemberAccess]
    whole, _, decimals = number.replace(",", "").partition(".")
    if not decimals and "," not in number and _YEAR.fullmatch(whole) and not currency and ending in ("", "s"):
        words = _year(int(whole))
    elif int(whole) >= LARGEST or (len(whole) > 1 and whole.startswith("0")):
        words = [_ONES[int(digit)] for digit in whole]
    else:
        words = cardinal(int(whole))
    if decimals:
        words = [*words, "point", *(_ONES[int(digit)] for digit in decimals)]
    if ending == "s":
        words[-1] = words[-1][:-1] + "ies" if words[-1].endswith("y") else words[-1] + "s"
    elif ending:
        words[-1] = _ordinal(words[-1])
    return [*words, currency] if currency else words


def _year(year: int) -> list[str]:
    century, rest = divmod(year, 100)
    if rest == 0:
        return [*cardinal(century), "hundred"]
    return [*cardinal(century), *(["oh"] if rest < 10 else []), *cardinal(rest)]


def _ordinal(word: str) -> str:
    return _ORDINALS.get(word) or (word[:-1] + "ieth" if word.endswith("y") else word + "th")


def cardinal(number: int) -> list[str]:
    """A number from 0 on, below 10¹⁵, in English words."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        return [_TENS[number // 10], *([_ONES[number % 10]] if number % 10 else [])]
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    many, rest = divmod(number, size)
    return [*cardinal(many), name, *(cardinal(rest) if rest else [])]


def pronounced(token: str, lookup: Lookup) -> list[tuple[str, tuple[str, ...] | None]]:
    """The words said for a token, each with its phones, or None where `lookup` holds it; unspeakable ones left out."""
    words: list[tuple[str, tuple[str, ...] | None]] = []
    for word in spoken(token):
        if lookup(word) is not None:
            words.append((word, None))
        elif phones := phones_of(word, lookup, acronym=token.isupper()):
            words.append((word, phones))
    return words


def phones_of(word: str, lookup: Lookup, *, acronym: bool = False) -> tuple[str, ...]:
    """Phones of a word that `lookup` does not hold, empty where it cannot be spoken.

    In this order: a possessive or plural, an ending or two words that the dictionary holds, letters that are
    spelled out (`acronym`, or a word without a vowel), letter-to-sound rules.
    """
    if acronym and len(word) <= 5:
        return spelled(word)
    bare = word.replace("'", "")
    for found in (_plural(word, lookup), _ended(bare, lookup), _compound(bare, lookup)):
        if found:
            return found
    if not set(bare) & set("aeiouy"):
        return spelled(bare)
    return guessed(bare)


def _known(word: str, lookup: Lookup) -> tuple[str, ...]:
    return tuple((lookup(word) or "").split()) if word else ()


def _plural(word: str, lookup: Lookup) -> tuple[str, ...]:
    stem = next((word.removesuffix(ending) for ending in ("'s", "s'", "s") if word.endswith(ending)), "")
    phones = _known(stem, lookup) if len(stem) > 2 or "'" in word else ()
    if not phones:
        return ()
    return (*phones, *(("IH", "Z") if phones[-1] in HISSING else ("S",) if phones[-1] in UNVOICED else ("Z",)))


def _ended(word: str, lookup: Lookup) -> tuple[str, ...]:
    for ending, phones in (("ing", "IH NG"), ("er", "ER"), ("ly", "L IY"), ("ness", "N AH S"), ("less", "L AH S")):
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 3:
            continue
        candidates = [stem, stem + "e"] if ending in ("ing", "er") else [stem]
        if ending in ("ing", "er") and stem[-1] == stem[-2]:
            candidates.append(stem[:-1])
        if known := next((known for name in candidates if (known := _known(name, lookup))), ()):
            return (*known, *phones.split())
    if word.endswith("ed") and len(word) > 4:
        for stem in (word[:-2], word[:-1]):
            if known := _known(stem, lookup):
                if known[-1] in ("T", "D"):
                    return (*known, "IH", "D")
                return (*known, "T" if known[-1] in UNVOICED | {"S", "SH", "CH"} else "D")
    return ()


def _compound(word: str, lookup: Lookup) -> tuple[str, ...]:
    """Two words of the dictionary with at least three letters each; the most even split."""
    splits = sorted(range(3, len(word) - 2), key=lambda split: (abs(len(word) - 2 * split), split))
    for split in splits:
        first, second = _known(word[:split], lookup), _known(word[split:], lookup)
        if first and second:
            return (*first, *second)
    return ()
