"""The face network as the Tasks API reads it: points in their places, not only as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from operators import networks
from operators.errors import ConfigurationError
from operators.pose import topology
from operators.pose.landmarking import face_network
from operators.pose.landmarking.bundles import face_bundle
from operators.pose.landmarking.face_network import (
    ALL_POINTS,
    LEFT_EYE,
    LIPS,
    MESH_POINTS,
    RIGHT_EYE,
    gather_order,
    with_one_output,
)
from operators.pose.landmarking.landmarkers import _image, quiet

skimage_data = pytest.importorskip("skimage.data")
vision: Any = pytest.importorskip("mediapipe.tasks.python.vision")
tasks: Any = pytest.importorskip("mediapipe.tasks.python")

EYES_NOSE_MOUTH = ((33, 133), (362, 263), (4,), (13, 14))
"""Of the 478 points, the ones whose middle the face detector's first four keypoints mark."""


@pytest.fixture(scope="module")
def landmarker() -> Iterator[Any]:
    options = vision.FaceLandmarkerOptions(base_options=tasks.BaseOptions(model_asset_buffer=face_bundle()))
    with quiet():
        landmarker = vision.FaceLandmarker.create_from_options(options)
        landmarker.detect(_image(np.zeros((64, 64, 3), np.uint8)))
    with landmarker:
        yield landmarker


@pytest.fixture(scope="module")
def head() -> np.ndarray:
    """A photograph's head and shoulders, uint8 360×360×3."""
    return np.ascontiguousarray(skimage_data.astronaut()[:360, 60:420])


def points(landmarker: Any, rgb: np.ndarray) -> np.ndarray:
    """478×2 points in pixels."""
    [face] = landmarker.detect(_image(rgb)).face_landmarks
    height, width = rgb.shape[:2]
    return np.array([(point.x * width, point.y * height) for point in face])


def test_every_value_comes_from_its_place():
    order = gather_order().reshape(ALL_POINTS, 3)
    refined = {*LIPS, *RIGHT_EYE, *LEFT_EYE}
    assert len(refined) == len(LIPS) + len(RIGHT_EYE) + len(LEFT_EYE) == 222
    for point in range(MESH_POINTS):
        assert order[point, 2] == 3 * point + 2
        assert (order[point, 0] == 3 * point) == (point not in refined)
    values = np.arange(1404 + 160 + 142 + 142 + 10 + 10)
    lips = values[1404:1564].reshape(-1, 2)
    assert np.array_equal(values[order[list(LIPS), :2]], lips)
    assert sorted(order[:, :2].ravel()[order[:, :2].ravel() >= 1404]) == list(range(1404, 1868))


def test_eyes_nose_and_mouth_lie_where_the_face_detector_sees_them(landmarker: Any, head: np.ndarray):
    options = vision.FaceDetectorOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(networks.path(networks.FACES_NEAR)))
    )
    with quiet(), vision.FaceDetector.create_from_options(options) as detector:
        [detection] = detector.detect(_image(head)).detections
    seen = np.array([(keypoint.x, keypoint.y) for keypoint in detection.keypoints[:4]]) * head.shape[1]
    found = points(landmarker, head)
    middles = np.array([found[list(group)].mean(axis=0) for group in EYES_NOSE_MOUTH])
    assert np.linalg.norm(middles - seen, axis=1).max() < 0.06 * detection.bounding_box.width


def test_irises_lie_within_their_eyes(landmarker: Any, head: np.ndarray):
    found = points(landmarker, head)
    for iris, corners in ((468, (33, 133)), (473, (362, 263))):
        left, right = sorted(found[list(corners), 0])
        assert left < found[iris, 0] < right
        assert np.linalg.norm(found[iris + 1 : iris + 5].mean(axis=0) - found[iris]) < 0.1 * (right - left)


def test_a_mirrored_photograph_gives_mirrored_points(landmarker: Any, head: np.ndarray):
    chosen = list(topology.FACE_POINTS)
    found = points(landmarker, head)[chosen]
    mirrored = points(landmarker, np.ascontiguousarray(head[:, ::-1]))[chosen]
    back = np.stack([head.shape[1] - 1 - mirrored[:, 0], mirrored[:, 1]], axis=1)[list(topology.FACE_MIRROR)]
    width = np.linalg.norm(found[topology.FACE["left_jaw"]] - found[topology.FACE["right_jaw"]])
    assert np.linalg.norm(back - found, axis=1).mean() < 0.02 * width
    assert np.linalg.norm(back - found, axis=1).max() < 0.06 * width


@pytest.mark.parametrize(("scale", "x", "y"), [(1.0, 60, 20), (0.7, 10, 90), (1.4, 0, 0)])
def test_points_follow_a_photograph_that_is_moved_and_scaled(
    landmarker: Any, head: np.ndarray, scale: float, x: int, y: int
):
    import cv2

    matrix = np.array([[scale, 0, x], [0, scale, y]], np.float64)
    moved = np.asarray(cv2.warpAffine(head, matrix, (520, 520), flags=cv2.INTER_AREA, borderValue=(90, 90, 90)))
    expected = points(landmarker, head) * scale + (x, y)
    found = points(landmarker, moved)
    width = scale * np.ptp(expected[:MESH_POINTS, 0])
    assert np.linalg.norm(found - expected, axis=1).mean() < 0.02 * width


def test_another_network_is_refused():
    with pytest.raises(ConfigurationError, match="outputs of"):
        with_one_output(networks.path(networks.HAND_LANDMARKS).read_bytes())


def test_the_same_network_gives_the_same_bytes():
    network = networks.path(networks.FACE_LANDMARKS).read_bytes()
    assert with_one_output(network) == with_one_output(network)
    assert face_network.ALL_POINTS == 478
