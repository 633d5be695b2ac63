"""One case per operator: the operator itself, and the same loaded model in a bare loop, which is its limit.

The limit's inputs are prepared beforehand, lie on the device, and come in full batches of the size that the
operator uses. What is left to the operator alone: reading rows, decoding, resizing, features, what follows the
model, and batches that are not full.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

from benchmarks import model_weights
from benchmarks.model_weights import Size
from operators.audio import clap, waveform
from operators.audio.clap_tags import ClapTags
from operators.audio.passages import measure_music
from operators.audio.retrieved_music import HEARD, RetrievedMusic, between_voices
from operators.contract import Row
from operators.errors import RushesError
from operators.language.whisper_speech import WhisperSpeech
from operators.language.whisper_windows import speech_windows
from operators.models.operator import ModelOperator
from operators.video.aesthetics import Aesthetics
from operators.video.frame_captions import FrameCaptions
from operators.video.stills import decode_small
from tests.tiny.aesthetic_head import write_aesthetic_head

COUNTED = 2
"""Items of a batch on which floating point operations are counted; they grow with the items."""


class Case(ABC):
    """An operator on random weights. `settings` are laid over those that the case needs."""

    kind: ClassVar[type[ModelOperator]]
    column: ClassVar[str]
    """A column that every clip of the benchmark gets."""
    spoken: ClassVar[bool] = False
    """Whether its clips have voice activity."""
    limit_is: ClassVar[str] = "the model on preloaded full batches"

    def __init__(self, folder: Path, size: Size, device: str, settings: Mapping[str, Any]) -> None:
        self.size: Size = size
        self.device = device
        chosen = {"device": device, **self.models(folder), **settings}
        self.operator: Any = self.kind(self.kind.Settings.model_validate(chosen))

    @abstractmethod
    def models(self, folder: Path) -> dict[str, Any]:
        """Write the checkpoints; the settings that name them."""

    @abstractmethod
    def prepare(self, rows: Sequence[Row]) -> None:
        """Make the limit ready for these rows. The operator is set up."""

    @abstractmethod
    def limit(self) -> None:
        """One pass of the limit over the rows."""

    @abstractmethod
    def flops(self) -> float:
        """Floating point operations of the model in one pass."""

    def start(self) -> None:
        """Load the operator's model."""
        self.operator.setup()

    def annotate(self, rows: Sequence[Row]) -> list[Row]:
        """One pass of the operator, in as many threads as one of the pipeline's actors has.

        Raises `RushesError` for clips that failed or were not annotated.
        """
        size, threads = self.operator.resources.batch, self.operator.resources.concurrency
        batches = [rows[first : first + size] for first in range(0, len(rows), size)]
        with ThreadPoolExecutor(threads) as pool:
            found = [row for part in pool.map(lambda batch: list(self.operator(batch)), batches) for row in part]
        for row in found:
            if row["error"] is not None or row[self.column] is None:
                raise RushesError(f"{self.operator.name} gave clip {row['clip_id']} no {self.column}: {row['error']}")
        return found

    def fresh(self) -> None:
        """Forget what a pass left behind that would make the next one shorter."""

    def close(self) -> None:
        """End what `start` and `prepare` began."""


class TensorCase(Case):
    """A model in this process, called with one tensor of many items."""

    batches: list[Any]

    @property
    @abstractmethod
    def most(self) -> int:
        """Items of a full batch."""

    @abstractmethod
    def inputs(self, rows: Sequence[Row]) -> Any:
        """The model's input for all rows in order, a tensor on the device."""

    @abstractmethod
    def forward(self, batch: Any) -> Any:
        """The model's answer to a batch."""

    def prepare(self, rows: Sequence[Row]) -> None:
        import torch

        with torch.inference_mode():
            self.batches = list(self.inputs(rows).split(self.most))

    def limit(self) -> None:
        import torch

        with torch.inference_mode():
            for batch in self.batches:
                self.forward(batch)
        if self.device == "cuda":
            torch.cuda.synchronize()

    def flops(self) -> float:
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        few = self.batches[0][:COUNTED]
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            self.forward(few)
        return counter.get_total_flops() / len(few) * sum(map(len, self.batches))


class PictureCase(TensorCase):
    """A model that sees keyframes."""

    @property
    def most(self) -> int:
        return self.operator.portion

    def inputs(self, rows: Sequence[Row]) -> Any:
        import torch

        operator = self.operator
        parts = [
            operator._processor(
                images=[decode_small(jpeg, operator.side) for jpeg in row["keyframes"]],
                device=operator.device,
                input_data_format="channels_last",
                return_tensors="pt",
            )["pixel_values"]
            for row in rows
        ]
        return torch.cat(parts).to(operator.precision)


