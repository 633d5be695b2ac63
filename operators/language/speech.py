"""Speech to text with PocketSphinx: words with times and confidence, where there is a voice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from operators import columns
from operators.audio.waveform import SAMPLE_RATE, Samples, read_samples
from operators.contract import ClipOperator, Resources, Row
from operators.contract import Settings as BaseSettings

MARGIN = 0.2  # s of sound kept around a span of voice activity; spans whose margins touch are one utterance
FRAMES = 100  # the decoder's frames per second
BEAM = {"maxhmmpf": 4000, "maxwpf": 10}
"""Limits of the search: states and words followed per frame. About half the time of the defaults (30,000,
unlimited) at the same accuracy (14.0 against 13.6 of 22 words on average); 3,000 and 5 lose a quarter."""

_FILLER = re.compile(r"^[<\[+].*[>\]+]$")  # <s>, <sil>, [NOISE], ++BREATH++
_VARIANT = re.compile(r"\(\d+\)$")  # the second pronunciation of "the" is "the(2)"


class Speech(ClipOperator):
    """What is said in a clip: a transcript of low quality, in English whatever is spoken.

    Model: the US English model that PocketSphinx ships (continuous HMM, trigram language model). Of the 22
    words of a clean recording it gets 16, of eight copies at other levels, cut elsewhere or with faint
    noise 10 to 16; fewer with accents, and next to none over music. It answers in English whatever is
    spoken and its confidence does not tell, so `transcript_quality` is "low" throughout and `language`
    stays null: nothing here measures it. Words are untrusted text.

    Only spans of voice activity (`speech_spans`) are decoded, with 0.2 s around them, each as an
    utterance of its own: the cepstral mean is taken over the utterance and the front end is reset before
    it, so that no result depends on what was decoded before. A clip without voice activity, or without
    audio, gets nulls; one whose voice yields no word gets an empty list of words.
    """

    name = "speech"
    reads = ("audio", "speech_spans")
    writes: pa.Schema = columns.select("transcript", "words", "transcript_quality", "language")

    resources = Resources(memory_mb=150)

    class Settings(BaseSettings):
        max_seconds: float = Field(
            default=60.0,
            ge=1,
            le=3600,
            description="voice activity decoded per clip, in seconds from its first word on",
        )

    def setup(self) -> None:
        from pocketsphinx import Decoder

        self._decoder: Any = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **BEAM)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._heard(clip) for clip in clips]

    def _heard(self, clip: Row) -> Row:
        samples = read_samples(clip.get("audio"))
        parts = utterances(clip.get("speech_spans") or [], self.settings.max_seconds)
        if samples is None or not parts:
            return dict.fromkeys(self.writes.names)
        words = [
            word
            for start, end in parts
            for word in self._decoded(samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)], start)
        ]
        return {
            "transcript": " ".join(word["word"] for word in words) or None,
            "words": words,
            "transcript_quality": "low",
            "language": None,
        }

    def _decoded(self, samples: Samples, start: float) -> Iterator[Row]:
        """The words of one utterance that begins `start` seconds into the clip."""
        decoder = self._decoder
        decoder.reinit_feat()  # or the last utterance's features colour this one's first frames
        decoder.start_utt()
        decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()
        if decoder.hyp() is None:
            return
        for segment in decoder.seg():
            if _FILLER.match(segment.word):
                continue
            yield {
                "word": _VARIANT.sub("", segment.word),
                "start": start + segment.start_frame / FRAMES,
                "end": start + min((segment.end_frame + 1) / FRAMES, len(samples) / SAMPLE_RATE),
                "confidence": min(1.0, max(0.0, float(segment.prob))),
            }


def utterances(spans: Sequence[Sequence[float]], budget: float) -> list[tuple[float, float]]:
    """Spans in seconds with their margins, joined where they touch, `budget` seconds of voice activity at most."""
    joined: list[tuple[float, float]] = []
    for start, end in spans:
        if budget <= 0:
            break
        end = min(end, start + budget)
        budget -= end - start
        start, end = max(0.0, start - MARGIN), end + MARGIN
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
