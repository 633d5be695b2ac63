"""LAION's aesthetic head with random weights, in the files that were released."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

HIDDEN = (1024, 128, 64, 16)
RELEASED = "sac+logos+ava1-l14-linearMSE.pth"


def write_aesthetic_head(
    folder: Path, *, embedding: int = 24, name: str = RELEASED, hidden: tuple[int, ...] = HIDDEN, seed: int = 0
) -> Path:
    """Writes the state of LAION's network (linear layers with dropout between) under `name`. Gives the folder."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    sizes = [embedding, *hidden, 1]
    layers: list[nn.Module] = []
    for number, (inner, outer) in enumerate(pairwise(sizes)):
        layers.append(nn.Linear(inner, outer))
        if number < 3:
            layers.append(nn.Dropout(0.2))
    state = {f"layers.{key}": value for key, value in nn.Sequential(*layers).state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".safetensors"):
        from safetensors.torch import save_file

        save_file(state, folder / name)
    else:
        torch.save(state, folder / name)
    return folder
