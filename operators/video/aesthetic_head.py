"""LAION's aesthetic head: five linear layers from a CLIP embedding to a score of about 1 to 10.

`sac+logos+ava1-l14-linearMSE`, trained by Schuhmann on ratings of SAC, LAION-Logos and AVA, for unit embeddings
of OpenAI's CLIP ViT-L/14. Between the layers it has dropout only, which does nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.errors import ConfigurationError

if TYPE_CHECKING:
    import torch

HEAD_FILES = (
    "sac+logos+ava1-l14-linearMSE.safetensors",
    "sac+logos+ava1-l14-linearMSE.pth",  # as LAION released it
    "aesthetic-model.pth",  # the same layers, under the name in trl-lib/ddpo-aesthetic-predictor
    "model.safetensors",  # the same again, in ttj/sac-logos-ava1-l14-linearMSE
)
"""Names by which the head is found in a folder, the first that is there."""

_LAYER = re.compile(r"layers\.(\d+)\.weight\Z")

Layer = tuple["torch.Tensor", "torch.Tensor"]


def load_head(folder: Path, embedding: int) -> list[Layer]:
    """The layers (weight [out, in], bias [out]), float32, in order, for embeddings of that length.

    Raises `ConfigurationError` where the file holds something else. Pickles are read with `weights_only`.
    """
    path = next(folder / name for name in HEAD_FILES if (folder / name).is_file())
    try:
        layers = _layers(_state(path))
    except Exception as problem:  # torch and safetensors raise their own kinds for damaged files
        raise ConfigurationError(
            f"aesthetics.head: {path} is not the head that LAION released: {problem!s:.200}"
        ) from problem
    sizes = [embedding, *(len(bias) for _, bias in layers)]
    if sizes[-1] != 1 or any(weight.shape[1] != size for (weight, _), size in zip(layers, sizes, strict=False)):
        shapes = [tuple(weight.shape) for weight, _ in layers]
        raise ConfigurationError(
            f"aesthetics.head: {path} has layers {shapes}, which do not lead from the model's embedding of "
            f"{embedding} to one score; head and model belong together (the head is for CLIP ViT-L/14)"
        )
    return layers


def _state(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _layers(state: Mapping[str, Any]) -> list[Layer]:
    numbers = sorted(int(found[1]) for name in state if (found := _LAYER.match(name)))
    if not numbers or len(state) != 2 * len(numbers):
        raise ValueError(f"expected layers.N.weight and layers.N.bias, found {sorted(state)[:6]}")
    return [(state[f"layers.{n}.weight"].float(), state[f"layers.{n}.bias"].float()) for n in numbers]


def aesthetic_score(embeddings: torch.Tensor, layers: Sequence[Layer]) -> torch.Tensor:
    """Scores, float32 [n], of unit embeddings [n, dimensions]."""
    import torch

    for weight, bias in layers:
        embeddings = torch.nn.functional.linear(embeddings, weight, bias)
    return embeddings[:, 0]
