"""Tiny mesh regressors: they find the bright marker in a crop, and turn and place a body by where it is.

The pelvis is drawn on the marker; every rotation is a fixed random function of the marker's place. The TorchScript
module and the ONNX graph are the same function.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DARK = 0.5
"""Brightness, 0 to 1, from which a pixel belongs to the marker. Crops must come with mean 0 and deviation 1."""

SCALE = 0.6
"""Half-widths of the crop that one metre takes, whatever is seen."""

UPRIGHT = (np.pi - 0.05, 0.0, 0.0)
SIZES = {
    "global_orient": 3,
    "body_pose": 63,
    "jaw_pose": 3,
    "leye_pose": 3,
    "reye_pose": 3,
    "left_hand_pose": 45,
    "right_hand_pose": 45,
    "betas": 10,
    "expression": 10,
}
"""Numbers of each output beside the camera."""


def weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """For each output (2, n): its change with the marker's place."""
    draw = np.random.default_rng(seed)
    return {name: draw.normal(0, 0.3, (2, count)).astype(np.float32) for name, count in SIZES.items()}


def offsets() -> dict[str, NDArray[np.float32]]:
    """For each output its value with the marker in the middle."""
    rest = {name: np.zeros(count, np.float32) for name, count in SIZES.items()}
    rest["global_orient"] = np.array(UPRIGHT, np.float32)
    return rest


def grids(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Places of a crop's pixels in half-widths from its middle, each (height, width)."""
    x = (np.arange(width) + 0.5 - width / 2) / (width / 2)
    y = (np.arange(height) + 0.5 - height / 2) / (width / 2)
    across, down = np.meshgrid(x, y)
    return across.astype(np.float32), down.astype(np.float32)


def write_torchscript(
    path: Path,
    *,
    input_size: tuple[int, int] = (64, 64),
    form: str = "dict",
    broken_at: float | None = None,
    seed: int = 0,
) -> Path:
    """The network as a TorchScript file.

    `form`: "dict", or "tuple" of (global_orient, body_pose, camera). `broken_at`: where the marker is further right
    than this, the outputs are no numbers.
    """
    import torch
    from torch import Tensor, nn

    class Regressor(nn.Module):
        across: Tensor
        down: Tensor

        def __init__(self) -> None:
            super().__init__()
            across, down = grids(*input_size)
            self.register_buffer("across", torch.from_numpy(across))
            self.register_buffer("down", torch.from_numpy(down))
            self.names = list(SIZES)
            self.weights = nn.ParameterList([nn.Parameter(torch.from_numpy(w)) for w in weights(seed).values()])
            self.offsets = nn.ParameterList([nn.Parameter(torch.from_numpy(o)) for o in offsets().values()])

        def forward(self, crops: Tensor) -> dict[str, Tensor]:
            bright = torch.relu(crops.mean(1) - DARK)
            total = bright.sum((1, 2)) + 1e-6
            place = (
                torch.stack([(bright * self.across).sum((1, 2)), (bright * self.down).sum((1, 2))], 1) / total[:, None]
            )
            found = {
                name: place @ weight + offset
                for name, weight, offset in zip(self.names, self.weights, self.offsets, strict=True)
            }
            scale = torch.full_like(total, SCALE)
            found["camera"] = torch.cat([scale[:, None], place / SCALE], 1)
            if broken_at is not None:
                lost = torch.where(place[:, :1] > broken_at, float("nan"), 0.0)
                found["body_pose"] = found["body_pose"] + lost
            return found

    class Three(Regressor):
        def forward(self, crops: Tensor) -> Any:
            found = super().forward(crops)
            return found["global_orient"], found["body_pose"], found["camera"]

    network = (Three() if form == "tuple" else Regressor()).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():  # of TorchScript's retirement, and of zips that tracing unrolls
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, torch.zeros(2, 3, *input_size), strict=False)
        torch.jit.save(traced, str(path))
    return path


def write_onnx(path: Path, *, input_size: tuple[int, int] = (64, 64), batch: int | str = "n", seed: int = 0) -> Path:
    """The same as an ONNX graph; `batch` a number for an export of that batch alone."""
    from onnx import TensorProto, checker, helper, numpy_helper, save

    across, down = grids(*input_size)
    constants: dict[str, NDArray[Any]] = {
        "dark": np.array(DARK, np.float32),
        "tiny": np.array(1e-6, np.float32),
        "scale": np.array(SCALE, np.float32),
        "zero": np.array(0, np.float32),
        "across": across,
        "down": down,
        "channel": np.array([1], np.int64),
        "plane": np.array([1, 2], np.int64),
        "column": np.array([1], np.int64),
        **{f"w_{name}": value for name, value in weights(seed).items()},
        **{f"o_{name}": value for name, value in offsets().items()},
    }
    nodes = [
        helper.make_node("ReduceMean", ["crops", "channel"], ["grey"], keepdims=0),
        helper.make_node("Sub", ["grey", "dark"], ["over"]),
        helper.make_node("Relu", ["over"], ["bright"]),
        helper.make_node("ReduceSum", ["bright", "plane"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "tiny"], ["total"]),
        helper.make_node("Unsqueeze", ["total", "column"], ["totals"]),
    ]
    for axis in ("across", "down"):
        nodes += [
            helper.make_node("Mul", ["bright", axis], [f"m_{axis}"]),
            helper.make_node("ReduceSum", [f"m_{axis}", "plane"], [f"s_{axis}"], keepdims=0),
            helper.make_node("Unsqueeze", [f"s_{axis}", "column"], [f"c_{axis}"]),
        ]
    nodes += [
        helper.make_node("Concat", ["c_across", "c_down"], ["moments"], axis=1),
        helper.make_node("Div", ["moments", "totals"], ["place"]),
        helper.make_node("Div", ["place", "scale"], ["there"]),
        helper.make_node("Mul", ["totals", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "scale"], ["scales"]),
        helper.make_node("Concat", ["scales", "there"], ["camera"], axis=1),
    ]
    for name in SIZES:
        nodes += [
            helper.make_node("MatMul", ["place", f"w_{name}"], [f"p_{name}"]),
            helper.make_node("Add", [f"p_{name}", f"o_{name}"], [name]),
        ]
    graph = helper.make_graph(
        nodes,
        "regressor",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, [batch, 3, *input_size])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, count])
            for name, count in {**SIZES, "camera": 3}.items()
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(model, str(path))
    return path
