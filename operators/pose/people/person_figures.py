"""What one picture shows of people: faces, bodies and detected boxes, put together into figures.

A figure is not yet a person: body networks see people in walls, and a face may be in a poster. Who
counts is decided over a whole shot, in `operators.pose.people.person_tracks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from operators.pose.landmarking.landmarkers import SEEN, Box, Pose
from operators.pose.people.speaker_identity import Look, look
from operators.pose.topology import BODY

MARGIN = 0.05  # of the picture: joints that lie outside by so little are in view
ROUGHLY = 0.2  # visibility from which a joint is more than guessed; a bent arm hides its own elbow
VISIBLE_SHOULDERS = 0.5  # mean visibility from which a body is taken up at all
INSIDE = 0.7  # share of a face's box within another's from which they are one face
FACE_REACH = 1.0  # heights of the face's box by which a body's nose may lie off its middle
SAME_HEAD = 0.5  # head sizes within which two bodies' heads are one
CROWN = 0.5  # height of the crown over the nose, of the distance from nose to shoulders
HEAD_PER_EYE_TO_MOUTH = 2.5

HEAD_POINTS = list(range(BODY["nose"], BODY["mouth_right"] + 1))
EYES = [BODY["left_eye"], BODY["right_eye"]]
MOUTH = [BODY["mouth_left"], BODY["mouth_right"]]
SHOULDERS = [BODY["left_shoulder"], BODY["right_shoulder"]]
ELBOWS = [BODY["left_elbow"], BODY["right_elbow"]]
WRISTS = [BODY["left_wrist"], BODY["right_wrist"]]


@dataclass(frozen=True)
class Figure:
    """One figure in one picture: `box` around what is seen of it, and what that is. In shares of the picture.

    `body` is what a person detector found; `look` how the figure looks, where it has a head.
    """

    box: Box
    head: Box | None = None
    face: Box | None = None
    pose: Pose | None = None
    body: Box | None = None
    look: Look | None = None

    @property
    def height(self) -> float | None:
        """Height of what is seen of the body, as a share of the picture's; None where only a face is."""
        return self.box.height if self.pose is not None or self.body is not None else None

    @property
    def shows_bust(self) -> bool:
        """Whether the head and both shoulders are in view."""
        return self.pose is not None and bool(_in_view(self.pose, SHOULDERS, SEEN).all()) and self._head_in_view()

    @property
    def shows_upper_body(self) -> bool:
        """Whether head, shoulders and both elbows are in view."""
        return self.shows_bust and self.pose is not None and bool(_in_view(self.pose, ELBOWS, ROUGHLY).all())

    @property
    def shows_hands(self) -> bool:
        """Whether at least one wrist is in view."""
        return self.pose is not None and bool(_in_view(self.pose, WRISTS, SEEN).any())

    def _head_in_view(self) -> bool:
        if self.face is not None:
            return True
        if self.pose is None or not _in_view(self.pose, [BODY["nose"]], SEEN).all():
            return False
        nose, shoulders = float(self.pose.landmarks[0, 1]), float(self.pose.landmarks[SHOULDERS, 1].mean())
        return nose - CROWN * abs(shoulders - nose) >= 0


def figures(rgb: NDArray[np.uint8], faces: Sequence[Box], poses: Sequence[Pose], bodies: Sequence[Box] | None = None):
    """The figures in the picture `rgb` (uint8 H×W×3), from left to right.

    `bodies` are the boxes of a person detector, where there is one: then a body without a face needs a box.
    """
    aspect = rgb.shape[1] / rgb.shape[0]
    found = _joined(distinct_faces(faces), _distinct_poses(poses, aspect), aspect)
    if bodies is not None:
        found = _confirmed(found, bodies)
    found = [
        figure if figure.head is None else replace(figure, look=look(rgb, figure.head, figure.pose))
        for figure in found
    ]
    return tuple(sorted(found, key=lambda figure: (figure.box.centre, figure.box.height)))


def head_of(pose: Pose, aspect: float) -> Box:
    """A square box (in pixels) where the pose has its head; `aspect` is the picture's width over its height."""
    points = pose.landmarks[:, :2].astype(float)
    across = float(np.ptp(points[HEAD_POINTS, 0])) * aspect
    down = float(points[MOUTH, 1].mean() - points[EYES, 1].mean())
    size = max(across, HEAD_PER_EYE_TO_MOUTH * abs(down), 1e-6)
    x, y = (float(value) for value in points[HEAD_POINTS].mean(axis=0))
    return Box(x - size / aspect / 2, y - size / 2, size / aspect, size)


