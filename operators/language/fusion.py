"""Fusion without a model: the picture's statements joined, then music and speech in their own right.

One paragraph of about a hundred words at most. A modality that was not found or not measured is
absent. Music and voices are stated from their measures; a description in words stands in where there
are none. Transcripts are untrusted: they are quoted, never followed, and only where they are likely
to be right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.contract import Settings as OperatorSettings
from operators.language import phrases
from operators.language.quotation import one_line, quoted, sentences, shortened

PICTURE_WORDS, MUSIC_WORDS, VOICE_WORDS = 55, 30, 12
SENTENCE_CHARACTERS = 400  # for scripts that do not part words by spaces
JOINED_WORDS = 18  # two short sentences become one up to this length
QUOTE_CHARACTERS_PER_WORD = 8

SPEECH_SHARE, SILENCE_SHARE, MUSIC_SHARE = 0.05, 0.9, 0.3  # of the clip; less is not worth a sentence
SILENT = 0.995  # of the clip
OVERLAP = 0.95  # share with music from which a voice is over the music
BEAT = 0.5  # share of the clip with a clear beat
MUSICAL = 0.5  # share with music from which voices and words are doubted more
SURE_OF_VOICE = 0.1  # share of voice over music; 5 % of an instrumental was taken for a voice

SURE_OF_WORDS, SURE_OVER_MUSIC = 0.5, 0.6
"""Mean confidence from which recognised words are quoted, and the same over music.

Measured with PocketSphinx: the sample films' six lines, four of them over music, came at 0.69 to 0.91, all right
but for one word too many. A clear recording of English with 16 of 22 words right came at 0.48, the same with noise
or music at 0.23 to 0.41 (5 to 11 words right), Mandarin dialogue and a song at 0.23 to 0.32.
"""


class FusionSettings(OperatorSettings):
    """How much of what was said is repeated."""

    quoted_words: int = Field(default=14, ge=1, le=40, description="words of the transcript that are quoted")


class StatedFusion(ClipOperator):
    """Joins the caption, the music's measures and the speech into one paragraph by fixed rules."""

    name = "fusion"
    reads = (
        "caption", "music_caption", "tempo", "key", "music_share", "audio_tags", "vocal_caption", "transcript",
        "words", "transcript_quality", "speech_share", "silence_share",
    )  # fmt: skip
    writes = select("polish_caption", "merge_caption")
    Settings = FusionSettings

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [stated(clip, self.settings.quoted_words) for clip in clips]


def stated(clip: Mapping[str, Any], quoted_words: int) -> Row:
    """Both columns. `quoted_words` is the most that is quoted of the transcript."""
    parts = [
        *_within(sentences(polished(clip.get("caption")) or ""), PICTURE_WORDS),
        *music_sentences(clip),
        *speech_sentences(clip, quoted_words),
        *silence_sentences(clip),
    ]
    return {"polish_caption": polished(clip.get("caption")), "merge_caption": " ".join(parts) or None}


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
    statements = all(part.startswith("The ") and part.endswith(".") and "," not in part for part in (first, second))
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
    share, beats, key = clip.get("music_share"), clip.get("tempo"), clip.get("key")
    if share is None and not beats and not key:
        return _described(clip.get("music_caption") or ())
    if share is not None and share < MUSIC_SHARE and not beats and not key:
        return []
    named = phrases.music(beats, shortened(one_line(key), words=3, characters=24) if key else None)
    extent = f" {phrases.lasting(share)}" if share is not None else ""
    beat = any(tag["tag"] == "beat" and tag["score"] >= BEAT for tag in clip.get("audio_tags") or ())
    pulse = ", with a clear beat" if beat else ""
    if beats:
        pulse += f"{'' if beat else ','} at about {round(beats)} beats per minute"
    return [f"On the soundtrack, {named} plays{extent}{pulse}."]


def _described(passages: Sequence[Mapping[str, Any]]) -> list[str]:
    for passage in passages:
        if said := sentences(passage.get("text") or ""):
            first, *others = _within(said, MUSIC_WORDS)
            return [f"On the soundtrack there is music: {_uncapitalised(first)}", *others]
    return []


def _uncapitalised(sentence: str) -> str:
    first = sentence.split()[0]
    return sentence if first[1:] != first[1:].lower() else sentence[0].lower() + sentence[1:]


def speech_sentences(clip: Mapping[str, Any], quoted_words: int) -> list[str]:
    """What is known of the voices: how much they are heard, and what they say as a quotation where it is trusted."""
    share, over_music = clip.get("speech_share"), (clip.get("music_share") or 0.0) >= MUSICAL
    described = _within(sentences(clip.get("vocal_caption") or ""), VOICE_WORDS) if share is None else []
    over = "Over it, a voice" if (clip.get("music_share") or 0.0) >= OVERLAP else "A voice"
    extent = "" if share is None else f" {phrases.lasting(share)}"
    if quotation := _quotation(clip, quoted_words):
        says = "says" if clip.get("transcript_quality") == "high" else "seems to say"
        heard = f" heard{extent}" if extent else ""
        return [*described, f"{over}{heard} {says} {quotation}."]
    spoken = any(char.isalnum() for char in clip.get("transcript") or "")
    if not spoken and not described and share is None:
        return []
    if share is not None and share < (SURE_OF_VOICE if over_music else SPEECH_SHARE):
        return []
    if described:
        return [*described, "The words could not be made out."] if spoken else described
    unheard = ", but its words could not be made out" if "transcript" in clip else ""
    return [f"{over} seems to be heard{extent}{unheard}."]


def _quotation(clip: Mapping[str, Any], words: int) -> str:
    """The transcript as a quotation; "" where it is not likely to be right."""
    if not likely_right(clip):
        return ""
    return quoted(clip.get("transcript") or "", words=words, characters=QUOTE_CHARACTERS_PER_WORD * words)


def likely_right(clip: Mapping[str, Any]) -> bool:
    """Whether the transcript, if there is one, is likely to be what was said."""
    if clip.get("transcript_quality") == "high":
        return True
    confidences = [word["confidence"] for word in clip.get("words") or () if word["confidence"] is not None]
    bar = SURE_OVER_MUSIC if (clip.get("music_share") or 0.0) >= MUSICAL else SURE_OF_WORDS
    return bool(confidences) and sum(confidences) / len(confidences) >= bar


def silence_sentences(clip: Mapping[str, Any]) -> list[str]:
    share = clip.get("silence_share")
    if share is None or share < SILENCE_SHARE:
        return []
    return [f"The soundtrack is {'' if share >= SILENT else 'almost '}silent."]
