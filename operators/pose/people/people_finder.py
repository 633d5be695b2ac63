"""Looks for people in one picture with all the networks there are, and makes figures of what they see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from operators.pose.landmarking.landmarkers import Box, Pose
from operators.pose.people.person_figures import FACE_REACH, Figure, distinct_faces, figures, nose_away

CROP_WIDTHS, CROP_HEIGHTS = 5.0, 6.0  # of the face's box: the upper body around it
ABOVE = 1.0  # heights of the face's box that the crop begins over it

Look = Callable[[NDArray[np.uint8]], list[Box]]
LookForPoses = Callable[[NDArray[np.uint8]], list[Pose]]


class PeopleFinder:
    """Faces, poses and, optionally, a person detector's boxes of one picture (uint8 H×W×3, RGB) as figures."""

    def __init__(self, faces: Look, poses: LookForPoses, persons: Look | None = None) -> None:
        self._faces, self._poses, self._persons = faces, poses, persons

    def __call__(self, rgb: NDArray[np.uint8]) -> tuple[Figure, ...]:
        faces = distinct_faces(self._faces(rgb))
        poses = self._poses(rgb)
        if len(faces) > 1:
            poses = [*poses, *self._closer(rgb, faces, poses)]
        return figures(rgb, faces, poses, self._persons(rgb) if self._persons is not None else None)

    def _closer(self, rgb: NDArray[np.uint8], faces: Sequence[Box], poses: Sequence[Pose]) -> list[Pose]:
        """Poses of faces that have none. The pose network often finds one of two people, and the other one alone."""
        found = []
        aspect = rgb.shape[1] / rgb.shape[0]
        for face in faces:
            if any(nose_away(pose, face, aspect) <= FACE_REACH for pose in poses):
                continue
            left, top, right, bottom = _around(face, rgb)
            height, width = rgb.shape[:2]
            for pose in self._poses(rgb[top:bottom, left:right]):
                points = pose.landmarks.copy()
                points[:, 0] = (points[:, 0] * (right - left) + left) / width
                points[:, 1] = (points[:, 1] * (bottom - top) + top) / height
                if nose_away(Pose(points), face, aspect) <= FACE_REACH:
                    found.append(Pose(points))
                    break
        return found


def _around(face: Box, rgb: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    height, width = rgb.shape[:2]
    x, _ = face.centre
    left, right = x - face.width * CROP_WIDTHS / 2, x + face.width * CROP_WIDTHS / 2
    top = face.y - ABOVE * face.height
    bottom = top + CROP_HEIGHTS * face.height
    return (
        round(max(0.0, left) * width), round(max(0.0, top) * height),
        round(min(1.0, right) * width), round(min(1.0, bottom) * height),
    )  # fmt: skip