def nose_away(pose: Pose, face: Box, aspect: float) -> float:
    """How far the pose's nose lies from the middle of the face, in heights of the face's box."""
    nose_x, nose_y = (float(value) for value in pose.landmarks[0, :2])
    x, y = face.centre
    return float(np.hypot((nose_x - x) * aspect, nose_y - y)) / max(face.height, 1e-6)


def _in_view(pose: Pose, joints: Sequence[int], visibility: float) -> NDArray[np.bool_]:
    x, y, seen = pose.landmarks[list(joints)].T
    inside = (x >= -MARGIN) & (x <= 1 + MARGIN) & (y >= -MARGIN) & (y <= 1 + MARGIN)
    return inside & (seen >= visibility)


def distinct_faces(faces: Sequence[Box]) -> list[Box]:
    """Faces without those that lie within a surer one, or hold one: two networks can see one face at two sizes."""
    kept: list[Box] = []
    for face in sorted(faces, key=lambda box: (-box.score, box.x, box.y)):
        if all(_shared(face, other) < INSIDE for other in kept):
            kept.append(face)
    return kept


def _shared(a: Box, b: Box) -> float:
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    smaller = min(a.width * a.height, b.width * b.height)
    return max(0.0, across) * max(0.0, down) / smaller if smaller > 0 else 0.0


def _distinct_poses(poses: Sequence[Pose], aspect: float) -> list[Pose]:
    kept: list[Pose] = []
    for pose in sorted(poses, key=lambda pose: (-float(pose.landmarks[:, 2].mean()), float(pose.landmarks[0, 0]))):
        if float(pose.landmarks[SHOULDERS, 2].mean()) < VISIBLE_SHOULDERS:
            continue
        head = head_of(pose, aspect)
        if all(_away(head, head_of(other, aspect), aspect) >= SAME_HEAD * head.height for other in kept):
            kept.append(pose)
    return kept


def _away(a: Box, b: Box, aspect: float) -> float:
    (ax, ay), (bx, by) = a.centre, b.centre
    return float(np.hypot((ax - bx) * aspect, ay - by))


def _joined(faces: Sequence[Box], poses: Sequence[Pose], aspect: float) -> list[Figure]:
    """One figure per face or pose; a pose goes with the face that is nearest to its nose."""
    pairs = []
    for p, pose in enumerate(poses):
        for f, face in enumerate(faces):
            away = nose_away(pose, face, aspect)
            if away <= FACE_REACH:
                pairs.append((away, p, f))
    owner: dict[int, int] = {}
    for _, p, f in sorted(pairs):
        if p not in owner and f not in owner.values():
            owner[p] = f
    found = [_figure(pose, faces[owner[p]] if p in owner else None, aspect) for p, pose in enumerate(poses)]
    return found + [Figure(box=face, head=face, face=face) for f, face in enumerate(faces) if f not in owner.values()]


def _figure(pose: Pose, face: Box | None, aspect: float) -> Figure:
    box = pose.box if face is None else _around(pose.box, face)
    return Figure(box=box, head=face or head_of(pose, aspect), face=face, pose=pose)


def _around(a: Box, b: Box) -> Box:
    left, top = max(0.0, min(a.x, b.x)), max(0.0, min(a.y, b.y))
    right, bottom = min(1.0, max(a.x + a.width, b.x + b.width)), min(1.0, max(a.y + a.height, b.y + b.height))
    return Box(left, top, right - left, bottom - top)


def _confirmed(found: Sequence[Figure], bodies: Sequence[Box]) -> list[Figure]:
    """Figures with their detected boxes, and boxes of nobody known; without those that have neither box nor face."""
    pairs = sorted(
        (-figure.box.overlap(body), f, b)
        for f, figure in enumerate(found)
        for b, body in enumerate(bodies)
        if figure.head is not None and _holds(body, figure.head.centre)
    )
    owner: dict[int, int] = {}
    for _, f, b in pairs:
        if f not in owner and b not in owner.values():
            owner[f] = b
    kept = []
    for f, figure in enumerate(found):
        if f in owner:
            kept.append(replace(figure, body=bodies[owner[f]], box=bodies[owner[f]]))
        elif figure.face is not None:
            kept.append(figure)
    return kept + [Figure(box=body, body=body) for b, body in enumerate(bodies) if b not in owner.values()]


def _holds(box: Box, point: tuple[float, float]) -> bool:
    x, y = point
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
