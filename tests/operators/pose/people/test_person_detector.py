"""The optional detector: a tiny network with Ultralytics' output, its boxes on the picture, bad files named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from operators.errors import ConfigurationError
from operators.pose.people.person_detector import PersonDetector
from tests.tiny.detector import HIGH, WIDE, write_detector

pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: models)")


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
