from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.pose.drawing import LANDMARK, LEFT, MESH, RIGHT, PoseDrawing
from operators.pose.skeleton import JOINT, REST_JOINTS, posed_joints
from tests.gesture_rows import gesture_row
from tests.talking_poses import talking_row

CAMERA = {"focal": 500.0, "centre_x": 320.0, "centre_y": 240.0, "width": 640, "height": 480}


def row(frames: int = 4, **columns: Any) -> dict[str, Any]:
    talking = talking_row(frames)
    smooth = {"poses": talking["raw_poses"], "transl": talking["raw_transl"]}
    presence = {"presence": np.zeros((frames, 4), np.float16)}
    return {**gesture_row(frames), **talking, **smooth, **presence, "camera": CAMERA, "betas": None, **columns}


def black(width: int = 640, height: int = 480) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def pixel(clip: dict[str, Any], joint: str, frame: int = 0) -> tuple[int, int]:
    rest = np.asarray(clip["rest_joints"]).reshape(-1, 3)
    x, y, z = posed_joints(clip["poses"], rest, clip["transl"])[frame, JOINT[joint]]
    return round(float(500 * x / z + 320)), round(float(500 * y / z + 240))


def halfway(clip: dict[str, Any], first: str, second: str) -> tuple[int, int]:
    (a, b), (c, d) = pixel(clip, first), pixel(clip, second)
    return (a + c) // 2, (b + d) // 2


def test_arms_are_drawn_where_the_camera_sees_them_in_the_colours_of_their_sides():
    clip = row()
    picture = PoseDrawing(clip).draw(black(), 0)
    for side, colour in (("left", LEFT), ("right", RIGHT)):
        x, y = halfway(clip, f"{side}_shoulder", f"{side}_elbow")
        assert np.abs(picture[y, x].astype(int) - colour).max() < 40
    assert pixel(clip, "left_elbow")[0] > 320 > pixel(clip, "right_elbow")[0]
    assert not picture[:40, :100].any()


def test_a_picture_of_another_size_is_drawn_to_scale_and_not_changed():
    clip = row()
    ground = black(320, 240)
    picture = PoseDrawing(clip).draw(ground, 0)
    x, y = halfway(clip, "left_shoulder", "left_elbow")
    assert np.abs(picture[y // 2, x // 2].astype(int) - LEFT).max() < 60
    assert not ground.any()


def test_what_was_not_observed_is_faint():
    clip = row()
    clip["joint_mask"][0, JOINT["left_shoulder"]] = False
    drawing = PoseDrawing(clip)
    x, y = halfway(clip, "left_shoulder", "left_elbow")
    seen, unseen = drawing.draw(black(), 1)[y, x], drawing.draw(black(), 0)[y, x]
    assert 0 < unseen.max() < 0.5 * seen.max()


def test_the_palm_of_a_hand_that_was_not_seen_is_faint():
    clip = row()
    clip["joint_mask"][0, 25:40] = False
    drawing = PoseDrawing(clip)
    faint, plain = drawing.draw(black(), 0), drawing.draw(black(), 1)
    (x, y), (u, v) = pixel(clip, "left_wrist"), pixel(clip, "left_middle1")
    reach = slice(min(y, v) - 3, max(y, v) + 4), slice(min(x, u) - 3, max(x, u) + 4)
    assert 0 < faint[reach].mean() < 0.8 * plain[reach].mean()


def test_nobody_behind_the_camera_is_drawn():
    clip = row(transl=np.tile(np.array([0, 0, -2.0], np.float32), (4, 1)))
    assert not PoseDrawing(clip).draw(black(), 0).any()


def test_joints_far_outside_the_picture_do_no_harm():
    clip = row(transl=np.tile(np.array([1e6, 0, 0.7], np.float32), (4, 1)))
    assert not PoseDrawing(clip).draw(black(), 0).any()


def test_landmarks_are_drawn_where_they_were_found():
    clip = row(transl=np.tile(np.array([0, 0, -2.0], np.float32), (4, 1)))
    clip["presence"][0, 2] = 1
    clip["hand_landmarks"][0, 0, :, :2] = (0.25, 0.75)
    clip["hand_landmarks"][0, 1, :, :2] = (0.75, 0.75)
    picture = PoseDrawing(clip).draw(black(), 0)
    assert np.abs(picture[360, 160].astype(int) - LANDMARK).max() < 30
    assert not picture[360, 480].any()
    assert not PoseDrawing(clip).draw(black(), 1).any()


def test_a_clip_that_was_never_smoothed_is_drawn_as_fitted():
    clip = row()
    expected = PoseDrawing(clip).draw(black(), 2)
    assert np.array_equal(PoseDrawing({**clip, "poses": None, "transl": None}).draw(black(), 2), expected)


def test_only_the_frames_that_are_asked_for_are_prepared():
    assert PoseDrawing(row(30), frames=7).frames == 7
    assert PoseDrawing(row(5), frames=7).frames == 5


def test_the_mesh_of_a_body_model_lies_over_the_picture(smplx_body: Path):
    pytest.importorskip("smplx")
    from operators.pose.meshes.body_model import BodyModel

    body = BodyModel(smplx_body)
    clip = row(2, rest_joints=body.rest_joints().reshape(-1).astype(np.float32))
    plain, meshed = PoseDrawing(clip).draw(black(), 0), PoseDrawing(clip, body).draw(black(), 0)
    touched = (plain != meshed).any(axis=2)
    assert touched.sum() > 300
    x, y = pixel(clip, "spine2")
    assert touched[y - 40 : y + 40, x - 40 : x + 40].sum() > 50
    assert (np.abs(meshed.astype(int) - np.array(MESH) * 0.6).max(axis=2) < 2).sum() > 100


def test_the_rest_pose_stands_where_smplx_puts_it():
    assert posed_joints(np.zeros((1, 55, 3)))[0] == pytest.approx(REST_JOINTS)
