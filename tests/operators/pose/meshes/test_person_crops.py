"""Crops along a person's box: where they lie, what is in them, and how steadily they move."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from operators.errors import RowFailure
from operators.pose.columns import BODY_POINTS, FACE_POINTS, HAND_POINTS
from operators.pose.meshes.person_crops import PersonCrops, landmark_boxes, person_crops
from operators.pose.topology import BODY
from operators.video.span_frames import pixel_box

WIDTH, HEIGHT, FPS = 640, 360, 25.0


def tracked_row(frames: int = 50, box=(0.25, 0.2, 0.2, 0.6), start: float = 100.0, **columns: Any) -> dict[str, Any]:
    """A clip from `start` seconds on with a track of two looks per second; `box` moves where it is a function."""
    times = start + np.arange(0, frames / FPS + 0.5, 0.5)
    boxes = [box(time - start) if callable(box) else box for time in times]
    return {
        "video_resolution": [HEIGHT, WIDTH],
        "frame_count": frames,
        "fps": FPS,
        "clip_start_end_time": [start, start + frames / FPS],
        "track_times": times.tolist(),
        "track_boxes": np.array(boxes, np.float32),
        **columns,
    }


def landmark_row(frames: int = 50, box=(0.25, 0.2, 0.2, 0.6), **columns: Any) -> dict[str, Any]:
    """A clip with body landmarks all over a box, and no hands or face."""
    draw = np.random.default_rng(0)
    places = draw.uniform(0, 1, (BODY_POINTS, 2))
    places[:2] = (0, 0), (1, 1)
    places[[BODY["left_shoulder"], BODY["right_shoulder"]], 1] = 0  # with the nose: no head above the box
    body = np.zeros((frames, BODY_POINTS, 4))
    body[..., :2] = np.array(box[:2]) + places * box[2:]
    body[..., 3] = 0.9
    presence = np.zeros((frames, 4))
    presence[:, 0] = 1
    return tracked_row(
        frames,
        body_landmarks=body,
        hand_landmarks=np.zeros((frames, 2, HAND_POINTS, 3)),
        face_landmarks=np.zeros((frames, FACE_POINTS, 3)),
        presence=presence,
        **columns,
    )


def test_a_crop_lies_around_the_box_in_the_networks_shape():
    crops = person_crops(tracked_row(), margin=1.25, aspect=1.0)
    assert len(crops) == 50
    np.testing.assert_allclose(crops.centres, np.tile([0.35 * WIDTH, 0.5 * HEIGHT], (50, 1)), atol=1e-4)
    np.testing.assert_allclose(crops.sizes, 0.6 * HEIGHT * 1.25, atol=1e-4)
    tall = person_crops(tracked_row(), margin=1.0, aspect=192 / 256)
    np.testing.assert_allclose(tall.sizes[0], [0.6 * HEIGHT * 0.75, 0.6 * HEIGHT], atol=1e-4)
    wide = person_crops(tracked_row(box=(0.1, 0.4, 0.5, 0.2)), margin=1.0, aspect=1.0)
    np.testing.assert_allclose(wide.sizes[0], [0.5 * WIDTH] * 2, atol=1e-4)
    assert crops.seen.all()


def test_the_track_is_followed_on_the_clips_own_clock():
    crops = person_crops(tracked_row(box=lambda t: (0.1 + 0.1 * t, 0.2, 0.2, 0.6)), margin=1.2, aspect=1.0)
    seconds = np.arange(50) / FPS
    middle = slice(10, 40)  # the smoothing leans on what is there at the ends
    np.testing.assert_allclose(crops.centres[middle, 0], (0.2 + 0.1 * seconds[middle]) * WIDTH, atol=0.2)


def test_gaps_and_zeros_in_a_track_are_bridged():
    row = tracked_row()
    row["track_boxes"][1] = 0
    row["track_boxes"][2] = np.nan
    crops = person_crops(row, margin=1.25, aspect=1.0)
    np.testing.assert_allclose(crops.centres, np.tile([0.35 * WIDTH, 0.5 * HEIGHT], (50, 1)), atol=1e-4)


def test_a_jittery_track_gives_steady_crops():
    draw = np.random.default_rng(1)
    row = landmark_row(100)
    row["body_landmarks"][..., :2] += draw.normal(0, 0.01, (100, 1, 2))
    before = landmark_boxes(row)[:, 0] * WIDTH
    after = person_crops(row, margin=1.0, aspect=1.0).centres[:, 0]
    assert np.diff(after).std() < 0.15 * np.diff(before).std()


def test_landmarks_win_over_the_track_and_gaps_are_not_seen():
    row = landmark_row(box=(0.5, 0.1, 0.3, 0.8))
    row["presence"][20:30] = 0
    crops = person_crops(row, margin=1.0, aspect=1.0)
    np.testing.assert_allclose(crops.centres, np.tile([0.65 * WIDTH, 0.5 * HEIGHT], (50, 1)), atol=1e-3)
    assert crops.seen.tolist() == [not 20 <= frame < 30 for frame in range(50)]


def test_without_any_landmark_the_track_serves():
    row = landmark_row()
    row["presence"][:] = 0
    crops = person_crops(row, margin=1.25, aspect=1.0)
    np.testing.assert_allclose(crops.centres[0], [0.35 * WIDTH, 0.5 * HEIGHT], atol=1e-4)
    assert crops.seen.all()


def test_hands_and_face_belong_to_the_box_and_what_is_out_of_the_picture_does_not():
    row = landmark_row()
    row["hand_landmarks"][:, 1] = (0.8, 0.9, 0)
    row["face_landmarks"][:] = (0.3, 0.05, 0)
    row["body_landmarks"][:, 5, :2] = (1.7, 0.5)
    x, y, across, down = landmark_boxes(row)[0]
    assert (x, y) == (0.25, 0.2)
    row["presence"][:, [1, 3]] = 0.9
    x, y, across, down = landmark_boxes(row)[0]
    np.testing.assert_allclose([x, y, x + across, y + down], [0.25, 0.05, 0.8, 0.9])


def test_the_top_of_the_head_belongs_to_the_box():
    row = landmark_row()
    row["body_landmarks"][:, [BODY["left_shoulder"], BODY["right_shoulder"]], 1] = 0.28
    x, y, across, down = landmark_boxes(row)[0]
    np.testing.assert_allclose([x, y, x + across, y + down], [0.25, 0.2 - 0.75 * 0.08, 0.45, 0.8], atol=1e-9)
    row["body_landmarks"][:, BODY["nose"], 3] = 0.1
    assert landmark_boxes(row)[0][1] > 0.2


def test_nobody_anywhere_fails_the_row():
    with pytest.raises(RowFailure, match="neither landmarks nor a track"):
        person_crops(tracked_row(track_times=None, track_boxes=None), margin=1.0, aspect=1.0)
    with pytest.raises(RowFailure, match="neither landmarks nor a track"):
        person_crops(tracked_row(box=(0.0, 0.0, 0.0, 0.0)), margin=1.0, aspect=1.0)
    with pytest.raises(RowFailure, match="body_landmarks has 50 frames, not 49"):
        person_crops(landmark_row(frame_count=49), margin=1.0, aspect=1.0)


def picture_with(markers: np.ndarray, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A dark picture with a soft round spot at each place, exact to a fraction of a pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    spots = sum(np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 4.0**2)) for u, v in markers)
    return np.repeat((255 * np.clip(spots, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)


def place_in(crop: np.ndarray) -> np.ndarray:
    grey = crop[..., 0].astype(np.float64)
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]] + 0.5
    return np.array([(grey * x).sum(), (grey * y).sum()]) / grey.sum()


@pytest.mark.parametrize("input_size", [(96, 96), (128, 96), (64, 128)])
@pytest.mark.parametrize("edge", [(300.0, 150.0), (40.0, 40.0), (620.0, 330.0)])
def test_a_spot_is_where_the_crops_geometry_says(input_size, edge):
    """Through the region and the shrinking that the decoder does, also where the crop leaves the picture."""
    height, width = input_size
    size = np.array([width / height, 1.0]) * 161.3
    crops = PersonCrops(centres=np.array([edge]), sizes=size[None], seen=np.ones(1, bool), width=WIDTH, height=HEIGHT)
    spot = np.add(edge, (7.3, -11.6))
    left, top, right, bottom = pixel_box(crops.region, WIDTH, HEIGHT)
    part = picture_with(spot[None])[top:bottom, left:right]
    scale = crops.longest_side(input_size) / max(part.shape[:2])
    assert scale < 1
    shrunk = cv2.resize(
        part, (round(part.shape[1] * scale), round(part.shape[0] * scale)), interpolation=cv2.INTER_AREA
    )
    (crop,) = crops.cut([(0, np.asarray(shrunk, np.uint8))], input_size)
    assert crop.shape == (height, width, 3)
    expected = (spot - (np.array(edge) - size / 2)) / size * [width, height]
    np.testing.assert_allclose(place_in(crop), expected, atol=0.15)


def test_the_crops_camera_sees_points_where_the_crop_shows_them():
    crops = person_crops(tracked_row(), margin=1.25, aspect=0.75)
    focal, size = 700.0, (256, 192)
    points = np.array([[0.1, -0.2, 2.5], [-0.3, 0.4, 3.0]])
    pixels = points[:, :2] / points[:, 2:] * focal + [WIDTH / 2, HEIGHT / 2]
    in_crop = (pixels - (crops.centres[0] - crops.sizes[0] / 2)) / crops.sizes[0] * [192, 256]
    seen = points @ crops.intrinsics(focal, size)[0].T
    np.testing.assert_allclose(seen[:, :2] / seen[:, 2:], in_crop, atol=1e-2)


def test_a_person_who_is_small_is_not_blown_up_before_the_crop():
    crops = person_crops(tracked_row(box=(0.5, 0.5, 0.02, 0.05)), margin=1.0, aspect=1.0)
    left, top, right, bottom = pixel_box(crops.region, WIDTH, HEIGHT)
    assert crops.longest_side((256, 256)) == max(right - left, bottom - top)
