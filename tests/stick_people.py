"""People as stick figures in numbers: poses, faces and figures at known places, without a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from operators.pose.landmarking.landmarkers import Box, Pose
from operators.pose.people.person_figures import Figure
from operators.pose.people.speaker_identity import BINS, Look

HEAD = 0.18  # of the person's height, as is everything below

PLACES = {
    "head": (list(range(11)), (0.0, 0.09)),
    "left_shoulder": ([11], (0.13, 0.25)), "right_shoulder": ([12], (-0.13, 0.25)),
    "left_elbow": ([13], (0.2, 0.5)), "right_elbow": ([14], (-0.2, 0.5)),
    "left_wrist": ([15, 17, 19, 21], (0.15, 0.7)), "right_wrist": ([16, 18, 20, 22], (-0.15, 0.7)),
    "left_hip": ([23], (0.08, 0.8)), "right_hip": ([24], (-0.08, 0.8)),
    "left_leg": ([25, 27, 29, 31], (0.08, 1.0)), "right_leg": ([26, 28, 30, 32], (-0.08, 1.0)),
}  # fmt: skip


def stick(x: float, top: float = 0.1, height: float = 0.8, *, hidden: Sequence[str] = ()) -> Pose:
    """A pose about the line `x`, whose parts named in `hidden` are not visible."""
    landmarks = np.zeros((33, 3), np.float32)
    for name, (points, (right, down)) in PLACES.items():
        landmarks[points] = (x + right * height, top + down * height, 0.05 if name in hidden else 0.95)
    landmarks[[3, 7, 2, 1], 0] += 0.04 * height  # the left of the face, as the person has it
    landmarks[[6, 8, 5, 4], 0] -= 0.04 * height
    landmarks[1:7, 1] -= 0.02 * height
    landmarks[9:11, 1] += 0.04 * height
    return Pose(landmarks)


def face_of(x: float, top: float = 0.1, height: float = 0.8, score: float = 0.9) -> Box:
    """The face of `stick` at the same place."""
    return Box(x - HEAD * height / 2, top, HEAD * height, HEAD * height, score)


def plain_look(colour: int) -> Look:
    """A look of one colour: different numbers have nothing in common."""
    look = np.zeros((2, BINS), np.float32)
    look[:, colour] = 1.0
    return look


def person(
    x: float,
    top: float = 0.1,
    height: float = 0.8,
    *,
    face: bool = True,
    body: bool = True,
    hidden: Sequence[str] = (),
    colour: int = 0,
) -> Figure:
    """A figure at `x`, as the networks would see it."""
    pose, head = stick(x, top, height, hidden=hidden), face_of(x, top, height)
    return Figure(
        box=pose.box if body else head,
        head=head,
        face=head if face else None,
        pose=pose if body else None,
        look=plain_look(colour),
    )
