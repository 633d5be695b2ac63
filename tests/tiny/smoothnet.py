"""SmoothNet's weights under their published names: random ones, and ones that are a moving average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

State = dict[str, Any]


def random_weights(window: int = 32, hidden: int = 24, inner: int = 16, blocks: int = 2, seed: int = 0) -> State:
    import torch

    random = torch.Generator().manual_seed(seed)

    def layer(name: str, outs: int, ins: int) -> State:
        return {
            f"{name}.weight": torch.randn(outs, ins, generator=random) / ins**0.5,
            f"{name}.bias": torch.randn(outs, generator=random) * 0.01,
        }

    state = {**layer("encoder.0", hidden, window), **layer("decoder", window, hidden)}
    for number in range(blocks):
        state |= layer(f"res_blocks.{number}.linear1", inner, hidden)
        state |= layer(f"res_blocks.{number}.linear2", hidden, inner)
    return state


def averaging_weights(window: int = 32, width: int = 5) -> State:
    """A network that is exactly the mean over `width` frames, fewer at the ends of the window.

    Hidden units hold every frame and its opposite: of the two leaky rectifiers the difference is linear again.
    """
    import torch

    eye = np.eye(window)
    mean = np.array([[abs(i - j) <= width // 2 for j in range(window)] for i in range(window)], dtype=float)
    mean /= mean.sum(axis=1, keepdims=True)
    arrays = {
        "encoder.0.weight": np.concatenate([eye, -eye]),
        "encoder.0.bias": np.zeros(2 * window),
        "res_blocks.0.linear1.weight": np.zeros((4, 2 * window)),
        "res_blocks.0.linear1.bias": np.zeros(4),
        "res_blocks.0.linear2.weight": np.zeros((2 * window, 4)),
        "res_blocks.0.linear2.bias": np.zeros(2 * window),
        "decoder.weight": np.concatenate([mean, -mean], axis=1) / 1.1,
        "decoder.bias": np.zeros(window),
    }
    return {name: torch.from_numpy(array).float() for name, array in arrays.items()}


def write_smoothnet(path: Path, state: State | None = None) -> Path:
    """Write `state` (random weights where none is given) as the ending of `path` says; ".pth.tar" as released."""
    import torch
    from safetensors.torch import save_file

    state = random_weights() if state is None else state
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save({"state_dict": state, "epoch": 1} if path.suffix == ".tar" else state, path)
    return path
