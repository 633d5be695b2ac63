"""Landmarks lie where the photograph shows them, whatever was looked at before, and nothing is logged."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from skimage import data

from operators.pose.landmarking.bundles import pose_bundle
from operators.pose.landmarking.landmarkers import Box, FaceDetectors, PoseLandmarker, quiet

ASTRONAUT = data.astronaut()
FACE = (0.34, 0.12, 0.54, 0.35)  # left, top, right, bottom of the face, measured on the photograph


@pytest.fixture(scope="module")
def poses() -> PoseLandmarker:
    return PoseLandmarker(pose_bundle(), 0.5, 2)


@pytest.fixture(scope="module")
def faces() -> FaceDetectors:
    return FaceDetectors(0.65, 0.65)


def moved(left: int, top: int, side: int) -> np.ndarray:
    frame = np.full((720, 1280, 3), 100, np.uint8)
    frame[top : top + side, left : left + side] = cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA)
    return frame


def test_the_face_is_boxed_where_it_is(faces: FaceDetectors):
    [box] = faces(ASTRONAUT)
    assert FACE[0] < box.centre[0] < FACE[2]
    assert FACE[1] < box.centre[1] < FACE[3]
    assert 0.12 < box.width < 0.3


def test_the_body_has_its_nose_in_the_face_and_its_shoulders_below(poses: PoseLandmarker):
    [pose] = poses(ASTRONAUT)
    nose, left_shoulder, right_shoulder = pose.landmarks[[0, 11, 12]]
    assert FACE[0] < nose[0] < FACE[2]
    assert FACE[1] < nose[1] < FACE[3]
    assert min(left_shoulder[1], right_shoulder[1]) > nose[1]
    assert left_shoulder[0] > nose[0] > right_shoulder[0]


@pytest.mark.parametrize(("left", "top", "side"), [(0, 0, 720), (560, 0, 720), (300, 200, 512), (640, 100, 600)])
def test_the_body_moves_and_grows_with_the_photograph(poses: PoseLandmarker, left: int, top: int, side: int):
    head, shoulders = [0, 2, 5, 9, 10], [11, 12]  # nose, eyes, corners of the mouth; the suit hides the shoulders
    reference = poses(ASTRONAUT)[0].landmarks[:, :2] * side + (left, top)
    [pose] = poses(moved(left, top, side))
    away = np.abs(pose.landmarks[:, :2] * (1280, 720) - reference).max(axis=1) / side
    assert away[head].max() < 0.04
    assert away[shoulders].max() < 0.2


def test_what_was_seen_before_changes_nothing(poses: PoseLandmarker, faces: FaceDetectors):
    frame = moved(300, 100, 600)
    before = poses(frame)[0].landmarks, faces(frame)
    for other in (data.coffee(), ASTRONAUT, np.zeros((5, 5, 3), np.uint8)):
        poses(other)
        faces(other)
    assert np.array_equal(poses(frame)[0].landmarks, before[0])
    assert faces(frame) == before[1]


def test_overlap_of_boxes():
    box = Box(0.1, 0.1, 0.2, 0.2)
    assert box.overlap(box) == pytest.approx(1)
    assert box.overlap(Box(0.2, 0.1, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert box.overlap(Box(0.5, 0.5, 0.1, 0.1)) == 0


def test_quiet_holds_native_output_back_and_lets_go(capfd: pytest.CaptureFixture[str]):
    with quiet():
        os.write(2, b"native noise\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_process_ends_without_a_word():
    script = (
        "import numpy as np; from skimage import data;"
        "from operators.video.people import People; people = People(); people.setup();"
        "people.look(data.astronaut()); people.look(np.zeros((9, 9, 3), np.uint8))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == ""
    assert done.stderr == ""
