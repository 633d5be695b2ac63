"""Phonemes of the words that are spoken, by forced alignment: PocketSphinx, or the Montreal Forced Aligner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from operators.audio.waveform import Samples, read_samples
from operators.contract import ClipOperator, OpenMedia, Resources, Row, tuning
from operators.contract import Settings as BaseSettings
from operators.errors import RowFailure
from operators.language import mfa
from operators.language.alignment import Aligner, Phone, Placed
from operators.pose.columns import select

POCKETSPHINX = Resources(memory_mb=150)
MFA = Resources(memory_mb=3000, batch=32)


class Phonemes(ClipOperator):
    """When each phoneme of the words is spoken.

    The words keep their times, and phonemes tile their word: the first starts and the last ends with it,
    and each starts where the one before ends. Where the aligner puts a word's edges elsewhere, its phonemes
    are moved and stretched into the word. Phonemes are ARPAbet without stress.

    - `pocketsphinx`: the US English model and dictionary that PocketSphinx ships. Words that the dictionary
      lacks get a guessed pronunciation; words in another language get none.
    - `mfa`: the Montreal Forced Aligner's `mfa` command with its English ARPA models or others.
      Only for utterances of which it finds the same words.

    A word that could not be aligned has no phonemes. `phonemes` and `alignment` are null where no word has,
    as where the transcript is wrong; the clip is kept. Raises `ConfigurationError` where `mfa` is not installed.
    """

    name = "phonemes"
    reads = ("audio", "words", "language")
    writes = select("phonemes", "alignment")

    class Settings(BaseSettings):
        aligner: Literal["pocketsphinx", "mfa"] = Field(default="pocketsphinx", description="what aligns phonemes")
        mfa_command: str = tuning("mfa", min_length=1, description="the Montreal Forced Aligner's program")
        mfa_acoustic: str = Field(
            default="english_us_arpa",
            pattern="^[^-]",
            description="its acoustic model: a name, or a path",
        )
        mfa_dictionary: str = Field(
            default="english_us_arpa", pattern="^[^-]", description="its dictionary: a name, or a path"
        )
        mfa_seconds: float = tuning(1800.0, gt=0, description="wall-clock limit for one run of it, in seconds")

    def __init__(self, settings: BaseSettings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        self.resources = MFA if self.settings.aligner == "mfa" else POCKETSPHINX

    def check(self) -> None:
        if self.settings.aligner == "mfa":
            mfa.program(self.settings.mfa_command)

    def setup(self) -> None:
        if self.settings.aligner == "mfa":
            chosen = self.settings
            self._mfa = mfa.Mfa(
                mfa.program(chosen.mfa_command), chosen.mfa_acoustic, chosen.mfa_dictionary, chosen.mfa_seconds
            )
        else:
            self._aligner = Aligner()

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        if self.settings.aligner == "pocketsphinx":
            return [self._row(clip, self._aligned(clip)) for clip in clips]
        parts = [_spoken(clip) for clip in clips]
        found = self._mfa.align([part for part in parts if part is not None])
        placed = iter(found)
        rows = [self._row(clip, [] if part is None else next(placed)) for clip, part in zip(clips, parts, strict=True)]
        credit = dict.fromkeys(self.writes.names, f"{self.name}/{self.version}@mfa-{self._mfa.version()}")
        return [{**row, "provenance": {name: credit[name] for name in row if row[name] is not None}} for row in rows]

    def _aligned(self, clip: Row) -> Sequence[Placed]:
        language = clip.get("language")
        spoken = _spoken(clip)
        if spoken is None or (language is not None and language.lower().partition("-")[0] != "en"):
            return []
        return self._aligner.refined(*spoken)

    def _row(self, clip: Row, placed: Sequence[Placed]) -> Row:
        phonemes = [
            {"phoneme": phone.name, "start": phone.start, "end": phone.end, "word": word.number}
            for word in placed
            for phone in tiled(word.phones, clip["words"][word.number]["start"], clip["words"][word.number]["end"])
        ]
        return {"phonemes": phonemes or None, "alignment": self.settings.aligner if phonemes else None}


def _spoken(clip: Row) -> tuple[Samples, list[str], list[Placed]] | None:
    """The clip's samples, its words, and the times they have; None where nothing is to be aligned."""
    samples, words = read_samples(clip.get("audio")), clip.get("words")
    if samples is None or not words:
        return None
    times = [Placed(number, word["start"], word["end"]) for number, word in enumerate(words)]
    return samples, [word["word"] for word in words], times


def tiled(phones: Sequence[Phone], start: float, end: float) -> list[Phone]:
    """Phones that follow each other, moved and stretched to fill the time from `start` to `end`."""
    if not phones:
        return []
    first, length = phones[0].start, phones[-1].end - phones[0].start
    edges = [start + (phone.start - first) * (end - start) / length for phone in phones]
    return [
        Phone(phone.name, *edge)
        for phone, edge in zip(phones, zip(edges, [*edges[1:], end], strict=True), strict=True)
    ]
