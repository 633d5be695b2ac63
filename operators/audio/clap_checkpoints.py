"""LAION-CLAP's own checkpoints (.pt), by the architecture in the `laion-clap` package.

The package pins numpy below 2 and, where it is imported as `laion_clap`, fetches three tokenizers from the
hub and unpickles checkpoints without restraint. So only its model code is imported, as the package itself
does it (`clap_module`, from its folder), the text encoder is built from files that are chosen like those
of any model, and weights are read with `weights_only`. That runs with numpy 2 and transformers 5:

    pip install --no-deps laion-clap torchlibrosa
    pip install librosa h5py ftfy
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from operators.audio.clap import SENTENCES, Vectors, filled
from operators.audio.waveform import Samples
from operators.errors import ConfigurationError
from operators.models.checkpoint import import_transformers, load_part
from operators.models.device import import_torch
from operators.models.files import TOKENIZER, ModelFiles

if TYPE_CHECKING:
    import torch

CHECKPOINT = "lukewys/laion_clap@b3708341862f581175dba5c356a4ebf74a9b6651/630k-audioset-best.pt"
TEXT_ENCODER = "FacebookAI/roberta-base@e2da8e2f811d1448a5b465c236feacd80ffbac7b"
INSTALL = "pip install --no-deps laion-clap torchlibrosa && pip install librosa h5py ftfy"
TOKENS = 77  # of a sentence, as the package pads it
SIZES = {96: "HTSAT-tiny", 128: "HTSAT-base", 256: "HTSAT-large"}
"""The package's audio encoders by the width of their patch embedding."""

_PATCHES = "audio_branch.patch_embed.proj.weight"
_FUSED = "audio_branch.patch_embed.mel_conv2d.weight"
_POSITIONS = "text_branch.embeddings.position_ids"  # a constant that older transformers stored


def checkpoint_files(checkpoint: str, text_encoder: str) -> tuple[ModelFiles, ModelFiles]:
    """What `ClapCheckpoint` loads: the file that `checkpoint` ends with, and the text encoder without weights."""
    place, _, name = checkpoint.rpartition("/")
    if not place or not name.endswith((".pt", ".pth")):
        raise ConfigurationError(f"tags.checkpoint: {checkpoint!r:.120} names no checkpoint; write PLACE/NAME.pt")
    return (
        ModelFiles(setting="tags.checkpoint", reference=place, needs=((name,),), patterns=()),
        ModelFiles(setting="tags.text_encoder", reference=text_encoder, needs=(("config.json",), TOKENIZER)),
    )


class ClapCheckpoint:
    """An unfused CLAP model from the package's own checkpoint, with RoBERTa as its text encoder.

    `path` is the .pt file, `text_encoder` a folder with RoBERTa's configuration and tokenizer; its weights
    are in the checkpoint. Raises `ConfigurationError` where the package is missing, or where the checkpoint
    is fused, unsafe to read or not one of these.
    """

    def __init__(self, path: Path, text_encoder: Path, device: torch.device, precision: torch.dtype) -> None:
        self._torch = import_torch()
        transformers = import_transformers()
        self._device, self._precision = device, precision
        weights = read_weights(path)
        if _PATCHES not in weights or _FUSED in weights:
            raise ConfigurationError(f"{path} is no unfused LAION-CLAP checkpoint; take 630k-audioset-best.pt")
        config = load_part(transformers.RobertaConfig, text_encoder, "tags.text_encoder")
        with _text_encoder(config) as create_model:
            self._model, _ = create_model(SIZES[weights[_PATCHES].shape[0]], "roberta", device=device)
        lacking, strange = self._model.load_state_dict(weights, strict=False)
        if lacking or strange:
            raise ConfigurationError(
                f"{path} does not fit the model: it lacks {lacking[:3]} and has {strange[:3]}; "
                "is tags.text_encoder the one it was trained with?"
            )
        self._model.eval().requires_grad_(False)
        self._tokenizer: Any = load_part(transformers.AutoTokenizer, text_encoder, "tags.text_encoder")
        self.scale = float(self._model.logit_scale_a.exp())

    def sentences(self, lines: Sequence[str]) -> Vectors:
        parts = []
        for start in range(0, len(lines), SENTENCES):
            batch = self._tokenizer(
                list(lines[start : start + SENTENCES]),
                padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt",
            )  # fmt: skip
            parts.append(self._embedded(self._model.get_text_embedding, dict(batch)))
        return np.concatenate(parts)

    def sounds(self, windows: Sequence[Samples]) -> Vectors:
        never = self._torch.tensor([False])
        sounds = filled(windows, self._device)
        return self._embedded(
            self._model.get_audio_embedding, [{"waveform": sound, "longer": never} for sound in sounds]
        )

    def _embedded(self, embed: Any, inputs: Any) -> Vectors:
        torch = self._torch
        mixed = torch.autocast(self._device.type, self._precision, enabled=self._precision != torch.float32)
        with torch.inference_mode(), mixed:
            found = embed(inputs)
        return found.float().cpu().numpy()


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The model's weights in a training checkpoint, which also holds numpy's numbers beside them.

    Nothing else is unpickled. Raises `ConfigurationError`.
    """
    torch = import_torch()
    from numpy._core.multiarray import scalar  # type: ignore[attr-defined]

    numbers: list[Any] = [
        np.dtype, type(np.dtype(np.float32)), type(np.dtype(np.float64)), type(np.dtype(np.int64)),
        scalar, (scalar, "numpy.core.multiarray.scalar"),
    ]  # fmt: skip
    try:
        with torch.serialization.safe_globals(numbers):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as problem:
        first = str(problem).strip().split("\n")[0]
        raise ConfigurationError(f"{path} cannot be read as plain weights: {first:.200}") from problem
    weights = found.get("state_dict", found) if isinstance(found, dict) else {}
    return {name.removeprefix("module."): value for name, value in weights.items() if not name.endswith(_POSITIONS)}


@contextmanager
def _text_encoder(config: Any) -> Iterator[Any]:
    """The package's `create_model`, while its RoBERTa is built from `config` in place of the hub's."""
    spec = importlib.util.find_spec("laion_clap")
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"backend=laion_clap needs the package; install it with: {INSTALL}")
    folder = str(Path(spec.origin).parent)
    sys.path.append(folder)
    try:
        from clap_module import model as parts  # type: ignore[import-not-found]
        from clap_module.factory import create_model  # type: ignore[import-not-found]
    except ImportError as problem:
        raise ConfigurationError(f"laion_clap lacks a library ({problem}); install them with: {INSTALL}") from problem
    finally:
        sys.path.remove(folder)
    published = parts.RobertaModel
    parts.RobertaModel = _Untrained(published, config)
    try:
        yield create_model
    finally:
        parts.RobertaModel = published


class _Untrained:
    """Stands where the package asks RoBERTa's class for pretrained weights, which the checkpoint replaces."""

    def __init__(self, published: Any, config: Any) -> None:
        self._published, self._config = published, config

    def from_pretrained(self, name: str) -> Any:
        return self._published(self._config)
