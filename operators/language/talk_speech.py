"""What is said in a talk: the manifest's transcript where it gives one, else what a recogniser hears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import Field

from operators.audio.waveform import SAMPLE_RATE, Samples, read_samples
from operators.contract import PROVENANCE, ClipOperator, OpenMedia, Row
from operators.contract import Settings as BaseSettings
from operators.errors import RowFailure
from operators.language.alignment import Aligner, Placed
from operators.language.speech import MARGIN, Speech
from operators.language.transcript import Passage, Transcript, bare, transcript_of, written_words
from operators.language.whisper_speech import WhisperSettings, WhisperSpeech
from operators.language.whisper_windows import Window

REACH = 0.5  # s that speech may begin before, or end after, the times a transcript gives for it
MAX_SECONDS = 600.0
ALIGNER_MB = 150


class GivenTranscript(ClipOperator):
    """Puts the manifest's transcript before a recogniser, and aligned times under the words of either.

    Mixed into a recogniser's class. Of a given transcript (operators/language/transcript.py):

    - `transcript_quality` is "given", `language` is the manifest's, and words have no `confidence`.
    - Passages with times: those that lie in the clip are its transcript. Of passages that reach over its
      edge the words that are spoken in the clip are found by alignment.
    - Text without times: the clip's words are found in it by alignment where they fit clearly
      (`Aligner.place`). Where they do not, the recogniser is asked, unless the clip is the whole video.
    - Where text that belongs to the clip cannot be aligned, the transcript stands, and words have the times
      of the manifest where it times each word; else `words` is null.

    Alignment is English only. A recogniser's words in other languages keep its own times.
    """

    def setup(self) -> None:
        super().setup()
        self._aligner = Aligner()

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        results = [self._credited(self._given(clip)) for clip in clips]
        unknown = [clip for clip, result in zip(clips, results, strict=True) if result is None]
        heard = iter(super().annotate(unknown) if unknown else ())  # pyright: ignore[reportAbstractUsage]
        recognised = {id(clip): self._timed(clip, next(heard)) for clip in unknown}
        return [
            recognised[id(clip)] if result is None else result for clip, result in zip(clips, results, strict=True)
        ]

    def _given(self, clip: Row) -> Row | RowFailure | None:
        """The row by the manifest's transcript; None where a recogniser is needed."""
        transcript = transcript_of(clip)
        if transcript is None:
            return None
        row: Row = {"transcript_quality": "given", "language": transcript.language}
        text = written_words(transcript.text)
        if not text:
            return {**row, "transcript": None, "words": []}
        try:
            placed = self._placed(clip, transcript, [bare(word) for word in text])
        except RowFailure as problem:
            return problem
        if placed:
            # Of text that is not the clip's alone, what lies between the first and the last word found.
            spoken = " ".join(text[placed[0].number : placed[-1].number + 1])
            words = [_word(bare(text[word.number]), word, None) for word in placed]
            return {**row, "transcript": transcript.text if transcript.complete else spoken, "words": words}
        passages = transcript.within(clip["clip_duration"]) if transcript.timed else transcript.passages
        if not passages or not (transcript.timed or transcript.complete):
            return None
        return {
            **row,
            "transcript": " ".join(passage.text for passage in passages),
            "words": [_word_of(passage, clip["clip_duration"]) for passage in passages]
            if transcript.word_by_word
            else None,
        }

    def _credited(self, result: Row | RowFailure | None) -> Row | RowFailure | None:
        if not isinstance(result, dict):
            return result
        author = f"{self.name}/{self.version}@manifest"
        return {**result, PROVENANCE: {name: author for name, value in result.items() if value is not None}}

    def _placed(self, clip: Row, transcript: Transcript, text: Sequence[str]) -> list[Placed]:
        """Words of the text with their times in the clip, as far as they are found in its sound."""
        samples = read_samples(clip.get("audio"))
        if samples is None or not _english(transcript.language):
            return []
        voices: list[tuple[float, float]] = [(start, end) for start, end in clip.get("speech_spans") or ()]
        if not transcript.timed:
            [passage] = transcript.passages
            near = (clip["clip_duration"] / 2 - passage.start) / (passage.end - passage.start)
            return self._found(samples, voices, text, whole=transcript.complete, near=near)
        named = [(passage.start - REACH, passage.end + REACH) for passage in transcript.passages]
        near_them = [(a, b) for a, b in voices if any(a < end and b > start for start, end in named)]
        return self._found(samples, sorted([*near_them, *named]), text, whole=transcript.complete)

    def _found(
        self,
        samples: Samples,
        spans: Sequence[tuple[float, float]],
        text: Sequence[str],
        *,
        whole: bool,
        near: float = 0,
    ) -> list[Placed]:
        """Words of the text with their times in the clip, looked for in these spans of it and a margin around."""
        pieces: list[tuple[int, int]] = []
        for start, end in spans:
            first = max(0, round((start - MARGIN) * SAMPLE_RATE), pieces[-1][1] if pieces else 0)
            stop = min(len(samples), round((end + MARGIN) * SAMPLE_RATE))
            if first < stop:
                pieces.append((first, stop))
        window = Window(samples, tuple(pieces))
        if not pieces or window.seconds > self.settings.max_seconds:
            return []
        sound = np.concatenate([samples[first:stop] for first, stop in pieces])
        placed = self._aligner.place(sound, text, whole=whole, near=near)
        return [replace(word, **_times(window, word)) for word in placed]

    def _timed(self, clip: Row, row: Row | RowFailure) -> Row | RowFailure:
        """A recogniser's row with aligned times, where its words are English and fit the sound."""
        samples = read_samples(clip.get("audio")) if isinstance(row, dict) else None
        if not isinstance(row, dict) or samples is None or not row["words"] or not _english(row["language"]):
            return row
        words = row["words"]
        text = [word["word"] for word in words]
        aligned = self._aligner.refined(samples, text, [Placed(k, w["start"], w["end"]) for k, w in enumerate(words)])
        if sum(word.cost is None for word in aligned) > len(words) / 2:
            # The recogniser's times may be far off: its words are looked for in all of the voices.
            placed = self._found(samples, [(start, end) for start, end in clip["speech_spans"]], text, whole=True)
            aligned = placed if len(placed) == len(words) else aligned
        return {
            **row,
            "words": [_word(word["word"], new, word["confidence"]) for word, new in zip(words, aligned, strict=True)],
        }


