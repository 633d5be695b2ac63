"""The finder puts the networks together: the photograph's person is one figure, two of them are two."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from operators.pose.landmarking.bundles import pose_bundle
from operators.pose.landmarking.landmarkers import Box, FaceDetectors, Pose, PoseLandmarker
from operators.pose.people.people_finder import PeopleFinder

ASTRONAUT = data.astronaut()


@pytest.fixture(scope="module")
def faces() -> FaceDetectors:
    return FaceDetectors(0.65, 0.65)


@pytest.fixture(scope="module")
def poses() -> PoseLandmarker:
    return PoseLandmarker(pose_bundle(), 0.5, 4)


def picture(*places: tuple[int, int, int]) -> np.ndarray:
    """A grey 640×360 picture with the photograph at these (left, top, side in pixels)."""
    rgb = np.full((360, 640, 3), (90, 110, 90), np.uint8)
    for left, top, side in places:
        rgb[top : top + side, left : left + side] = cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA)
    return rgb


def test_one_person_is_one_figure_with_face_body_and_look(faces: FaceDetectors, poses: PoseLandmarker):
    [figure] = PeopleFinder(faces, poses)(picture((100, 60, 300)))
    assert figure.face is not None and figure.pose is not None and figure.look is not None
    assert figure.shows_upper_body and 0.4 < (figure.height or 0) < 0.9
    assert PeopleFinder(faces, poses)(picture()) == ()


def test_two_people_are_two_figures_from_left_to_right(faces: FaceDetectors, poses: PoseLandmarker):
    left, right = PeopleFinder(faces, poses)(picture((10, 60, 300), (330, 60, 300)))
    assert left.box.centre[0] < 0.5 < right.box.centre[0]
    assert left.pose is not None and right.pose is not None


def test_a_face_whose_body_the_network_missed_is_looked_at_closer(faces: FaceDetectors, poses: PoseLandmarker):
    rgb = picture((10, 60, 300), (330, 60, 300))
    looked_at: list[tuple[int, ...]] = []

    def one_at_a_time(part: np.ndarray) -> list[Pose]:
        looked_at.append(part.shape)
        found = poses(part)
        return [max(found, key=lambda pose: pose.landmarks[0, 0])] if found else []

    left, right = PeopleFinder(faces, one_at_a_time)(rgb)
    assert looked_at[0] == rgb.shape and len(looked_at) == 2
    assert left.pose is not None and right.pose is not None
    whole = PeopleFinder(faces, poses)(rgb)[0].pose
    assert whole is not None
    assert np.abs(left.pose.landmarks[:13, :2] - whole.landmarks[:13, :2]).max() < 0.06


def test_a_detectors_boxes_join_the_figures(faces: FaceDetectors, poses: PoseLandmarker):
    rgb = picture((100, 60, 300))
    around, nobody = Box(0.16, 0.2, 0.45, 0.8, 0.9), Box(0.75, 0.3, 0.2, 0.6, 0.8)
    person, other = PeopleFinder(faces, poses, lambda _: [around, nobody])(rgb)
    assert person.body == around and person.pose is not None
    assert other.body == nobody and other.head is None
