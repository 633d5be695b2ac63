"""Landmarks of clips: columns, crops, clocks, failures, and nothing carried over from one clip to the next."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

pytest.importorskip("mediapipe", reason="mediapipe is not installed (extra: lite)")

from operators.contract import Row
from operators.errors import ConfigurationError
from operators.pose import columns
from operators.pose.landmarking.bundles import MEMBERS, face_bundle, pose_bundle
from operators.pose.landmarks import Landmarks, LandmarksSettings, Track
from operators.pose.topology import BODY, FACE
from operators.video.shots import SplitShots
from tests.operators.pose.blendshape_network import bundle_with_blendshapes
from tests.operators.pose.moving_photograph import CANVAS, MOTIONS, back, film, photograph, placed
from tests.operators.video.conftest import FilmStudio

FRAMES = 12
ARRAYS = ("body_landmarks", "body_world", "hand_landmarks", "hand_world", "face_landmarks", "presence")


def clip(path: Path, **more: Any) -> Row:
    """The first clip of a video, as the operators before would hand it on; without a track unless one is given."""
    splitter = SplitShots(isolate=False)
    row = next(iter(splitter([{"video_id": path.stem, "uri": str(path)}])))
    return {**row, "person": "only", "track_times": None, "track_boxes": None, **more}


@pytest.fixture(scope="module")
def landmarks() -> Iterator[Landmarks]:
    operator = Landmarks()
    operator.check()
    operator.setup()
    yield operator
    operator.close()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> FilmStudio:
    return FilmStudio(tmp_path_factory.mktemp("photographs"))


@pytest.fixture(scope="module")
def moved(studio: FilmStudio) -> Row:
    return clip(film(studio, [MOTIONS["moved"](k) for k in range(FRAMES)], "moved.mp4"))


@pytest.fixture(scope="module")
def rotated(studio: FilmStudio) -> Row:
    return clip(film(studio, [MOTIONS["rotated"](k) for k in range(FRAMES)], "rotated.mp4"))


@pytest.fixture(scope="module")
def found(landmarks: Landmarks, moved: Row) -> Row:
    [row] = landmarks([moved])
    return row


def same(one: Row, other: Row) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in ARRAYS)


def test_a_clip_gets_the_declared_columns(found: Row) -> None:
    assert found["error"] is None
    assert (found["fps"], found["frame_count"], found["crop"]) == (25.0, FRAMES, [0.0, 0.0, 1.0, 1.0])
    for field in columns.LANDMARKS:
        value = found[field.name]
        if field.name in ARRAYS:
            assert value.dtype == np.float16 and len(value) == FRAMES
            assert value[0].size == field.type.value_type.list_size
    assert found["blendshapes"] is None
    assert found["provenance"]["body_landmarks"] == "landmarks/1@mediapipe-0.10.21"


def test_body_and_face_are_in_every_frame_and_no_hand_is_invented(found: Row) -> None:
    assert (found["presence"][:, 0] > 0.5).all() and (found["presence"][:, 1] == 1).all()
    assert not found["presence"][:, 2:].any()
    assert not found["hand_landmarks"].any() and not found["hand_world"].any()


def test_landmarks_follow_the_photograph(found: Row) -> None:
    """The face to 2 % of its width, the nose to 6 % of the width of the shoulders."""
    matrices = [MOTIONS["moved"](k) for k in range(FRAMES)]
    faces = np.array(
        [back(m, p * CANVAS) for m, p in zip(matrices, found["face_landmarks"][..., :2].astype(float), strict=True)]
    )
    noses = np.array(
        [back(m, p * CANVAS) for m, p in zip(matrices, found["body_landmarks"][..., :2].astype(float), strict=True)]
    )[:, BODY["nose"]]
    width = np.linalg.norm(faces[0, FACE["left_jaw"]] - faces[0, FACE["right_jaw"]])
    assert np.linalg.norm(faces - faces.mean(axis=0), axis=-1).mean() < 0.02 * width
    assert np.linalg.norm(noses - faces[:, FACE["nose_tip"]], axis=-1).max() < 0.06 * 167


def test_nothing_carries_over_from_other_clips(landmarks: Landmarks, moved: Row, rotated: Row, found: Row) -> None:
    after = list(landmarks([rotated, moved]))
    before = list(landmarks([moved, rotated]))
    assert same(after[1], found) and same(before[0], found)
    assert same(after[0], before[1])


def test_another_process_and_no_process_find_the_same(moved: Row, found: Row) -> None:
    operator = Landmarks(isolate=False)
    operator.setup()
    [row] = operator([moved])
    assert same(row, found)


def test_a_track_narrows_the_crop_and_leaves_the_landmarks_in_place(landmarks: Landmarks, studio: FilmStudio) -> None:
    path = film(studio, [placed(scale=0.5, x=180, y=460)] * 4, "corner.mp4")
    boxes = np.array([[0.1, 0.52, 0.36, 0.4], [0.12, 0.55, 0.3, 0.4]], np.float32)
    [row] = landmarks([clip(path, track_times=[0.0, 0.08], track_boxes=boxes)])
    x, y, width, height = row["crop"]
    assert x <= 0.1 - 0.07 and y <= 0.52 - 0.07 and x + width >= 0.53 and y + height >= 0.99
    assert width < 0.7 and all(round(edge * CANVAS, 6) == round(edge * CANVAS) for edge in row["crop"])
    nose = row["body_landmarks"][-1, BODY["nose"], :2].astype(float) * CANVAS
    tip = row["face_landmarks"][-1, FACE["nose_tip"], :2].astype(float) * CANVAS
    expected = placed(scale=0.5, x=180, y=460) @ np.array([224, 120, 1])
    assert np.linalg.norm(nose - expected) < 8 and np.linalg.norm(tip - expected) < 8


def test_of_two_people_each_row_has_its_own(landmarks: Landmarks, studio: FilmStudio) -> None:
    import cv2

    still = cv2.resize(photograph(), (400, 400), interpolation=cv2.INTER_AREA)
    pair = np.full((440, 960, 3), 90, np.uint8)
    pair[40:, 20:420], pair[40:, 540:940] = still, still[:, ::-1]
    path = studio.make([np.ascontiguousarray(pair[..., ::-1])] * 4, "pair.mp4", fps=25, options={"crf": "15"})
    noses = {}
    for person, x in (("left", 0.05), ("right", 0.57)):
        boxes = np.array([[x, 0.15, 0.36, 0.85]] * 2, np.float32)
        [row] = landmarks([clip(path, person=person, track_times=[0.0, 0.1], track_boxes=boxes)])
        assert row["presence"][-1, 0] > 0.5 and row["presence"][-1, 1] == 1
        noses[person] = row["body_landmarks"][-1, BODY["nose"], 0] * 960, row["face_landmarks"][-1, 30, 0] * 960
    assert all(150 < x < 250 for x in noses["left"]) and all(710 < x < 810 for x in noses["right"])


def test_where_nobody_is_everything_is_zero(landmarks: Landmarks, studio: FilmStudio) -> None:
    path = studio.make([np.full((96, 160, 3), 90, np.uint8)] * 5, "nobody.mp4", fps=25)
    [row] = landmarks([clip(path)])
    assert row["error"] is None and row["frame_count"] == 5
    assert not any(row[name].any() for name in ARRAYS)


@pytest.mark.parametrize(("source", "wanted", "expected"), [(50, "auto", 25), (24, "auto", 30), (24, 25, 25)])
def test_the_clock(studio: FilmStudio, source: int, wanted: Any, expected: int) -> None:
    path = studio.make([np.full((96, 160, 3), 90, np.uint8)] * source, f"grey{source}.mp4", fps=source)
    operator = Landmarks(LandmarksSettings(fps=wanted), isolate=False)
    operator.setup()
    [row] = operator([clip(path)])
    assert (row["fps"], row["frame_count"], len(row["presence"])) == (expected, expected, expected)


def test_a_frame_that_stands_has_the_same_landmarks(studio: FilmStudio) -> None:
    path = film(studio, [MOTIONS["moved"](3 * k) for k in range(3)], "slow.mp4")
    operator = Landmarks(LandmarksSettings(fps=30), isolate=False)
    operator.setup()
    row = clip(path)
    [told] = operator([{**row, "clip_start_end_time": [0.0, 0.12], "video_fps": 25.0}])
    assert told["frame_count"] == 4
    points = told["face_landmarks"]
    changes = [not np.array_equal(a, b) for a, b in pairwise(points)]
    assert changes == [False, True, True]


def test_one_clip_that_fails_costs_no_other(landmarks: Landmarks, moved: Row, found: Row) -> None:
    missing = {**moved, "video_path": "/nowhere/film.mp4"}
    shorter = {**moved, "clip_start_end_idx": [0, 100], "clip_start_end_time": [0.0, 4.0]}
    rows = list(landmarks([missing, shorter, moved]))
    assert [row["error"] and row["error"]["kind"] for row in rows] == ["unreadable", "decode", None]
    assert same(rows[2], found)


def test_a_track_that_does_not_fit_is_a_failure(landmarks: Landmarks, moved: Row) -> None:
    odd = {**moved, "track_times": [0.0, 1.0], "track_boxes": np.ones((3, 4), np.float32)}
    [row] = landmarks([odd])
    assert row["error"]["kind"] == "bad_output"


def test_between_its_samples_a_track_moves_evenly() -> None:
    track = Track(np.array([1.0, 2.0]), np.array([[0.0, 0.2, 0.2, 0.4], [0.4, 0.2, 0.4, 0.4]], np.float32))
    box = track.at(1.25)
    assert (box.x, box.y, box.width, box.height) == pytest.approx((0.1, 0.2, 0.25, 0.4))
    assert track.at(0.0).x == 0.0 and track.at(9.0).x == pytest.approx(0.4)
    assert track.crop(0.0, 100, 100) == pytest.approx((0.0, 0.2, 0.8, 0.4))
    assert track.crop(0.1, 200, 100) == pytest.approx((-0.08, 0.04, 0.96, 0.72))


def test_bundles_may_be_files_and_name_their_columns(tmp_path: Path, moved: Row, found: Row) -> None:
    path = tmp_path / "pose_landmarker.task"
    path.write_bytes(pose_bundle())
    operator = Landmarks(LandmarksSettings(pose_bundle=str(path)), isolate=False)
    operator.check()
    operator.setup()
    [row] = operator([moved])
    assert same(row, found)
    assert operator.revision().startswith("mediapipe-0.10.21+pose-")
    assert operator.fingerprint() != Landmarks().fingerprint()


def test_a_face_bundle_with_their_network_gives_blendshapes(tmp_path: Path, moved: Row, found: Row) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(bundle_with_blendshapes())
    operator = Landmarks(LandmarksSettings(face_bundle=str(path)), isolate=False)
    operator.setup()
    [row] = operator([moved])
    assert np.array_equal(row["face_landmarks"], found["face_landmarks"])
    assert row["blendshapes"].shape == (FRAMES, 52) and row["blendshapes"].dtype == np.float16
    x, y = row["blendshapes"][:, 0::2].astype(float), row["blendshapes"][:, 1::2].astype(float)
    face = found["face_landmarks"][..., :2].astype(float) * CANVAS
    forehead = 0.4 * np.ptp(face, axis=1)  # above the brows there is none of the 68 points
    low, high = face.min(axis=1) - forehead, face.max(axis=1)
    assert ((low[:, :1] < x) & (x < high[:, :1]) & (low[:, 1:] < y) & (y < high[:, 1:])).all()


def test_a_file_that_is_no_bundle_is_named_before_the_run(tmp_path: Path) -> None:
    path = tmp_path / "hand_landmarker.task"
    path.write_bytes(pose_bundle())
    with pytest.raises(ConfigurationError, match=r"hand landmarker bundle: it lacks hand_detector\.tflite"):
        Landmarks(LandmarksSettings(hand_bundle=str(path))).check()
    with pytest.raises(ConfigurationError, match=r"landmarks\.face_bundle cannot be read"):
        Landmarks(LandmarksSettings(face_bundle=str(tmp_path / "none.task"))).revision()


def test_a_bundle_with_a_broken_network_shows_at_the_set_up(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    with zipfile.ZipFile(io.BytesIO(face_bundle())) as whole, zipfile.ZipFile(path, "w") as broken:
        for name in MEMBERS["face"]:
            broken.writestr(name, whole.read(name)[:1000])
    with pytest.raises(ConfigurationError, match="landmarkers cannot be made"):
        Landmarks(LandmarksSettings(face_bundle=str(path)), isolate=False).setup()


def test_other_rates_are_refused() -> None:
    with pytest.raises(ValidationError):
        LandmarksSettings(fps=29)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["gesture_oliver.mp4", "gesture_conan.mp4"])
def test_a_second_of_a_real_gesture(landmarks: Landmarks, shared_media: Path, name: str) -> None:
    row = clip(shared_media / name)
    start, stop = 4.0, 5.0
    [told] = landmarks([{**row, "clip_start_end_time": [start, stop], "clip_start_end_idx": [120, 150]}])
    presence = told["presence"]
    assert told["frame_count"] == 30 and (presence[:, :2] > 0).all()
    for side, wrist in enumerate(("left_wrist", "right_wrist")):
        seen = presence[:, 2 + side] > 0
        assert seen.any()
        off = told["hand_landmarks"][seen, side, 0, :2] - told["body_landmarks"][seen, BODY[wrist], :2]
        assert np.linalg.norm(off.astype(float), axis=1).max() < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gesture_oliver.mp4", "gesture_conan.mp4"])
def test_real_gestures_have_body_and_face_nearly_always_and_both_hands_mostly(
    landmarks: Landmarks, shared_media: Path, name: str
) -> None:
    [row] = landmarks([clip(shared_media / name)])
    seen = row["presence"] > 0
    assert row["frame_count"] == 300
    assert seen[:, 0].mean() >= 0.99 and seen[:, 1].mean() >= 0.99
    assert seen[:, 2:].all(axis=1).mean() >= 0.8
