"""The transcript that a manifest gives for a video, and what of it belongs to a clip.

It stands in the manifest's column `transcript` (carried in `extra`), as one of

- plain text of everything that is said in the video;
- a list of `{"start", "end", "text"}`, or `"word"` in place of `"text"`, in seconds of the video; in a CSV
  as JSON. What Whisper and WhisperX write, `{"segments": […]}`, is one too.

A column `language` may name its language as a BCP 47 tag. Text is untrusted: control characters and
invisible marks are taken out, and so are sound descriptions in brackets and speakers' names before a colon.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from operators.contract import Row

MOST = 100_000  # characters of a transcript that are read
EDGE = 0.3  # s by which a passage may reach over the clip's edge and still belong to it whole
WHOLE = 0.95  # share of the video from which a clip is the video

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_ASIDE = re.compile(r"\[[^\[\]]{0,60}\]|\([^()]{0,60}\)|<[^<>]{0,60}>|>>+|[♪♫]+")
_SPEAKER = re.compile(
    r"^ *(?:>>+ *)?(?:[A-Z][A-Z .'-]{1,30}|(?i:speaker)[ _]?\d{1,3}|[A-Z]\w{1,20}(?: [A-Z]\w{1,20}){1,2}):\s",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Passage:
    """A piece of text with its times in seconds from the clip's start; it may reach over the clip's edges."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Transcript:
    """What the manifest says about the speech of one clip.

    `passages` are those that overlap the clip, in order, and `complete` says that they lie in it wholly.
    Without times there is one passage, the whole video's text over the whole video.
    """

    passages: tuple[Passage, ...]
    timed: bool
    complete: bool
    language: str | None

    @property
    def text(self) -> str:
        """The passages' texts, one after the other."""
        return " ".join(passage.text for passage in self.passages)

    @property
    def word_by_word(self) -> bool:
        """Whether the times are those of words."""
        return self.timed and all(len(written_words(passage.text)) == 1 for passage in self.passages)

    def within(self, seconds: float) -> tuple[Passage, ...]:
        """The passages that lie in a clip of this length, or reach over its edges only a little."""
        return tuple(p for p in self.passages if p.start >= -EDGE and p.end <= seconds + EDGE)


def transcript_of(clip: Row) -> Transcript | None:
    """The manifest's transcript for this clip, None where it gives none that can be read."""
    extra = _loaded(clip.get("extra"))
    given = _loaded(extra.get("transcript")) if isinstance(extra, dict) else None
    if isinstance(given, dict):
        given = given.get("segments") or given.get("text")
    language = extra.get("language") if isinstance(extra, dict) else None
    language = language if isinstance(language, str) and _LANGUAGE.fullmatch(language) else None
    start, end = clip["clip_start_end_time"]
    if isinstance(given, str):
        text = cleaned(given)
        duration = clip.get("video_duration") or end
        complete = end - start >= WHOLE * duration
        return Transcript((Passage(text, -start, duration - start),), False, complete, language) if text else None
    if not isinstance(given, list):
        return None
    timed = sorted(_timed(given), key=lambda passage: (passage.start, passage.end))
    if not timed:
        return None
    inside = [
        Passage(passage.text, passage.start - start, passage.end - start)
        for passage in timed
        if passage.start < end and passage.end > start
    ]
    transcript = Transcript(tuple(inside), True, False, language)
    return replace(transcript, complete=len(transcript.within(end - start)) == len(inside))


def written_words(text: str) -> list[str]:
    """The words of a text as they are written, with the punctuation around them."""
    return [word for word in text.split() if any(c.isalnum() for c in word)]


def bare(word: str) -> str:
    """A written word without the punctuation around it."""
    return word.strip("".join({c for c in word if _outer(c)}))


def cleaned(text: str) -> str:
    """Text in composed characters on one line, without invisible characters and what is not spoken."""
    text = unicodedata.normalize("NFC", text[:MOST])
    text = "".join(c if c == "\n" or not unicodedata.category(c).startswith(("C", "Z")) else _blank(c) for c in text)
    return " ".join(_ASIDE.sub(" ", _SPEAKER.sub(" ", text)).split())


def _blank(character: str) -> str:
    """Nothing in place of marks that join or direct their neighbours, a space in place of the others."""
    return "" if unicodedata.category(character) == "Cf" else " "


def _outer(character: str) -> bool:
    """Whether a character at a word's edge is no part of it; currency signs and the like are."""
    return character not in "$£€¥%&+@°" and unicodedata.category(character)[0] in "PSC"


def _loaded(value: Any) -> Any:
    """A value that may be JSON text."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _timed(given: list[Any]) -> Iterator[Passage]:
    room = MOST
    for item in given:
        if not isinstance(item, dict):
            continue
        text, start, end = item.get("text", item.get("word")), _seconds(item.get("start")), _seconds(item.get("end"))
        if not isinstance(text, str) or start is None or end is None or start >= end:
            continue
        text = cleaned(text[:room])
        room -= len(text)
        if text:
            yield Passage(text, start, end)


def _seconds(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < 1e7 else None
