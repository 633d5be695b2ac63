"""Whisper over many windows at once: greedy words, guards, and another try at a higher temperature where they fail.

openai-whisper's `transcribe` takes one clip and walks through it, each window conditioned on the text
before; here windows stand for themselves, so that those of many clips are decoded together, and only the
ones that fail are decoded again. The guards and temperatures are those of `transcribe` (A. Radford et al.,
"Robust Speech Recognition via Large-Scale Weak Supervision", 2022, section 4.5).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError, MissingExtra
from operators.models.device import import_torch
from operators.models.whisper_files import release_of

if TYPE_CHECKING:
    import torch

Sound = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Guards:
    """What a window's text must pass: `logprob`, the mean log probability of a token, at least; `compression`, how
    often zlib shrinks the text, at most; `no_speech`, the probability of no speech over which a text that failed
    on `logprob` is taken for silence."""

    logprob: float
    compression: float
    no_speech: float

    def passes(self, result: Any) -> bool:
        """Whether the text is likely and does not repeat itself."""
        return result.avg_logprob >= self.logprob and result.compression_ratio <= self.compression

    def silent(self, result: Any) -> bool:
        """Whether the window holds no speech at all."""
        return result.no_speech_prob > self.no_speech and result.avg_logprob < self.logprob


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word with its times in the window in seconds, and its probability from 0 to 1."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a window says: `language` as Whisper's code, or "" where the model has only one; `passed` the guards."""

    text: str
    words: tuple[Word, ...]
    language: str
    passed: bool
    silent: bool


class Recogniser:
    """A Whisper model on a CPU or a CUDA device.

    `path` is a checkpoint in OpenAI's format, read with `weights_only`. `language` is Whisper's code of the
    language spoken, "" to detect it in each window. Raises `MissingExtra`, and `ConfigurationError` for a
    file that is no such checkpoint and for a language that the model does not know.
    """

    def __init__(
        self, path: Path, device: torch.device, precision: torch.dtype, *, language: str, guards: Guards,
        temperatures: Sequence[float],
    ) -> None:  # fmt: skip
        self._torch = torch = import_torch()
        try:
            import whisper
            from whisper import decoding, timing, tokenizer
        except ImportError as problem:
            raise MissingExtra("openai-whisper", "models") from problem
        self._whisper, self._decoding, self._timing, self._tokenizers = whisper, decoding, timing, tokenizer
        if precision == torch.float16 and device.type != "cuda":
            raise ConfigurationError("speech.precision=float16 needs a CUDA device; use float32 or auto")
        self._device, self._half = device, precision == torch.float16
        self._guards, self._temperatures = guards, temperatures
        try:
            self._model: Any = whisper.load_model(str(path), device=torch.device("cpu")).eval().requires_grad_(False)
        except Exception as problem:
            first = str(problem).strip().split("\n")[0]
            raise ConfigurationError(f"{path} is no Whisper checkpoint of OpenAI's format: {first:.200}") from problem
        if release := release_of(path):
            self._model.set_alignment_heads(whisper._ALIGNMENT_HEADS[release])
        if self._half:
            _halve(self._model)
        self._model.to(device)
        self.multilingual: bool = self._model.is_multilingual
        known = tokenizer.LANGUAGES if self.multilingual else {"en": "english"}
        if language and language not in known:
            raise ConfigurationError(
                f"speech.language: this model knows no {language!r:.40}; it knows {', '.join(known)}"
            )
        self._language = language if self.multilingual else "en"
        with warnings.catch_warnings():  # the package leaves its vocabulary's file open
            warnings.simplefilter("ignore", ResourceWarning)
            self._tokenizer(self._language or "en")

    def hear(self, sounds: Sequence[Sound]) -> list[Heard]:
        """What each sound of at most 30 s at 16,000 samples per second says."""
        results = self._decoded(sounds)
        return [self._heard(result, len(sound)) for result, sound in zip(results, sounds, strict=True)]

    def features(self, sounds: Sequence[Sound]) -> torch.Tensor:
        """Log-mel features, shape (n, bands, 3000), each sound's for itself: their floor hangs on the loudest one."""
        whisper = self._whisper
        bands = self._model.dims.n_mels
        return self._torch.stack(
            [
                whisper.log_mel_spectrogram(whisper.pad_or_trim(self._torch.from_numpy(sound).to(self._device)), bands)
                for sound in sounds
            ]
        )

    def _decoded(self, sounds: Sequence[Sound]) -> list[Any]:
        """The result at the first temperature that passes the guards, else the one at the last."""
        first, *others = self._temperatures
        options = self._options(first)
        if first == 0:
            results = self._whisper.decode(self._model, self.features(sounds), options)
        else:
            results = self._sampled(self.features(sounds), sounds, first)
        for temperature in others:
            again = [number for number, result in enumerate(results) if self._failed(result)]
            if not again:
                break
            encoded = self._torch.stack([results[number].audio_features for number in again])
            for number, result in zip(
                again, self._sampled(encoded, [sounds[n] for n in again], temperature), strict=True
            ):
                results[number] = result
        return results

    def _sampled(self, features: torch.Tensor, sounds: Sequence[Sound], temperature: float) -> list[Any]:
        task = self._decoding.DecodingTask(self._model, self._options(temperature))
        draws = np.stack([seeded_draws(sound, temperature, task.sample_len) for sound in sounds])
        task.decoder = SeededSampling(task.decoder, draws)
        return task.run(features)

    def _failed(self, result: Any) -> bool:
        return not self._guards.passes(result) and not self._guards.silent(result)

    def _options(self, temperature: float) -> Any:
        # Times come from alignment; time tokens would only take places in the text.
        return self._whisper.DecodingOptions(
            language=self._language or None, temperature=temperature, without_timestamps=True, fp16=self._half
        )

    def _heard(self, result: Any, samples: int) -> Heard:
        silent = self._guards.silent(result)
        tokenizer = self._tokenizer(result.language)
        tokens = [token for token in result.tokens if token < tokenizer.eot]  # above are marks, which are no words
        text = "" if silent else tokenizer.decode(tokens).strip()
        return Heard(
            text=text,
            words=self._aligned(tokens, tokenizer, result.audio_features, samples) if text else (),
            language=result.language if self.multilingual else "",
            passed=self._guards.passes(result),
            silent=silent,
        )

    def _tokenizer(self, language: str) -> Any:
        known = self._model.num_languages
        return self._tokenizers.get_tokenizer(
            self.multilingual, num_languages=known, language=language, task="transcribe"
        )

    def _aligned(
        self, tokens: Sequence[int], tokenizer: Any, features: torch.Tensor, samples: int
    ) -> tuple[Word, ...]:
        seconds = samples / self._whisper.audio.SAMPLE_RATE
        segment = {"seek": 0, "start": 0.0, "end": seconds, "tokens": list(tokens)}
        self._timing.add_word_timestamps(
            segments=[segment],
            model=_Encoded(self._model),
            tokenizer=tokenizer,
            mel=features,
            num_frames=samples // self._whisper.audio.HOP_LENGTH,
            last_speech_timestamp=0.0,
        )
        return tuple(
            Word(text=text, start=float(word["start"]), end=float(word["end"]), probability=float(word["probability"]))
            for word in segment["words"]
            if (text := word["word"].strip())
        )