class TalkSpeech(GivenTranscript, Speech):
    """What is said in a talk, by the manifest's transcript or else PocketSphinx's own guess (quality "low")."""

    name = "speech"
    reads = (*Speech.reads, "extra", "clip_start_end_time", "clip_duration", "video_duration")
    resources = replace(Speech.resources, memory_mb=Speech.resources.memory_mb + ALIGNER_MB)

    class Settings(Speech.Settings):
        max_seconds: float = Field(
            default=MAX_SECONDS, ge=1, le=3600, description="voice activity heard per clip, in seconds from its start"
        )


class WhisperTalkSettings(WhisperSettings):
    """Which checkpoint, which language, and what a text must pass."""

    max_seconds: float = Field(
        default=MAX_SECONDS, ge=1, le=3600, description="voice activity heard per clip, in seconds from its start"
    )


class WhisperTalkSpeech(GivenTranscript, WhisperSpeech):
    """What is said in a talk, by the manifest's transcript or else Whisper (quality "high" or "low")."""

    name = "speech"
    reads = TalkSpeech.reads
    Settings = WhisperTalkSettings

    def __init__(self, settings: BaseSettings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        self.resources = replace(self.resources, memory_mb=self.resources.memory_mb + ALIGNER_MB)


def _english(language: str | None) -> bool:
    """Whether alignment may be tried: English, or a language that nobody named."""
    return language is None or language.lower().partition("-")[0] == "en"


def _word(text: str, placed: Placed, confidence: float | None) -> Row:
    return {"word": text, "start": placed.start, "end": placed.end, "confidence": confidence}


def _word_of(passage: Passage, seconds: float) -> Row:
    """A word with the times that the manifest gives."""
    return {
        "word": bare(written_words(passage.text)[0]),
        "start": max(0.0, passage.start),
        "end": min(seconds, passage.end),
        "confidence": None,
    }


def _times(window: Window, word: Placed) -> dict[str, float]:
    start, end = window.placed(word.start, word.end)
    return {"start": start, "end": end}
