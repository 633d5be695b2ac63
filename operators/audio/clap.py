"""LAION-CLAP: sounds and sentences as vectors of one space, near each other where they fit.

Y. Wu, K. Chen, T. Zhang et al., "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion
and Keyword-to-Caption Augmentation", ICASSP 2023.

A clip is heard in windows of at most 10 s, the longest that the unfused models take, so that none is ever
cut at random (`truncation=rand_trunc` of the feature extractor cuts longer ones). Shorter windows are
repeated and padded to 10 s as in training. The log-mel features are those of `ClapFeatureExtractor` with
its own filter bank, computed for a whole batch on the model's device: the extractor itself works in numpy,
53 ms of CPU time a window where this takes 21 ms, or next to none on a GPU.

The pipeline's sound has 16,000 samples a second: what lies above 8 kHz is silent to the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from operators.audio.waveform import FULL_SCALE, SAMPLE_RATE, Samples
from operators.errors import ConfigurationError
from operators.models.checkpoint import import_transformers, load_model, load_part
from operators.models.device import import_torch
from operators.models.files import TOKENIZER, WEIGHTS, ModelFiles

if TYPE_CHECKING:
    import torch

RATE = 48_000  # samples per second that the models take
SECONDS = 10  # of a window
LONGEST = SECONDS * SAMPLE_RATE  # samples of a window as the pipeline has them
FILLED = SECONDS * RATE  # samples of a window as the model takes it: 480,000
RESAMPLING = {
    "resampling_method": "sinc_interp_kaiser",
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "beta": 14.769656459379492,
}
"""torchaudio's settings for the quality that resampy and librosa call "kaiser_best"."""

SENTENCES = 64  # sentences embedded at once
LOWEST_POWER = 1e-10  # floor of a mel band before the logarithm, as the extractor has it

Vectors = NDArray[np.float32]
"""Unit-length embeddings, shape (n, dimensions)."""


class SoundModel(Protocol):
    """A model that embeds sounds and sentences."""

    scale: float
    """By what similarities are multiplied before a softmax: the inverse of the temperature learned."""

    def sentences(self, lines: Sequence[str]) -> Vectors:
        """An embedding for each line."""
        ...

    def sounds(self, windows: Sequence[Samples]) -> Vectors:
        """An embedding for each window of at most `LONGEST` samples."""
        ...


def clap_files(setting: str, reference: str) -> ModelFiles:
    """What `Clap` loads."""
    needs = (("config.json",), WEIGHTS, ("preprocessor_config.json",), TOKENIZER)
    return ModelFiles(setting=setting, reference=reference, needs=needs)


class Clap:
    """An unfused CLAP model in the format of transformers, such as laion/clap-htsat-unfused.

    In a precision other than float32 the matrix products run in it and the rest stays as it is, so that
    the features, from -100 to 30 dB, keep theirs. Raises `ConfigurationError` for a fused model, and for files
    that are wrong or lack weights.
    """

    def __init__(self, folder: Path, setting: str, device: torch.device, precision: torch.dtype) -> None:
        self._torch = import_torch()
        transformers = import_transformers()
        self._device, self._precision = device, precision
        model = load_model(transformers.ClapModel, folder, setting, self._torch.float32)
        if model.config.audio_config.enable_fusion:
            raise ConfigurationError(
                f"{setting}: {folder} is a fused CLAP model, which cuts at random; take laion/clap-htsat-unfused"
            )
        self._model: Any = model.to(device)
        self._tokenizer: Any = load_part(transformers.AutoTokenizer, folder, setting)
        self._features = LogMel(load_part(transformers.ClapFeatureExtractor, folder, setting), setting, device)
        self.scale = float(model.logit_scale_a.exp())

    def sentences(self, lines: Sequence[str]) -> Vectors:
        parts = []
        for start in range(0, len(lines), SENTENCES):
            batch = self._tokenizer(
                list(lines[start : start + SENTENCES]), padding=True, truncation=True, return_tensors="pt"
            )
            parts.append(self._embedded(self._model.get_text_features, **batch.to(self._device)))
        return np.concatenate(parts)

    def sounds(self, windows: Sequence[Samples]) -> Vectors:
        features = self._features(filled(windows, self._device))
        return self._embedded(self._model.get_audio_features, input_features=features)

    def _embedded(self, embed: Any, **inputs: Any) -> Vectors:
        torch = self._torch
        mixed = torch.autocast(self._device.type, self._precision, enabled=self._precision != torch.float32)
        with torch.inference_mode(), mixed:
            found = embed(**inputs).pooler_output
        return found.float().cpu().numpy()


class LogMel:
    """The log-mel features of a `ClapFeatureExtractor` for batches, on a device."""

    def __init__(self, extractor: Any, setting: str, device: torch.device) -> None:
        torch = import_torch()
        if extractor.sampling_rate != RATE or extractor.nb_max_samples != FILLED:
            raise ConfigurationError(
                f"{setting}: this CLAP model takes {extractor.nb_max_samples} samples at {extractor.sampling_rate} "
                f"per second; Rushes knows those with {FILLED} at {RATE}"
            )
        self._size, self._hop = extractor.fft_window_size, extractor.hop_length
        self._window = torch.hann_window(self._size, device=device)
        self._bank = torch.from_numpy(extractor.mel_filters_slaney).float().to(device)

    def __call__(self, sounds: torch.Tensor) -> torch.Tensor:
        """Features in dB, shape (n, 1, frames, bands), of sounds of shape (n, samples)."""
        torch = import_torch()
        frames = torch.stft(sounds, self._size, self._hop, window=self._window, return_complex=True)
        power = frames.abs().square().transpose(1, 2)
        return 10 * torch.log10((power @ self._bank).clamp(min=LOWEST_POWER))[:, None]


def windows(samples: Samples) -> list[Samples]:
    """The clip in the fewest windows of equal length, give or take a sample, none over 10 s."""
    count = -(-len(samples) // LONGEST)
    return np.array_split(samples, count) if count else []


def filled(pieces: Sequence[Samples], device: torch.device) -> torch.Tensor:
    """Windows at 48 kHz, each repeated as often as it fits into 10 s, then silence: float32 of shape (n, 480,000).

    Every window is resampled for itself, as if silence lay around it.
    """
    torch = import_torch()
    from torchaudio.functional import resample

    padded = np.zeros((len(pieces), LONGEST), dtype=np.int16)
    for row, piece in zip(padded, pieces, strict=True):
        row[: len(piece)] = piece
    sounds = torch.from_numpy(padded).to(device).float() / FULL_SCALE
    sounds = resample(sounds, SAMPLE_RATE, RATE, **RESAMPLING)
    for row, piece in zip(sounds, pieces, strict=True):
        length = len(piece) * (RATE // SAMPLE_RATE)
        if length < FILLED:
            repeated = row[:length].repeat(FILLED // length)
            row[: len(repeated)] = repeated
            row[len(repeated) :] = 0
    return sounds


def pooled(vectors: Vectors, pieces: Sequence[Samples]) -> Vectors:
    """One unit-length embedding for the windows of a clip: their mean weighted by length, shape (dimensions,)."""
    mean = np.average(vectors, axis=0, weights=[len(piece) for piece in pieces])
    return (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)


def shares(sounds: Vectors, sentences: Vectors, scale: float) -> NDArray[np.float64]:
    """How well each sentence fits a sound beside the others: a softmax over each row, shape (sounds, sentences)."""
    logits = scale * (sounds.astype(np.float64) @ sentences.astype(np.float64).T)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
