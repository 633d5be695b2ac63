"""Names and connections agree with MediaPipe's, and with each other."""

from __future__ import annotations

import pytest

from operators.pose import columns, topology

vision = pytest.importorskip("mediapipe.tasks.python.vision")
hands = pytest.importorskip("mediapipe.tasks.python.vision.hand_landmarker")


def pairs(connections) -> set[tuple[int, int]]:
    return {(min(c.start, c.end), max(c.start, c.end)) for c in connections}


def test_there_are_as_many_names_as_points():
    assert len(topology.BODY_NAMES) == len(set(topology.BODY_NAMES)) == columns.BODY_POINTS
    assert len(topology.HAND_NAMES) == len(set(topology.HAND_NAMES)) == columns.HAND_POINTS
    assert len(topology.FACE_POINTS) == len(set(topology.FACE_POINTS)) == columns.FACE_POINTS


def test_the_body_is_mediapipes():
    assert [point.name.lower() for point in vision.PoseLandmark] == list(topology.BODY_NAMES)
    ours = {(min(pair), max(pair)) for pair in topology.BODY_CONNECTIONS}
    assert ours == pairs(vision.PoseLandmarksConnections.POSE_LANDMARKS)


def test_the_hand_is_mediapipes():
    theirs = [point.name.lower().replace("_finger", "") for point in hands.HandLandmark]
    assert theirs == list(topology.HAND_NAMES)
    ours = {(min(pair), max(pair)) for pair in topology.HAND_CONNECTIONS}
    assert ours == pairs(hands.HandLandmarksConnections.HAND_CONNECTIONS)


@pytest.mark.parametrize(
    ("part", "theirs"),
    [
        (topology.RIGHT_EYE, "FACE_LANDMARKS_RIGHT_EYE"),
        (topology.LEFT_EYE, "FACE_LANDMARKS_LEFT_EYE"),
        (topology.RIGHT_BROW, "FACE_LANDMARKS_RIGHT_EYEBROW"),
        (topology.LEFT_BROW, "FACE_LANDMARKS_LEFT_EYEBROW"),
        (topology.OUTER_LIPS, "FACE_LANDMARKS_LIPS"),
        (topology.INNER_LIPS, "FACE_LANDMARKS_LIPS"),
        (topology.JAW_LINE, "FACE_LANDMARKS_FACE_OVAL"),
        (topology.NOSE_BRIDGE, "FACE_LANDMARKS_NOSE"),
        (topology.NOSE_BASE, "FACE_LANDMARKS_NOSE"),
    ],
)
def test_parts_of_the_face_lie_in_mediapipes_parts(part: slice, theirs: str):
    known = {i for pair in pairs(getattr(vision.FaceLandmarksConnections, theirs)) for i in pair}
    assert set(topology.FACE_POINTS[part]) <= known


def test_blendshapes_are_mediapipes():
    faces = pytest.importorskip("mediapipe.tasks.python.vision.face_landmarker")
    ours = [name.strip("_").lower() for name in topology.BLENDSHAPE_NAMES]
    assert [shape.name.replace("_", "").lower() for shape in faces.Blendshapes] == ours
    assert len(ours) == columns.BLENDSHAPES


def test_mirroring_twice_changes_nothing():
    mirror = topology.FACE_MIRROR
    assert sorted(mirror) == list(range(columns.FACE_POINTS))
    assert [mirror[mirror[point]] for point in range(columns.FACE_POINTS)] == list(range(columns.FACE_POINTS))
    assert {mirror[i] for i in range(36, 42)} == set(range(42, 48))


def test_face_lines_stay_within_their_part():
    for part in (topology.JAW_LINE, topology.RIGHT_EYE, topology.OUTER_LIPS, topology.INNER_LIPS):
        inside = set(range(part.start, part.stop))
        lines = [pair for pair in topology.FACE_CONNECTIONS if inside & set(pair)]
        assert all(set(pair) <= inside for pair in lines)
        assert {point for pair in lines for point in pair} == inside
