"""Audio tags by LAION-CLAP: which of the labels in a vocabulary fit a clip's sound."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from operators import columns
from operators.audio import clap, waveform
from operators.audio.clap import Clap, SoundModel
from operators.audio.clap_checkpoints import CHECKPOINT, TEXT_ENCODER, ClapCheckpoint, checkpoint_files
from operators.audio.vocabulary import read_vocabulary
from operators.contract import OpenMedia, Resources, Row, tuning
from operators.contract import Settings as BaseSettings
from operators.errors import RowFailure
from operators.models.files import ModelFiles
from operators.models.operator import ModelOperator, ModelSettings
from operators.models.source import DIGITS

MODEL = "laion/clap-htsat-unfused@8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a"


class ClapTagsSettings(ModelSettings):
    """Which model, which labels, and how many of them are written."""

    model: str = Field(default=MODEL, description="unfused CLAP model; with backend=transformers")
    backend: Literal["transformers", "laion_clap"] = Field(
        default="transformers", description="the library that runs the model; laion_clap reads its own checkpoints"
    )
    checkpoint: str = Field(
        default=CHECKPOINT, description="the package's own checkpoint as PLACE/NAME.pt; with backend=laion_clap"
    )
    text_encoder: str = Field(
        default=TEXT_ENCODER, description="the text encoder's configuration and tokenizer; with backend=laion_clap"
    )
    vocabulary: str = Field(default="", description="text file with one label a line; empty for the default labels")
    prompt: str = Field(
        default="This is a sound of {label}.", description="sentence in which a label is given to the model"
    )
    top: int = Field(default=8, ge=1, le=100, description="tags that are written at most")
    floor: float = Field(default=0.05, ge=0, le=1, description="score from which a tag is written")
    windows: int = tuning(32, ge=1, le=1024, description="windows of 10 s that the model hears at once")

    @field_validator("prompt")
    @classmethod
    def _one_label(cls, prompt: str) -> str:
        if prompt.count("{label}") != 1 or "{" in prompt.replace("{label}", ""):
            raise ValueError("the prompt needs {label} once, and no other braces")
        return prompt


class ClapTags(ModelOperator):
    """Which labels fit the clip's sound, by LAION-CLAP and zero-shot, and the sound's embedding.

    A label's score says how well it fits beside the other labels: a softmax over the vocabulary at the
    model's own temperature, mean over windows of at most 10 s that cover the clip. The scores of all
    labels sum to 1, so that they are no shares of the clip, unlike the measured tags of the lite preset
    (operators/audio/tags.py); the shares of speech, music and silence are columns of their own. Tags are
    none where nothing reaches the floor. Clips without audio get nulls.
    """

    name = "tags"
    reads = ("audio",)
    writes: pa.Schema = columns.select("audio_tags", "audio_embedding")
    Settings = ClapTagsSettings
    needs = Resources(memory_mb=3000, gpu_memory_mb=3000)

    def __init__(self, settings: BaseSettings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        self.labels = read_vocabulary(self.settings.vocabulary)

    def files(self) -> tuple[ModelFiles, ...]:
        chosen = self.settings
        if chosen.backend == "laion_clap":
            return checkpoint_files(chosen.checkpoint, chosen.text_encoder)
        return (clap.clap_files("tags.model", chosen.model),)

    def revision(self) -> str:
        """The model's, and the labels' where a file gave them: the fingerprint must not rest on a path alone."""
        if not self.settings.vocabulary:
            return super().revision()
        digest = hashlib.sha256("\n".join(self.labels).encode()).hexdigest()[:DIGITS]
        return f"{super().revision()}+vocabulary@{digest}"

    def setup(self) -> None:
        super().setup()
        folders = [self.located(files) for files in self.files()]
        self._model: SoundModel
        if self.settings.backend == "laion_clap":
            path = folders[0] / Path(self.settings.checkpoint).name
            self._model = ClapCheckpoint(path, folders[1], self.device, self.precision)
        else:
            self._model = Clap(folders[0], "tags.model", self.device, self.precision)
        self._sentences = self._model.sentences([self.settings.prompt.format(label=label) for label in self.labels])

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        heard = [_heard(clip) for clip in clips]
        pieces = [piece for found in heard if not isinstance(found, RowFailure) for piece in found]
        vectors = [row for part in self.portions(pieces, self.settings.windows) for row in self._model.sounds(part)]
        results: list[Row | RowFailure] = []
        first = 0
        for found in heard:
            if isinstance(found, RowFailure):
                results.append(found)
                continue
            results.append(self._tagged(np.stack(vectors[first : first + len(found)]), found) if found else _NOTHING)
            first += len(found)
        return results

    def _tagged(self, vectors: clap.Vectors, pieces: Sequence[waveform.Samples]) -> Row:
        scores = np.average(
            clap.shares(vectors, self._sentences, self._model.scale),
            axis=0,
            weights=[len(piece) for piece in pieces],
        )
        best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: self.settings.top]
        return {
            "audio_tags": [
                {"tag": self.labels[index], "score": float(scores[index])}
                for index in best
                if scores[index] >= self.settings.floor
            ],
            "audio_embedding": clap.pooled(vectors, pieces).tolist(),
        }


_NOTHING: Row = {"audio_tags": None, "audio_embedding": None}


def _heard(clip: Row) -> list[waveform.Samples] | RowFailure:
    try:
        samples = waveform.read_samples(clip.get("audio"))
    except RowFailure as problem:
        return problem
    return [] if samples is None else clap.windows(samples)