class SeededSampling:
    """Chooses tokens at a temperature by numbers drawn beforehand, one per window and step.

    The package's own decoder draws for the whole batch at once, so that a window's words would hang on its
    neighbours. `draws` has values in [0, 1), shape (windows, steps); a token is the one whose share of the
    cumulative probabilities holds the number.
    """

    def __init__(self, greedy: Any, draws: NDArray[np.float64]) -> None:
        self._greedy, self._draws = greedy, draws
        self._step = 0

    def reset(self) -> None:
        self._step = 0

    def update(self, tokens: torch.Tensor, logits: torch.Tensor, sum_logprobs: torch.Tensor) -> tuple[Any, Any]:
        """The next token of every window; ended windows stay ended. As in the package's `GreedyDecoder.update`."""
        torch = import_torch()
        eot = self._greedy.eot
        shares = torch.softmax(logits.double() / self._greedy.temperature, dim=-1).cumsum(dim=-1)
        draw = torch.from_numpy(self._draws[:, self._step : self._step + 1]).to(logits.device)
        self._step += 1
        chosen = torch.searchsorted(shares, draw * shares[:, -1:], right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
        likelihood = torch.log_softmax(logits.float(), dim=-1).gather(1, chosen[:, None])[:, 0]
        ended = tokens[:, -1] == eot
        sum_logprobs += likelihood * ~ended
        chosen = torch.where(ended, eot, chosen)
        return torch.cat([tokens, chosen[:, None]], dim=-1), bool((chosen == eot).all())

    def finalize(self, tokens: torch.Tensor, sum_logprobs: torch.Tensor) -> tuple[Any, Any]:
        return self._greedy.finalize(tokens, sum_logprobs)


class _Encoded:
    """A model whose sound is encoded already, as `whisper.timing` uses a model: saves the second encoding."""

    def __init__(self, model: Any) -> None:
        self.dims, self.decoder, self.device = model.dims, model.decoder, model.device
        self.alignment_heads = model.alignment_heads

    def __call__(self, features: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        return self.decoder(tokens, features)


def seeded_draws(sound: Sound, temperature: float, steps: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) that hang on the sound and the temperature alone, shape (steps,)."""
    facts = hashlib.sha256(sound.tobytes())
    facts.update(f"{temperature:.6f}".encode())
    return np.random.default_rng(int.from_bytes(facts.digest(), "big")).random(steps)


def _halve(model: Any) -> None:
    """Hold in half precision what the package casts to it at every step; its norms stay in single precision."""
    from whisper.model import LayerNorm

    for part in model.modules():
        if not isinstance(part, LayerNorm):
            for weight in part.parameters(recurse=False):
                weight.data = weight.data.half()
