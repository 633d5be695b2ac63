"""Who speaks when, by the user's pyannote.audio pipeline (https://github.com/pyannote/pyannote-audio).

The package and its models are not part of any preset: models are the user's to fetch, under their terms.
Versions 3 and 4 are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from operators.audio.waveform import FULL_SCALE, SAMPLE_RATE, Samples
from operators.contract import Row
from operators.errors import ConfigurationError

SHORTEST = SAMPLE_RATE // 10  # samples: less holds no turn


@dataclass(frozen=True)
class Turn:
    """One speaker's turn, in seconds from the clip's start. Turns may overlap."""

    speaker: str
    start: float
    end: float

    def row(self) -> Row:
        """The turn as a value of the `diarization` column."""
        return {"speaker": self.speaker, "start": self.start, "end": self.end}


class Diarizer:
    """A pyannote.audio pipeline from a folder, a config file or the hub, on a device.

    Raises `ConfigurationError` where the package is not installed or the pipeline cannot be loaded.
    """

    def __init__(self, pipeline: str, device: str = "auto") -> None:
        try:
            import torch
            from pyannote.audio import Pipeline  # pyright: ignore[reportMissingImports]
        except ImportError as problem:
            raise ConfigurationError(
                "talk.diarizer needs pyannote.audio, which is not installed: pip install pyannote.audio"
            ) from problem
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            loaded = Pipeline.from_pretrained(pipeline)
        except Exception as problem:
            raise ConfigurationError(f"talk.diarizer {pipeline!r} cannot be loaded: {problem}") from problem
        if loaded is None:  # version 3 says so where the hub refuses
            raise ConfigurationError(f"talk.diarizer {pipeline!r} cannot be loaded: accept its terms on the hub")
        self._pipeline: Any = loaded
        self._pipeline.to(torch.device(device))

    def __call__(self, samples: Samples) -> list[Turn]:
        """Turns in order. Speakers are called SPEAKER_00, SPEAKER_01, … in the order in which they are heard."""
        import torch

        if len(samples) < SHORTEST:
            return []
        sound = torch.from_numpy(samples.astype("float32") / FULL_SCALE)[None]
        with torch.inference_mode():
            heard = self._pipeline({"waveform": sound, "sample_rate": SAMPLE_RATE})
        annotation = getattr(heard, "speaker_diarization", heard)  # version 4 wraps it
        found = [(s.start, s.end, str(label)) for s, _, label in annotation.itertracks(yield_label=True)]
        seconds = len(samples) / SAMPLE_RATE
        names: dict[str, str] = {}
        turns = []
        for start, end, label in sorted(found):
            start, end = max(0.0, float(start)), min(seconds, float(end))
            if start < end:
                name = names.setdefault(label, f"SPEAKER_{len(names):02d}")
                turns.append(Turn(name, start, end))
        return turns
