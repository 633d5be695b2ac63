"""Which clips hold speech that can be used: words, a known language, little noise, one voice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from operators import columns
from operators.audio import activity, spectrum, waveform
from operators.audio.diarization import Diarizer, Turn
from operators.audio.waveform import Samples, read_samples
from operators.contract import ClipOperator, Row, tuning
from operators.contract import Settings as BaseSettings
from operators.pose.columns import select

FLOOR = 0.1  # share of the frames that are under the noise floor
DIGITAL_SILENCE = -90.0  # dBFS
ENOUGH = 0.3  # s of sound, and of speech, below which their levels are not compared


class TalkGates(ClipOperator):
    """The speech gates of GES-Inter: drops clips that are wordless, noisy, in another language or of several voices.

    `speech_snr` is the level of the voice activity over that of the quietest tenth of the clip, in dB; music
    and other voices count as noise as far as they go on in the pauses. Null without voice activity.

    `drop_reason`, in this order: "no_words", "language" (only where it is known), "noisy", "several_voices".
    `diarization` names who speaks when, with the user's pyannote pipeline; without one it is null.
    """

    name = "talk"
    reads = ("audio", "speech_spans", "transcript", "words", "language")
    writes: pa.Schema = pa.schema([*select("speech_snr", "diarization"), *columns.select("drop_reason")])

    class Settings(BaseSettings):
        min_words: int = Field(default=1, ge=0, description="words under which a clip is dropped")
        min_snr_db: float = Field(
            default=6.0,
            ge=-20,
            le=100,
            description="level of speech over that of the pauses, in dB, for a clip to stay",
        )
        languages: tuple[str, ...] = Field(
            default=(), description="languages that stay, such as en; none for all. An unknown one stays"
        )
        diarizer: str = Field(
            default="", description="pyannote.audio pipeline: a folder or config file on every node, or a hub name"
        )
        max_other_voices: float = Field(
            default=0.2, ge=0, le=1, description="share of the speech that voices beside the main one may have"
        )
        device: str = tuning("auto", description="where the diarizer runs: auto, cpu, cuda, …")

        @field_validator("languages")
        @classmethod
        def _tags(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
            if any(not language.isascii() or not language.partition("-")[0].isalpha() for language in languages):
                raise ValueError("languages are BCP 47 tags, such as en or pt-BR")
            return languages

    def setup(self) -> None:
        chosen = self.settings
        self._diarizer = Diarizer(chosen.diarizer, chosen.device) if chosen.diarizer else None

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._judged(clip) for clip in clips]

    def _judged(self, clip: Row) -> Row:
        samples = read_samples(clip.get("audio"))
        snr = None if samples is None else speech_snr(samples, clip.get("speech_spans") or ())
        turns = None if samples is None or self._diarizer is None else self._diarizer(samples)
        return {
            "speech_snr": snr,
            "diarization": None if turns is None else [turn.row() for turn in turns],
            "drop_reason": self._reason(clip, snr, turns),
        }

    def _reason(self, clip: Row, snr: float | None, turns: Sequence[Turn] | None) -> str | None:
        words = clip.get("words")
        count = len(words) if words is not None else len((clip.get("transcript") or "").split())
        if count < self.settings.min_words:
            return "no_words"
        if not _among(clip.get("language"), self.settings.languages):
            return "language"
        if snr is not None and snr < self.settings.min_snr_db:
            return "noisy"
        if turns and other_voices(turns) > self.settings.max_other_voices:
            return "several_voices"
        return None


def speech_snr(samples: Samples, spans: Sequence[Sequence[float]]) -> float | None:
    """Mean power in the spans of voice activity over the noise floor, in dB; None where there is too little sound.

    The floor is the power that a tenth of the clip's frames of 20 ms stay under (pauses, and the closures of
    stops), frames of digital silence left out. Steady noise that is as loud as the speech gives about 6 dB.
    """
    power = waveform.mean_squares(samples, spectrum.HOP)
    levels = waveform.decibels(power)
    speech = activity.covered([(start, end) for start, end in spans], len(power), spectrum.FRAME_RATE)
    sounding = levels > DIGITAL_SILENCE
    if min(speech.sum(), sounding.sum()) < ENOUGH * spectrum.FRAME_RATE:
        return None
    return float(waveform.decibels(float(power[speech].mean())) - np.quantile(levels[sounding], FLOOR))


def other_voices(turns: Sequence[Turn]) -> float:
    """Share of all turns' time that is not the main speaker's, 0 to 1."""
    seconds: dict[str, float] = {}
    for turn in turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end - turn.start
    total = sum(seconds.values())
    return 1 - max(seconds.values()) / total if total > 0 else 0.0


def _among(language: str | None, wanted: Sequence[str]) -> bool:
    """Whether the language is one of those wanted: a tag without a region stands for all of its regions."""
    if not wanted or language is None:
        return True
    have = language.lower()
    return any(have == tag.lower() or have.startswith(f"{tag.lower()}-") for tag in wanted)
