"""Whether a model's text can stand in a data set: form, language, and claims that can be checked against the facts.

The checks are made to be hard to pass for an answer that follows an order hidden in the facts, and easy
for a plain description. Each complaint is a phrase that is told to the model, and written to the row
where the text is refused in the end. What is asserted without a number, a name or a quotation cannot be
checked this way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
ENGLISH = 0.18
"""Share of function words from which a text of Latin letters counts as English; edited prose has about 0.4."""
LATIN = 0.95  # share of the letters outside quotations
REPEATED = 5  # words in a row that occur again
LEAKED = 8  # words in a row that stand in the instructions too
COMMON_STEM = 5  # letters by which words of caption and paragraph are matched
KEPT_SUBJECT = 0.2  # share of the caption's longer words that the paragraph must have

FUNCTION_WORDS = _set(
    "a an and are as at be been but by for from has have he her his in into is it its no not of on one or over she "
    "some that the their there they this through throughout to two under up was were which while who with"
)
MUSIC_CLAIMS = _set(
    "music song melody soundtrack instrumental guitar piano drums orchestra orchestral synthesizer strings"
)
MUSIC_WORDS = MUSIC_CLAIMS | _set(
    "musical melodic tune instruments beat rhythm rhythmic drum synth bass tempo score chord chords percussion"
)
SPEECH_CLAIMS = _set("voice voices voiceover speech says saying said spoken narrator narration dialogue")
SPEECH_WORDS = SPEECH_CLAIMS | _set(
    "say speak speaks speaking speaker talk talks talking narrates words heard hear asks explains tells announces "
    "vocal vocals sings singing conversation"
)
"""Words that mention a kind of sound, and among them those that claim it is there."""

_COUNTED = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
NUMBER_WORDS = {
    **{word: value for value, word in enumerate(_COUNTED.split())},
    **{"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100},
}
VAGUE = frozenset({0, 1})  # "one" is a pronoun too

CAPITALISED = _set("i i'm i'd i'll english tv dj bpm")
OWN_WORDS = (
    "polish_caption",
    "merge_caption",
    "json",
    "language model",
    "an ai",
    "instruction",
    "i cannot",
    "i can't",
)

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_QUOTED = re.compile(r"[“\"]([^“”\"]*)[”\"]")
_KEY = re.compile(r"\b([A-G](?:[#♯b♭]| sharp| flat)?) (major|minor)\b")
_ADDRESS = re.compile(r"https?://|www\.|\w+@\w+\.|@\w{2,}|#\w{2,}")
_MARKUP = re.compile(r"[*_`#<>{}\[\]|\\]|^\s*[-•]\s", re.MULTILINE)
_STOPS = (".", "!", "?", "…", ".”", "!”", "?”", '."', '!"', '?"')


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a text may speak of: the facts of each kind as one text, "" where there are none.

    `other` are facts that may be used and need not be. `instructions` is what the model was told, of
    which nothing may show.
    """

    picture: str = ""
    music: str = ""
    speech: str = ""
    other: str = ""
    instructions: str = ""

    @property
    def everything(self) -> str:
        """All facts as one text."""
        return " ".join(part for part in (self.picture, self.music, self.speech, self.other) if part)


def style_faults(text: str, given: Given, *, fewest: int, most: int) -> list[str]:
    """Complaints about form, length in words, language, repetition and what was told; none where it can stand."""
    return [
        *_form(text, fewest, most),
        *_language(_QUOTED.sub(" ", text)),
        *_repetition(text),
        *_leak(text, given),
    ]


def claim_faults(text: str, given: Given) -> list[str]:
    """Complaints about numbers, keys, quotations and names that the facts do not have."""
    bare = _QUOTED.sub(" ", text)
    return [
        *_numbers(bare, given.everything),
        *_keys(text, given.everything),
        *_quotations(text, given),
        *_names(bare, given.everything),
    ]


def missing_kinds(text: str, given: Given) -> list[str]:
    """Complaints about kinds of facts that a paragraph leaves out, or brings in without any."""
    said = set(words(text))
    found = []
    subject, told = _stems(words(given.picture)), _stems(said)
    if subject and len(subject & told) < max(1, KEPT_SUBJECT * len(subject)):
        found.append("it leaves out the picture")
    if given.music and not said & MUSIC_WORDS:
        found.append("it leaves out the music")
    if given.speech and not (said & SPEECH_WORDS or _QUOTED.search(text)):
        found.append("it leaves out the speech")
    known = set(words(given.everything))
    for kind, facts, claims in (("music", given.music, MUSIC_CLAIMS), ("speech", given.speech, SPEECH_CLAIMS)):
        if not facts and (said & claims) - known:
            found.append(f"it speaks of {kind}, of which the facts hold none")
    return found


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def _form(text: str, fewest: int, most: int) -> Iterator[str]:
    count = len(text.split())
    if count < fewest:
        yield f"it has only {count} words"
    if count > most:
        yield f"it has {count} words, more than {most}"
    if text.splitlines() != [text]:
        yield "it is more than one paragraph"
    if not text.isprintable() and any(unicodedata.category(char) in UNSEEN for char in text if not char.isspace()):
        yield "it holds characters that cannot be seen"
    if _MARKUP.search(text):
        yield "it holds markup"
    if _ADDRESS.search(text):
        yield "it holds an address or a tag"
    if not text.rstrip().endswith(_STOPS):
        yield "its last sentence has no end"


