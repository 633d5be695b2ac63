"""Speech to text with Whisper: words with times, language, and guards against words that nobody said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, field_validator

from operators.audio.waveform import read_samples
from operators.contract import OpenMedia, Resources, Row, tuning
from operators.contract import Settings as BaseSettings
from operators.errors import RowFailure
from operators.language.speech import Speech
from operators.language.whisper_decoding import Guards, Heard, Recogniser
from operators.language.whisper_windows import Window, speech_windows
from operators.models.operator import ModelOperator, ModelSettings
from operators.models.whisper_files import WhisperFiles

BCP_47 = {"jw": "jv"}
"""Whisper's codes that are none of BCP 47's: Javanese under its withdrawn code. The others are the same."""


MEMORY = {
    "tiny": (2000, 800, 25), "base": (2200, 850, 40), "small": (3500, 1200, 100), "medium": (6500, 2300, 200),
    "large": (10_000, 3900, 300), "turbo": (6500, 2400, 80),
}  # fmt: skip
"""MiB in RAM, on the GPU, and on the GPU for each window at once, by the size of the release.

Reckoned, not measured: parameters in half precision and 700 MiB for CUDA; per window the keys and values
of 1,500 positions in every layer of the decoder, and the encoder's widest layer.
"""


class WhisperSettings(ModelSettings):
    """Which checkpoint, which language, and what a text must pass."""

    model: str = Field(
        default="small", description="release of Whisper such as small or large-v3-turbo, a .pt file, or s3://…"
    )
    precision: Literal["auto", "float32", "float16"] = Field(
        default="auto", description="number format; auto is float16 on a GPU, else float32; Whisper has no bfloat16"
    )
    language: str = Field(
        default="", pattern="^[a-z]{0,3}$", description="language spoken, such as en; empty to detect it"
    )
    max_seconds: float = Field(
        default=60.0, ge=1, le=3600, description="voice activity decoded per clip, in seconds from its first word on"
    )
    temperatures: tuple[float, ...] = Field(
        default=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
        min_length=1,
        max_length=10,
        description="temperatures tried in turn until a window's text passes; 0 takes the likeliest words",
    )
    logprob_floor: float = Field(
        default=-1.0, ge=-20, le=0, description="mean log probability of a token under which a text fails"
    )
    compression_ceiling: float = Field(
        default=2.4, ge=1, le=100, description="compression ratio over which a text repeats itself and fails"
    )
    no_speech_ceiling: float = Field(
        default=0.6, ge=0, le=1, description="probability of no speech over which an unlikely text is left out"
    )
    windows: int = tuning(16, ge=1, le=1024, description="windows of 30 s decoded at once")

    @field_validator("temperatures")
    @classmethod
    def _rising(cls, temperatures: tuple[float, ...]) -> tuple[float, ...]:
        if any(not 0 <= value <= 2 for value in temperatures) or list(temperatures) != sorted(set(temperatures)):
            raise ValueError("temperatures must rise, from 0 to at most 2")
        return temperatures


class WhisperSpeech(ModelOperator):
    """What is said in a clip, by OpenAI's Whisper: transcript, words with times and confidence, language.

    Only voices are heard: the spans of voice activity (`speech_spans`) with 0.2 s around them, one after
    the other in windows of at most 30 s; the times of words are led back to the clip. Windows of many clips
    are decoded at once, each for itself. A text that is unlikely or repeats itself is decoded again at the
    next temperature; one that is unlikely while Whisper hears no speech is left out. `transcript_quality`
    is "high" where every window's text passed and "low" where one never did. `language` is the one in which
    most of the words are, as a BCP 47 tag; null with an English-only model that was told none, since it
    hears English in everything. Words are untrusted text.

    Clips without voice activity or without audio get nulls; voices in which Whisper hears nothing give an
    empty list of words. Runs on a CPU or CUDA; on Apple's GPUs its alignment does not work, so that the CPU
    is used.
    """

    name = "speech"
    reads = Speech.reads
    writes = Speech.writes
    Settings = WhisperSettings
    needs = Resources(memory_mb=4000, gpu_memory_mb=5000)

    def __init__(self, settings: BaseSettings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        [wanted] = self.files()
        if size := size_of(wanted.release):
            ram, resident, window = MEMORY[size]
            wide = 2 if self.settings.precision == "float32" else 1
            on_gpu = wide * (resident + self.settings.windows * window)
            self.resources = replace(self.resources, memory_mb=ram, gpu_memory_mb=on_gpu)

    def files(self) -> tuple[WhisperFiles]:
        return (WhisperFiles(setting="speech.model", reference=self.settings.model),)

    def setup(self) -> None:
        super().setup()
        import torch

        if self.device.type == "mps":
            self.device = torch.device("cpu")
        chosen = self.settings
        if chosen.precision == "auto":
            self.precision = torch.float16 if self.device.type == "cuda" else torch.float32
        [wanted] = self.files()
        self._recogniser = Recogniser(
            wanted.checkpoint(self.located(wanted)),
            self.device,
            self.precision,
            language=chosen.language,
            guards=Guards(
                logprob=chosen.logprob_floor,
                compression=chosen.compression_ceiling,
                no_speech=chosen.no_speech_ceiling,
            ),
            temperatures=chosen.temperatures,
        )

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        windows = [self._windows(clip) for clip in clips]
        sounds = [window.sound() for found in windows if isinstance(found, list) for window in found]
        heard = [one for part in self.portions(sounds, self.settings.windows) for one in self._recogniser.hear(part)]
        results: list[Row | RowFailure] = []
        first = 0
        for found in windows:
            if isinstance(found, list):
                results.append(self._said(found, heard[first : first + len(found)]))
                first += len(found)
            else:
                results.append(found if found is not None else dict.fromkeys(self.writes.names))
        return results

    def _windows(self, clip: Row) -> list[Window] | RowFailure | None:
        """The clip's windows; None where nobody is heard."""
        try:
            samples = read_samples(clip.get("audio"))
        except RowFailure as problem:
            return problem
        spans = clip.get("speech_spans")
        return speech_windows(samples, spans, self.settings.max_seconds) if samples is not None and spans else None

    def _said(self, windows: Sequence[Window], heard: Sequence[Heard]) -> Row:
        spoken = [one for one in heard if one.text]
        words = []
        for window, one in zip(windows, heard, strict=True):
            for word in one.words:
                start, end = window.placed(word.start, word.end)
                words.append({"word": word.text, "start": start, "end": end, "confidence": word.probability})
        return {
            "transcript": " ".join(one.text for one in spoken) or None,
            "words": words,
            "transcript_quality": ("high" if all(one.passed for one in spoken) else "low") if spoken else None,
            "language": self._language(spoken),
        }

    def _language(self, spoken: Sequence[Heard]) -> str | None:
        if not self._recogniser.multilingual:
            return self.settings.language or None
        counted = Counter[str]()
        for one in spoken:
            counted[one.language] += len(one.text)
        if not counted:
            return None
        code = max(counted, key=lambda language: (counted[language], language))
        return BCP_47.get(code, code)


def size_of(release: str) -> str:
    """The key of `MEMORY` for a release, "" for none."""
    return "turbo" if release.endswith("-turbo") else release.partition(".")[0].partition("-")[0]
