"""The columns that the people found in a clip's frames make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from operators.contract import Row
from operators.pose.columns import BLENDSHAPES, BODY_POINTS, FACE_POINTS, HAND_POINTS
from operators.pose.landmarking.attribution import Person
from operators.pose.landmarking.landmark_tracking import Hand
from operators.video.span_frames import Crop

FOUND = 1.0  # presence of a face: MediaPipe tells no score
LEAST = 1e-3  # presence of a hand that MediaPipe takes for the other one

Half = NDArray[np.float16]


def landmark_columns(people: Sequence[Person], fps: float, crop: Crop, *, blendshapes: bool) -> Row:
    """Arrays of float16 with one row per frame.

    Landmarks come in shares of the crop and leave in shares of the picture. What was not found is 0, and
    its presence too. `blendshapes`: whether the column is filled at all.
    """
    count = len(people)
    body, body_world = np.zeros((count, BODY_POINTS, 4)), np.zeros((count, BODY_POINTS, 3))
    hands, hands_world = np.zeros((count, 2, HAND_POINTS, 3)), np.zeros((count, 2, HAND_POINTS, 3))
    face, shapes = np.zeros((count, FACE_POINTS, 3)), np.zeros((count, BLENDSHAPES))
    presence = np.zeros((count, 4))
    for frame, person in enumerate(people):
        if person.body is not None:
            body[frame, :, :3] = _in_picture(person.body.points[:, :3], crop)
            body[frame, :, 3] = person.body.points[:, 3]
            body_world[frame] = person.body.world
            presence[frame, 0] = person.body.score
        if person.face is not None:
            face[frame] = _in_picture(person.face.points, crop)
            if person.face.blendshapes is not None:
                shapes[frame] = person.face.blendshapes
            presence[frame, 1] = FOUND
        for side, hand in enumerate((person.left_hand, person.right_hand)):
            if hand is not None:
                hands[frame, side] = _in_picture(hand.points, crop)
                hands_world[frame, side] = hand.world
                presence[frame, 2 + side] = max(LEAST, _sure(hand, side))
    return {
        "fps": fps,
        "frame_count": count,
        "crop": list(crop),
        "body_landmarks": _half(body),
        "body_world": _half(body_world),
        "hand_landmarks": _half(hands),
        "hand_world": _half(hands_world),
        "face_landmarks": _half(face),
        "blendshapes": _half(shapes) if blendshapes else None,
        "presence": _half(presence),
    }


def _sure(hand: Hand, side: int) -> float:
    return hand.left if side == 0 else 1 - hand.left


def _in_picture(points: NDArray[np.float32], crop: Crop) -> NDArray[np.float64]:
    x, y, width, height = crop
    return points.astype(np.float64) * (width, height, width) + (x, y, 0.0)


def _half(values: NDArray[np.float64]) -> Half:
    return values.astype(np.float16)