def _language(bare: str) -> Iterator[str]:
    letters = [char for char in bare if char.isalpha()]
    said = words(bare)
    latin = sum(char < "ɐ" for char in letters)
    if letters and latin < LATIN * len(letters):
        yield "it is not in English"
    elif said and sum(word in FUNCTION_WORDS for word in said) < ENGLISH * len(said):
        yield "it is not in English sentences"


def _repetition(text: str) -> Iterator[str]:
    runs = list(_runs(words(text), REPEATED))
    if len(set(runs)) < len(runs):
        yield "it repeats itself"


def _leak(text: str, given: Given) -> Iterator[str]:
    facts, lowered = given.everything.lower(), text.lower()
    if any(mark in lowered and mark not in facts for mark in OWN_WORDS):
        yield "it speaks of its task"
    leaked = _told(given.instructions).intersection(_runs(words(text), LEAKED))
    if leaked.difference(_runs(words(given.everything), LEAKED)):
        yield "it repeats what you were told"


@lru_cache(maxsize=8)
def _told(instructions: str) -> frozenset[tuple[str, ...]]:
    """The runs of words that no answer may have; the same for every clip."""
    return frozenset(_runs(words(instructions), LEAKED))


def _numbers(bare: str, facts: str) -> Iterator[str]:
    known = set(_values(facts))
    foreign = sorted({value for value in _values(bare) if not _near(value, known)} - VAGUE)
    if foreign:
        yield f"it names numbers that are not in the facts ({', '.join(f'{value:g}' for value in foreign[:3])})"


def _near(value: float, known: Iterable[float]) -> bool:
    """Whether the number is one of the facts', as it is or rounded."""
    return any(value == fact or value == round(fact) for fact in known)


def _values(text: str) -> Iterator[float]:
    for digits in _NUMBER.findall(text):
        whole = digits.replace(",", "")
        try:
            yield float(whole)
        except ValueError:  # 0:10, 1.2.3
            yield from map(float, re.findall(r"\d+", whole))
    tens = 0
    for word in words(text):
        value = NUMBER_WORDS.get(word)
        if tens and (value is None or value >= 10):
            yield float(tens)
            tens = 0
        if value is not None and 20 <= value < 100:
            tens = value
        elif value is not None:
            yield float(tens + value)
            tens = 0
    if tens:
        yield float(tens)


def _keys(text: str, facts: str) -> Iterator[str]:
    known = {_key(match) for match in _KEY.findall(facts)}
    if any(_key(match) not in known for match in _KEY.findall(text)):
        yield "it names a musical key that is not in the facts"


def _key(match: tuple[str, str]) -> tuple[str, str]:
    note = match[0].replace(" sharp", "#").replace("♯", "#").replace(" flat", "b").replace("♭", "b")
    return note, match[1]


def _quotations(text: str, given: Given) -> Iterator[str]:
    if text.count('"') % 2 or text.count("“") != text.count("”"):
        yield "it opens a quotation and does not close it"
    source = f" {' '.join(_bare_words(given.everything))} "
    for quotation in _QUOTED.findall(text):
        said = " ".join(_bare_words(quotation))
        if said and f" {said} " not in source:
            yield "it quotes words that are not in the facts"
            return


def _bare_words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower().replace("’", "").replace("'", ""))


def _names(bare: str, facts: str) -> Iterator[str]:
    """Words with a capital inside a sentence that the facts do not have."""
    known = set(words(facts)) | CAPITALISED
    foreign = []
    for sentence in re.split(r"(?<=[.!?…:])\s+", bare):
        for word in _WORD.findall(sentence)[1:]:
            plain = word.lower().replace("’", "'").removesuffix("'s")
            if word[0].isupper() and plain not in known and word not in foreign:
                foreign.append(word)
    if foreign:
        yield f"it names what is not in the facts ({', '.join(foreign[:3])})"


def _stems(said: Iterable[str]) -> set[str]:
    """The beginnings of the longer words that say something."""
    return {word[:COMMON_STEM] for word in said if len(word) >= COMMON_STEM and word not in FUNCTION_WORDS}


def _runs(said: list[str], length: int) -> Iterator[tuple[str, ...]]:
    for start in range(len(said) - length + 1):
        yield tuple(said[start : start + length])
