"""The optional detector: a tiny network with Ultralytics' output, its boxes on the picture, bad files named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.errors import ConfigurationError
from operators.pose.person_detector import PersonDetector

onnx: Any = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: models)")

CLASSES, CELL = 80, 20
WIDE, HIGH = 80, 120  # px of every box in the network's input of 320


def write_detector(path: Path, size: int | None = 320, classes: int = CLASSES, channels_first: bool = True) -> Path:
    """A network that gives one box of `WIDE` × `HIGH` about every cell of 20×20 px.

    Its person score is the cell's mean redness minus its mean blueness, the score of the second class the
    other way round; the rest are 0.
    """
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


def picture(width: int, height: int, *places: tuple[float, float, tuple[int, int, int]]) -> np.ndarray:
    """A grey picture with patches, (x, y) of their middle in shares of it, the size of a cell."""
    rgb = np.full((height, width, 3), 114, np.uint8)
    half = max(width, height) / 32
    for x, y, colour in places:
        left, right, top, bottom = (
            max(0, round(middle + way * half)) for middle in (x * width, y * height) for way in (-1, 1)
        )
        rgb[top:bottom, left:right] = colour
    return rgb


RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.mark.parametrize(("width", "height"), [(320, 320), (640, 360), (360, 640), (1280, 720), (161, 90)])
def test_boxes_lie_where_the_people_are_whatever_the_pictures_shape(tmp_path: Path, width: int, height: int):
    detector = PersonDetector(write_detector(tmp_path / "tiny.onnx"), 0.4)
    side = max(width, height)
    x, y = 0.5 + (150 / 320 - 0.5) * side / width, 0.5 + (190 / 320 - 0.5) * side / height  # of a cell's middle
    [box] = detector(picture(width, height, (x, y, RED)))
    assert box.centre == pytest.approx((x, y), abs=0.03)
    assert box.width * width / side == pytest.approx(WIDE / 320, abs=0.02)
    assert box.height * height / side == pytest.approx(HIGH / 320, abs=0.02)
    assert 0.4 <= box.score <= 1


def test_only_people_count_and_one_person_has_one_box(tmp_path: Path):
    detector = PersonDetector(write_detector(tmp_path / "tiny.onnx"), 0.3)
    assert detector(picture(320, 320, (150 / 320, 190 / 320, BLUE))) == []
    assert detector(picture(320, 320)) == []
    far = detector(picture(320, 320, (50 / 320, 190 / 320, RED), (270 / 320, 190 / 320, RED)))
    assert sorted(round(box.centre[0], 2) for box in far) == [0.16, 0.84]
    straddling = detector(picture(320, 320, (140 / 320, 190 / 320, RED)))  # two cells see half of it each
    assert len(straddling) == 1


def test_boxes_are_cut_at_the_pictures_edges(tmp_path: Path):
    detector = PersonDetector(write_detector(tmp_path / "tiny.onnx"), 0.4)
    [box] = detector(picture(320, 320, (10 / 320, 10 / 320, RED)))
    assert (box.x, box.y) == (0, 0) and box.width == pytest.approx(50 / 320, abs=0.01)


def test_a_network_with_a_free_input_size_sees_640_pixels(tmp_path: Path):
    free = write_detector(tmp_path / "free.onnx", size=None)
    detector = PersonDetector(free, 0.4)
    [box] = detector(picture(640, 640, (290 / 640, 0.5 + 10 / 640, RED)))
    assert box.centre[0] == pytest.approx(290 / 640, abs=0.04)
    assert box.width == pytest.approx(WIDE / 640, abs=0.01)


def test_files_that_are_no_detectors_are_refused_in_words(tmp_path: Path):
    nonsense = tmp_path / "nonsense.onnx"
    nonsense.write_bytes(b"not a network")
    with pytest.raises(ConfigurationError, match=r"speakers\.yolo\.model.*cannot be loaded"):
        PersonDetector(nonsense, 0.4)
    turned = write_detector(tmp_path / "turned.onnx", channels_first=False)
    with pytest.raises(ConfigurationError, match="export it without nms"):
        PersonDetector(turned, 0.4)
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        PersonDetector(tmp_path / "absent.onnx", 0.4)
