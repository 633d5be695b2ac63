"""A tiny person detector in ONNX with Ultralytics' output: it takes red squares for people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES = 80
CELL = 20
WIDE, HIGH = 80, 120
"""Pixels of the network's input: of a cell's side, and of every box."""


def write_detector(path: Path, size: int | None = 320, classes: int = CLASSES, channels_first: bool = True) -> Path:
    """A network that gives one box of `WIDE` × `HIGH` about every cell of 20×20 px.

    Its person score is the cell's mean redness minus its mean blueness, the score of the second class the
    other way round; the rest are 0.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    cells = (size or 640) // CELL
    ys, xs = np.mgrid[0:cells, 0:cells]
    centres = np.stack([(xs.ravel() + 0.5) * CELL, (ys.ravel() + 0.5) * CELL])
    boxes = np.concatenate([centres, np.full((1, cells**2), WIDE), np.full((1, cells**2), HIGH)])
    to_scores = np.zeros((classes, 3), np.float32)
    to_scores[0], to_scores[1] = (1, 0, -1), (-1, 0, 1)
    constants = {"boxes": boxes[None], "weights": to_scores[..., None, None], "shape": np.array([1, classes, -1])}
    nodes = [
        helper.make_node("AveragePool", ["images"], ["means"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Conv", ["means", "weights"], ["maps"]),
        helper.make_node("Reshape", ["maps", "shape"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["found"], axis=1),
        helper.make_node("Transpose", ["found"], ["output0"], perm=[0, 1, 2] if channels_first else [0, 2, 1]),
    ]
    side = size if size is not None else "side"
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(value.astype(np.int64 if name == "shape" else np.float32), name)
            for name, value in constants.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    onnx.save(model, str(path))
    return path
