"""MediaPipe's landmarkers in video mode on a photograph whose motion is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("mediapipe", reason="mediapipe is not installed (extra: lite)")

from operators.pose.landmarking.bundles import Task, face_bundle, hand_bundle, pose_bundle
from operators.pose.landmarking.landmark_tracking import LandmarkTracker, Seen, TrackingOptions
from operators.pose.topology import BODY, FACE
from tests.operators.pose.moving_photograph import CANVAS, MOTIONS, back, pictures, placed

FRAMES = 16
HEAD = [BODY[name] for name in ("nose", "left_eye", "right_eye")]
SHOULDERS = [BODY["left_shoulder"], BODY["right_shoulder"]]


@pytest.fixture(scope="module")
def bundles() -> dict[Task, bytes]:
    return {"pose": pose_bundle(), "hand": hand_bundle(), "face": face_bundle()}


@pytest.fixture
def tracker(bundles: dict[Task, bytes]) -> Iterator[LandmarkTracker]:
    with LandmarkTracker(bundles, TrackingOptions()) as tracker:
        yield tracker


def look(tracker: LandmarkTracker, shown: list[np.ndarray], first: int = 0) -> list[Seen]:
    return [tracker(rgb, 40 * index) for index, rgb in enumerate(shown, first)]


@pytest.fixture(scope="module")
def still(bundles: dict[Task, bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Body (33×2) and face (68×2) of the photograph that stands still, in its own pixels."""
    matrix = placed()
    with LandmarkTracker(bundles, TrackingOptions()) as tracker:
        *_, last = look(tracker, pictures([matrix] * 8))
    return back(matrix, last.bodies[0].points[:, :2] * CANVAS), back(matrix, last.faces[0].points[:, :2] * CANVAS)


@pytest.mark.parametrize("motion", MOTIONS)
def test_landmarks_follow_a_known_motion(
    tracker: LandmarkTracker, still: tuple[np.ndarray, np.ndarray], motion: str
) -> None:
    """The face to 2 % of its width, the head's points of the body to 6 % of the shoulders', these to 15 %."""
    matrices = [MOTIONS[motion](k) for k in range(FRAMES)]
    seen = look(tracker, pictures(matrices))
    assert all(len(each.bodies) == len(each.faces) == 1 for each in seen)
    body, face = still
    shoulders = np.linalg.norm(body[SHOULDERS[0]] - body[SHOULDERS[1]])
    width = np.linalg.norm(face[FACE["left_jaw"]] - face[FACE["right_jaw"]])
    bodies = np.array([back(m, e.bodies[0].points[:, :2] * CANVAS) for m, e in zip(matrices, seen, strict=True)])
    faces = np.array([back(m, e.faces[0].points[:, :2] * CANVAS) for m, e in zip(matrices, seen, strict=True)])
    assert np.linalg.norm(faces - face, axis=-1).mean() < 0.02 * width
    assert np.linalg.norm(bodies[:, HEAD] - body[HEAD], axis=-1).mean() < 0.06 * shoulders
    assert np.linalg.norm(bodies[:, SHOULDERS] - body[SHOULDERS], axis=-1).mean() < 0.15 * shoulders


def test_points_are_where_a_person_has_them(still: tuple[np.ndarray, np.ndarray]) -> None:
    body, face = still
    assert np.linalg.norm(body[BODY["nose"]] - face[FACE["nose_tip"]]) < 8
    assert body[BODY["left_shoulder"], 0] > body[BODY["right_shoulder"], 0] + 100
    assert face[FACE["chin"], 1] > face[FACE["lower_lip"], 1] > face[FACE["upper_lip"], 1] > face[FACE["nose_tip"], 1]
    assert face[FACE["left_jaw"], 0] > face[FACE["right_jaw"], 0] + 50


def test_results_have_their_shapes_and_ranges(tracker: LandmarkTracker) -> None:
    [seen] = look(tracker, pictures([placed()]))
    [body], [face] = seen.bodies, seen.faces
    assert body.points.shape == (33, 4) and body.world.shape == (33, 3) and face.points.shape == (68, 3)
    assert body.points.dtype == body.world.dtype == face.points.dtype == np.float32
    assert 0.5 <= body.score <= 1 and 0 <= body.points[:, 3].min() <= body.points[:, 3].max() <= 1
    assert face.blendshapes is None
    middle_of_hips = body.world[[BODY["left_hip"], BODY["right_hip"]]].mean(axis=0)
    assert np.linalg.norm(middle_of_hips) < 0.03
    shoulders = np.linalg.norm(body.world[BODY["left_shoulder"]] - body.world[BODY["right_shoulder"]])
    assert 0.2 < shoulders < 0.5


def test_nobody_is_found_where_nobody_is(tracker: LandmarkTracker) -> None:
    grey = np.full((CANVAS, CANVAS, 3), 90, np.uint8)
    for seen in look(tracker, [grey] * 3):
        assert seen == Seen((), (), ())


def test_two_people_are_seen_where_two_are_asked_for(bundles: dict[Task, bytes]) -> None:
    [left, right] = pictures([placed(x=320), placed(x=310)])
    both = np.ascontiguousarray(np.concatenate([left, right], axis=1))
    for people in (1, 2):
        with LandmarkTracker(bundles, TrackingOptions(people=people)) as tracker:
            *_, last = look(tracker, [both] * 2)
        assert len(last.faces) == people
        assert len(last.bodies) <= people


def test_a_new_tracker_knows_nothing_of_the_one_before(bundles: dict[Task, bytes]) -> None:
    shown = pictures([MOTIONS["moved"](k) for k in range(4)])
    runs = []
    for before in ([], pictures([placed(scale=0.7, degrees=20)] * 2)):
        with LandmarkTracker(bundles, TrackingOptions()) as tracker:
            look(tracker, before)
        with LandmarkTracker(bundles, TrackingOptions()) as tracker:
            runs.append(look(tracker, shown))
    for one, other in zip(*runs, strict=True):
        assert np.array_equal(one.bodies[0].points, other.bodies[0].points)
        assert np.array_equal(one.faces[0].points, other.faces[0].points)
