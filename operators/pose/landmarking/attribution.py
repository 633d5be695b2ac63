"""Which body, face and hands of a frame are the person's, and which hand is the left one.

MediaPipe's word on left and right turns round for seconds where a hand is seen edge-on, while a body's
wrists hardly ever change places. So a hand belongs to the wrist that it is near; its own handedness
decides only between wrists that are close together, or where no body was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from operators.pose.landmarking.landmark_tracking import UPPER_BODY, Body, Face, Hand, Seen
from operators.pose.landmarking.landmarkers import SEEN, Box
from operators.pose.topology import BODY, FACE

INSIDE = 0.5  # share of the upper body's points that must lie in the track's box
REACH = 0.5  # shoulder widths (17 cm) that a hand may lie off the body's wrist; seen: up to 0.26
HANDEDNESS = 0.1  # shoulder widths that handedness weighs against nearness
TORSO = 0.6  # shoulder width over the length of the torso, where shoulders are seen from the side
FACE_OFF = 1.0  # widths of the face that its middle may lie off the body's nose; seen: up to 0.2
SIDES = ("left_wrist", "right_wrist")

Vector = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Person:
    """One person in one frame; None for what was not found. `left_hand` and `right_hand` are the person's own."""

    body: Body | None
    face: Face | None
    left_hand: Hand | None
    right_hand: Hand | None


def attribute(seen: Seen, size: tuple[int, int], track: Box | None) -> Person:
    """The person whose track has the box `track` at this time, in shares of the picture of `size` (width, height).

    Without a track: the body that MediaPipe names first.
    """
    scale = np.array(size, np.float64)
    body = choose_body(seen.bodies, track)
    face = choose_face(seen.faces, body, track, scale)
    left, right = choose_hands(seen.hands, body, scale)
    return Person(body, face, left, right)


def choose_body(bodies: Sequence[Body], track: Box | None) -> Body | None:
    """The body with the largest share of its visible upper body in the track's box, where that is enough."""
    if track is None or not bodies:
        return bodies[0] if bodies else None
    shares = [_share_inside(body, track) for body in bodies]
    best = int(np.argmax(shares))
    return bodies[best] if shares[best] >= INSIDE else None


def choose_face(faces: Sequence[Face], body: Body | None, track: Box | None, scale: Vector) -> Face | None:
    """The face at the body's nose; without a body, the first one in the track's box."""
    if body is None:
        return next((face for face in faces if track is None or _holds(track, face.points[:, :2].mean(axis=0))), None)
    nose = body.points[BODY["nose"], :2] * scale
    nearest, least = None, FACE_OFF
    for face in faces:
        points = face.points[:, :2] * scale
        width = np.linalg.norm(points[FACE["left_jaw"]] - points[FACE["right_jaw"]])
        height = np.linalg.norm(points[FACE["nose_root"]] - points[FACE["chin"]])
        off = float(np.linalg.norm(points.mean(axis=0) - nose) / max(width, height, 1e-9))
        if off < least:
            nearest, least = face, off
    return nearest


def choose_hands(hands: Sequence[Hand], body: Body | None, scale: Vector) -> tuple[Hand | None, Hand | None]:
    """The person's left and right hand: as many as have a wrist within reach, then those that fit best."""
    if body is None:
        lefts = sorted((hand for hand in hands if hand.left >= 0.5), key=lambda hand: -hand.left)
        rights = sorted((hand for hand in hands if hand.left < 0.5), key=lambda hand: hand.left)
        return next(iter(lefts), None), next(iter(rights), None)
    unit = shoulder_width(body, scale)
    wrists = [body.points[BODY[side], :2] * scale for side in SIDES]
    costs = np.full((len(hands) + 1, 2), REACH + HANDEDNESS)  # the last row: no hand
    for number, hand in enumerate(hands):
        for side, (wrist, sure) in enumerate(zip(wrists, (hand.left, 1 - hand.left), strict=True)):
            away = float(np.linalg.norm(hand.points[0, :2] * scale - wrist)) / unit
            costs[number, side] = away + HANDEDNESS * (1 - sure) if away <= REACH else np.inf
    choices = [(i, j) for i, j in product(range(len(hands) + 1), repeat=2) if i != j or i == len(hands)]
    left, right = min(choices, key=lambda pair: (costs[pair[0], 0] + costs[pair[1], 1], pair))
    found = [*hands, None]
    return found[left], found[right]


def shoulder_width(body: Body, scale: Vector) -> float:
    """Distance of the shoulders in pixels, or what the torso's length makes of it for a person seen from the side."""
    points = body.points[:, :2] * scale
    left, right = points[BODY["left_shoulder"]], points[BODY["right_shoulder"]]
    hips = (points[BODY["left_hip"]] + points[BODY["right_hip"]]) / 2
    across, down = np.linalg.norm(left - right), np.linalg.norm((left + right) / 2 - hips)
    return max(float(across), TORSO * float(down), 1e-9)


def _share_inside(body: Body, box: Box) -> float:
    points = body.points[:UPPER_BODY]
    visible = points[points[:, 3] >= SEEN]
    return float(np.mean([_holds(box, point[:2]) for point in visible])) if len(visible) else 0.0


def _holds(box: Box, point: Vector) -> bool:
    x, y = float(point[0]), float(point[1])
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
