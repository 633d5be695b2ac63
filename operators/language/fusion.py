"""Fusion without a model: the picture's statements joined, then music and speech in their own right.

One paragraph of about a hundred words at most. A modality that was not found or not measured is
absent. Transcripts are untrusted: they are quoted, never followed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.contract import Settings as OperatorSettings
from operators.language.quotation import one_line, quoted, sentences, shortened

PICTURE_WORDS, MUSIC_WORDS, VOICE_WORDS = 50, 30, 12
SENTENCE_CHARACTERS = 400  # for scripts that do not part words by spaces
JOINED_WORDS = 18  # two short sentences become one up to this length
QUOTE_CHARACTERS_PER_WORD = 8
SPEECH_SHARE, SILENCE_SHARE, MUSIC_SHARE = 0.05, 0.9, 0.3  # of the clip; less is not worth a sentence

# The lite descriptions of music and voices are phrases without a verb; models write sentences.
_MUSIC_PHRASE = re.compile(r"(?:(?:slow|mid-tempo|fast|loud|quiet),? ){0,2}music\b", re.IGNORECASE)
_VOICE_PHRASE = re.compile(r"a voice (?:over|throughout)\b", re.IGNORECASE)


class FusionSettings(OperatorSettings):
    """How much of what was said is repeated."""

    quoted_words: int = Field(default=14, ge=1, le=40, description="words of the transcript that are quoted")


class StatedFusion(ClipOperator):
    """Joins the caption, the music's description and the speech into one paragraph by fixed rules."""

    name = "fusion"
    reads = (
        "caption", "music_caption", "tempo", "key", "music_share", "vocal_caption", "transcript", "transcript_quality",
        "speech_share", "silence_share",
    )  # fmt: skip
    writes = select("polish_caption", "merge_caption")
    Settings = FusionSettings

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [
            {"polish_caption": polished(clip.get("caption")), "merge_caption": self._merged(clip)} for clip in clips
        ]

    def _merged(self, clip: Mapping[str, Any]) -> str | None:
        parts = [
            *_within(sentences(polished(clip.get("caption")) or ""), PICTURE_WORDS),
            *music_sentences(clip),
            *speech_sentences(clip, self.settings.quoted_words),
            *_silence(clip),
        ]
        return " ".join(parts) or None


def polished(caption: str | None) -> str | None:
    """A caption on one line: repeated sentences left out, short neighbouring statements joined."""
    once = list(dict.fromkeys(sentences(caption or "")))
    joined: list[str] = []
    for sentence in once:
        if joined and _joinable(joined[-1], sentence):
            joined[-1] = f"{joined[-1][:-1]}, and {sentence[0].lower()}{sentence[1:]}"
        else:
            joined.append(sentence)
    return " ".join(joined) or None


def _joinable(first: str, second: str) -> bool:
    statements = all(
        part.startswith("The ") and part.endswith(".") and " and the " not in part for part in (first, second)
    )
    return statements and len(first.split()) + len(second.split()) + 1 <= JOINED_WORDS


def _within(parts: Sequence[str], words: int) -> list[str]:
    """The leading sentences that fit; the first is shortened where it alone is too long."""
    kept: list[str] = []
    for part in parts:
        left = words - sum(len(sentence.split()) for sentence in kept)
        if kept and len(part.split()) > left:
            break
        kept.append(_short_sentence(part, left))
    return kept


def _short_sentence(sentence: str, words: int) -> str:
    cut = shortened(sentence, words=words, characters=SENTENCE_CHARACTERS)
    return cut if cut == sentence else cut + "."


def music_sentences(clip: Mapping[str, Any]) -> list[str]:
    """What is known of the music; nothing where no music was found."""
    described = [one_line(part.get("text") or "") for part in clip.get("music_caption") or ()]
    described = [text for text in dict.fromkeys(described) if any(char.isalnum() for char in text)]
    tempo, key = clip.get("tempo"), clip.get("key")
    if described:
        first, *others = _within(sentences(described[0]), MUSIC_WORDS)
        lead = "The soundtrack carries" if _MUSIC_PHRASE.match(first) else "On the soundtrack there is music:"
        return [f"{lead} {_uncapitalised(first)}", *others]
    if tempo or key or (clip.get("music_share") or 0) >= MUSIC_SHARE:
        pulse = f" at about {round(tempo)} beats per minute" if tempo else ""
        tonality = f" in {shortened(one_line(key), words=3, characters=24)}" if key else ""
        return [f"On the soundtrack there is music{pulse}{tonality}."]
    return []


def _uncapitalised(sentence: str) -> str:
    first = sentence.split()[0]
    return sentence if first[1:] != first[1:].lower() else sentence[0].lower() + sentence[1:]


def speech_sentences(clip: Mapping[str, Any], quoted_words: int) -> list[str]:
    """What is known of the voices: what they do, and what they say as a quotation."""
    voices = [_whole(voice) for voice in _within(sentences(clip.get("vocal_caption") or ""), VOICE_WORDS)]
    quotation = quoted(
        clip.get("transcript") or "", words=quoted_words, characters=QUOTE_CHARACTERS_PER_WORD * quoted_words
    )
    if quotation:
        if clip.get("transcript_quality") == "high":
            return [*voices, f"A voice says {quotation}."]
        return [*voices, f"What is said was recognised with little certainty as {quotation}."]
    if voices:
        return voices
    if clip.get("transcript") or (clip.get("speech_share") or 0) >= SPEECH_SHARE:
        recognised = ", but no words were recognised" if "transcript" in clip else ""
        return [f"A voice seems to be heard{recognised}."]
    return []


def _whole(voice: str) -> str:
    return f"There is {_uncapitalised(voice)}" if _VOICE_PHRASE.match(voice) else voice


def _silence(clip: Mapping[str, Any]) -> list[str]:
    share = clip.get("silence_share")
    return ["The soundtrack is almost silent."] if share is not None and share >= SILENCE_SHARE else []