class AestheticsCase(PictureCase):
    """CLIP's vision tower and its projection; the head and the prompts are the operator's own."""

    kind = Aesthetics
    column = "image_quality"

    def models(self, folder: Path) -> dict[str, Any]:
        model = model_weights.clip(folder / "clip", self.size)
        width = model_weights.CLIP_L14["projection"] if self.size == "real" else 24
        return {"model": str(model), "head": str(write_aesthetic_head(folder / "head", embedding=width))}

    def forward(self, batch: Any) -> Any:
        return self.operator._projection(self.operator._vision(pixel_values=batch).pooler_output)


class FramesCase(PictureCase):
    """BLIP's `generate`. Random weights rarely end a caption, so that most have 30 tokens."""

    kind = FrameCaptions
    column = "frame_caption"

    def models(self, folder: Path) -> dict[str, Any]:
        return {"model": str(model_weights.blip(folder / "blip", self.size))}

    def forward(self, batch: Any) -> Any:
        tokens = self.operator.settings.max_tokens
        return self.operator._model.generate(pixel_values=batch, max_new_tokens=tokens, do_sample=False, num_beams=1)


class SoundCase(TensorCase):
    """CLAP's audio tower."""

    @property
    def most(self) -> int:
        return self.operator.settings.windows

    @abstractmethod
    def pieces(self, row: Row) -> list[waveform.Samples]:
        """The windows of a clip that the model hears."""

    def inputs(self, rows: Sequence[Row]) -> Any:
        import torch

        heard, device = self.operator._model, self.operator.device
        pieces = [piece for row in rows for piece in self.pieces(row)]
        return torch.cat([heard._features(clap.filled([piece], device)) for piece in pieces])

    def forward(self, batch: Any) -> Any:
        import torch

        precision = self.operator.precision
        with torch.autocast(self.operator.device.type, precision, enabled=precision != torch.float32):
            return self.operator._model._model.get_audio_features(input_features=batch)


class TagsCase(SoundCase):
    """CLAP on the whole clip."""

    kind = ClapTags
    column = "audio_embedding"

    def models(self, folder: Path) -> dict[str, Any]:
        return {"model": str(model_weights.clap(folder / "clap", self.size))}

    def pieces(self, row: Row) -> list[waveform.Samples]:
        return clap.windows(_samples(row))


class MusicCase(SoundCase):
    """CLAP on the music between the voices; what is measured of the music is the operator's own."""

    kind = RetrievedMusic
    column = "music_caption"

    def models(self, folder: Path) -> dict[str, Any]:
        return {"model": str(model_weights.music_clap(folder / "clap", self.size))}

    def pieces(self, row: Row) -> list[waveform.Samples]:
        set_to = self.operator.settings
        found = measure_music(row, min_share=set_to.min_share, min_seconds=set_to.min_seconds)
        heard = [between_voices(part) for part in found.stretches] if found else []
        return [piece for part in heard if len(part) >= HEARD * waveform.SAMPLE_RATE for piece in clap.windows(part)]


class SpeechCase(TensorCase):
    """Whisper's own `decode` on ready features; the times of words are the operator's own.

    Every text passes at temperature 0, as most do with trained weights: random ones would be tried six times.
    """

    kind = WhisperSpeech
    column = "words"
    spoken = True

    def models(self, folder: Path) -> dict[str, Any]:
        passing = {"temperatures": (0.0,), "logprob_floor": -20.0, "compression_ceiling": 100.0}
        return {"model": str(model_weights.whisper(folder / "whisper", self.size)), "language": "en", **passing}

    @property
    def most(self) -> int:
        return self.operator.settings.windows

    def inputs(self, rows: Sequence[Row]) -> Any:
        budget = self.operator.settings.max_seconds
        windows = [
            window.sound() for row in rows for window in speech_windows(_samples(row), row["speech_spans"], budget)
        ]
        return self.operator._recogniser.features(windows)

    def forward(self, batch: Any) -> Any:
        import torch
        import whisper

        options = whisper.DecodingOptions(
            language="en", temperature=0.0, without_timestamps=True, fp16=self.operator.precision == torch.float16
        )
        return whisper.decode(self.operator._recogniser._model, batch, options)


def _samples(row: Row) -> waveform.Samples:
    samples = waveform.read_samples(row["audio"])
    assert samples is not None
    return samples
