"""SmoothNet: a network that smooths one number over a window of frames, whatever the number is.

After Zeng et al., "SmoothNet: A Plug-and-Play Network for Refining Human Poses in Videos", ECCV 2022, in the
layout of its published weights: a linear layer from the window to hidden units, residual blocks of two
linear layers, and a linear layer back. Weights are the user's; their shapes say how large it is. Rotations
go through it as the first two columns of their matrices, as in the paper's "6D" models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError
from operators.models.device import import_torch
from operators.models.files import ModelFiles
from operators.models.one_file import one_file

if TYPE_CHECKING:
    import torch

SUFFIXES = (".safetensors", ".pth.tar", ".pth", ".pt")
NAMES = ("smoothnet.safetensors", "smoothnet.pt", "checkpoint_32.pth.tar", "checkpoint_64.pth.tar")
"""What the file is called where only its folder is named; the last two as released."""

SETTING = "smooth.weights"
ENCODER_SLOPE, BLOCK_SLOPE = 0.1, 0.2  # of the leaky rectifiers, as trained
OVERLAP = 4
"""Windows that cover each frame; their results are averaged."""

_BLOCK = re.compile(r"res_blocks\.(\d+)\.linear1\.weight\Z")

Weights = Mapping[str, "torch.Tensor"]
Array = NDArray[np.float64]


def smoothnet_files(reference: str) -> ModelFiles:
    """The one file of weights that a person names, or the folder with it."""
    return one_file(SETTING, reference, suffixes=SUFFIXES, names=NAMES)


class SmoothNet:
    """A loaded network. `window` is the number of frames that it looks at.

    Without dropout, which does nothing here. Raises `ConfigurationError` for files of something else.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        try:
            state = {name: value.float().to(device) for name, value in _state(path).items()}
            self._layers(state)
        except Exception as problem:  # torch and safetensors raise their own kinds for damaged files
            raise ConfigurationError(f"{SETTING}: {path} holds no SmoothNet: {problem!s:.200}") from problem
        self._device = device

    def _layers(self, state: Weights) -> None:
        def layer(name: str, outs: int | None, ins: int | None) -> tuple[torch.Tensor, torch.Tensor]:
            weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
            if weight.ndim != 2 or bias.shape != weight.shape[:1]:
                raise ValueError(f"{name} is no linear layer")
            if (outs or weight.shape[0], ins or weight.shape[1]) != tuple(weight.shape):
                raise ValueError(f"{name} is {tuple(weight.shape)}, which does not join the layers around it")
            return weight, bias

        self._encoder = layer("encoder.0", None, None)
        hidden, self.window = self._encoder[0].shape
        numbers = sorted(int(found[1]) for name in state if (found := _BLOCK.match(name)))
        self._blocks = []
        for number in numbers:
            first = layer(f"res_blocks.{number}.linear1", None, hidden)
            self._blocks.append((first, layer(f"res_blocks.{number}.linear2", hidden, len(first[1]))))
        self._decoder = layer("decoder", self.window, hidden)
        if len(state) != 4 * len(numbers) + 4:
            raise ValueError(f"it has {len(state)} tensors, {4 * len(numbers) + 4} of them SmoothNet's")

    def __call__(self, values: Array) -> Array:
        """`values` T × C, each of the C numbers smoothed over time; fewer frames than a window are continued."""
        torch = import_torch()
        frames = len(values)
        short = max(0, self.window - frames)
        padded = np.pad(values, ((short // 2, short - short // 2), (0, 0)), mode="edge")
        last = len(padded) - self.window
        starts = sorted({*range(0, last + 1, max(1, self.window // OVERLAP)), last})
        sums, counts = np.zeros(padded.shape), np.zeros((len(padded), 1))
        for start in starts:  # one window at a time: the same sums in the same order, however long the clip
            part = torch.from_numpy(padded[start : start + self.window].T.copy()).float().to(self._device)
            sums[start : start + self.window] += self._forward(part).double().cpu().numpy().T
            counts[start : start + self.window] += 1
        return (sums / counts)[short // 2 : short // 2 + frames]

    def _forward(self, values: torch.Tensor) -> torch.Tensor:
        functional = import_torch().nn.functional
        hidden = functional.leaky_relu(functional.linear(values, *self._encoder), ENCODER_SLOPE)
        for first, second in self._blocks:
            inner = functional.leaky_relu(functional.linear(hidden, *first), BLOCK_SLOPE)
            hidden = hidden + functional.leaky_relu(functional.linear(inner, *second), BLOCK_SLOPE)
        return functional.linear(hidden, *self._decoder)

    def rotations(self, poses: Array) -> Array:
        """Axis-angle vectors T × J × 3 in radians, smoothed."""
        from scipy.spatial.transform import Rotation

        from operators.pose.motion.rotation_filter import axis_angles, continuous

        frames, joints = poses.shape[:2]
        columns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix()[:, :, :2]
        smooth = self(columns.reshape(frames, -1)).reshape(-1, 3, 2)
        found = Rotation.from_matrix(_orthonormal(smooth)).as_rotvec().reshape(frames, joints, 3)
        return axis_angles(continuous(found))


def _orthonormal(columns: Array) -> Array:
    """The rotations n × 3 × 3 whose first two columns span those of n × 3 × 2 (Gram–Schmidt).

    Columns that span nothing give the identity.
    """
    first, second = columns[:, :, 0], columns[:, :, 1]
    length = np.linalg.norm(first, axis=1, keepdims=True)
    x = first / np.maximum(length, 1e-9)
    rest = second - np.einsum("nc,nc->n", x, second)[:, None] * x
    width = np.linalg.norm(rest, axis=1, keepdims=True)
    y = rest / np.maximum(width, 1e-9)
    found = np.stack([x, y, np.cross(x, y)], axis=2)
    return np.where((length > 1e-6)[..., None] & (width > 1e-6)[..., None], found, np.eye(3))


def _state(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = import_torch().load(path, map_location="cpu", weights_only=True)
    return state.get("state_dict", state)
