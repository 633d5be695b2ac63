"""A body in the SMPL-X file format, made of tubes: everything that `smplx` reads, and joints where we put them.

Nothing in it comes from SMPL-X but the names, shapes and meanings of the arrays, the tree of joints, and the
numbers of the vertices that `smplx` takes for nose, eyes, ears, fingertips, toes and heels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.pose.meshes.body_file import EXPRESSIONS, JOINTS, POSE_FEATURES, SHAPES, VERTICES
from operators.pose.skeleton import DIGITS, PARENTS, REST_JOINTS

Array = NDArray[np.float64]

Field = Callable[[Array, Array], NDArray[Any]]

MARKS = {
    "nose": 9120, "reye": 9929, "leye": 9448, "rear": 616, "lear": 6,
    "rthumb": 8079, "rindex": 7669, "rmiddle": 7794, "rring": 7905, "rpinky": 8022,
    "lthumb": 5361, "lindex": 4933, "lmiddle": 5058, "lring": 5169, "lpinky": 5286,
    "lbigtoe": 5770, "lsmalltoe": 5780, "lheel": 8846, "rbigtoe": 8463, "rsmalltoe": 8474, "rheel": 8635,
}  # fmt: skip
"""Vertices that `smplx` reads as points of their own."""

SHAPE_KINDS = 10
"""Shape coefficients that do something; the rest of the 300 are zero."""

EXPRESSION_KINDS = 4

PELVIS = np.array([0.002, -0.34, 0.01])
"""Where the pelvis stands: in SMPL-X's files the origin is somewhere in the chest."""

BONES = {"index": 0.022, "middle": 0.024, "ring": 0.022, "pinky": 0.018, "thumb": 0.026}
"""Metres from each finger's last joint to its tip."""


def rest_joints() -> Array:
    """Where the joints of the mean shape stand, (55, 3): the file's regressor gives exactly these."""
    return REST_JOINTS + PELVIS


def _tip(last: int) -> Array:
    line = rest_joints()[last] - rest_joints()[last - 1]
    return line / np.linalg.norm(line)


def tips() -> dict[str, Array]:
    """Ends of the limbs that are no joints, by the names of `MARKS`."""
    joints = rest_joints()
    ends = {
        "lr"[side] + finger: joints[25 + 15 * side + 3 * number + 2]
        + BONES[finger] * _tip(25 + 15 * side + 3 * number + 2)
        for side in (0, 1)
        for number, finger in enumerate(DIGITS)
    }
    for side, name in enumerate("lr"):
        out = 1.0 - 2 * side
        foot, ankle = joints[10 + side], joints[7 + side]
        ends[f"{name}bigtoe"] = foot + np.array([-0.01 * out, -0.01, 0.07])
        ends[f"{name}smalltoe"] = foot + np.array([0.04 * out, -0.01, 0.04])
        ends[f"{name}heel"] = ankle + np.array([0, -0.06, -0.05])
        ends[f"{name}eye"] = joints[23 + side] + np.array([0, 0, 0.012])
        ends[f"{name}ear"] = joints[15] + np.array([0.075 * out, 0.06, 0.01])
    ends["nose"] = joints[15] + np.array([0.0, 0.025, 0.115])
    return ends


@dataclass(frozen=True)
class _Tube:
    """Rings around a line from `start` to `end` with a pole at each end; the first ring is centred on `start`."""

    joint: int
    start: Array
    end: Array
    radius: tuple[float, float]
    rings: int
    spokes: int
    child: int = -1

    @property
    def size(self) -> int:
        return self.rings * self.spokes + 2

    def frame(self) -> tuple[NDArray[Any], NDArray[Any]]:
        line = self.end - self.start
        line = line / np.linalg.norm(line)
        other = np.array([0.0, 0.0, 1.0]) if abs(line[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
        across = np.cross(line, other)
        across /= np.linalg.norm(across)
        return across, np.cross(line, across)

    def vertices(self) -> tuple[Array, Array, Array]:
        """Places (n, 3), places on the line 0 to 1 (n,), and outward directions (n, 3; zero at the poles)."""
        across, down = self.frame()
        along = np.linspace(0, 1, self.rings)
        turn = np.linspace(0, 2 * np.pi, self.spokes, endpoint=False)
        out = np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * down
        radius = np.interp(along, [0, 1], self.radius)
        rings = (self.start + along[:, None] * (self.end - self.start))[:, None] + radius[:, None, None] * out
        line = (self.end - self.start) / np.linalg.norm(self.end - self.start)
        poles = np.stack([self.start - 0.7 * self.radius[0] * line, self.end + 0.7 * self.radius[1] * line])
        places = np.concatenate([rings.reshape(-1, 3), poles])
        stations = np.concatenate([np.repeat(along, self.spokes), [0.0, 1.0]])
        directions = np.concatenate([np.tile(out, (self.rings, 1)), np.zeros((2, 3))])
        return places, stations, directions

    def faces(self) -> NDArray[np.int64]:
        ring = np.arange(self.spokes)
        after = (ring + 1) % self.spokes
        low = (np.arange(self.rings - 1) * self.spokes)[:, None]
        a, b, c, d = low + ring, low + after, low + self.spokes + ring, low + self.spokes + after
        walls = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
        first, last = self.size - 2, self.size - 1
        top = (self.rings - 1) * self.spokes
        return np.concatenate(
            [
                walls,
                np.stack([np.full(self.spokes, first), after, ring], -1),
                np.stack([np.full(self.spokes, last), top + ring, top + after], -1),
            ]
        )


HEAD = np.array([0.0, 0.07, 0.02]), np.array([0.078, 0.12, 0.10])
"""Centre, from the head's joint, and half axes of the head."""


def _tubes(joints: Array) -> list[_Tube]:
    ends = tips()

    def bone(start: int, end: int, radius: tuple[float, float], rings: int = 16, spokes: int = 12) -> _Tube:
        return _Tube(start, joints[start], joints[end], radius, rings, spokes, end)

    def tip(start: int, end: Array, radius: tuple[float, float], rings: int, spokes: int) -> _Tube:
        return _Tube(start, joints[start], end, radius, rings, spokes)

    torso = [(0, 3, (0.15, 0.14)), (3, 6, (0.14, 0.13)), (6, 9, (0.13, 0.14)), (9, 12, (0.14, 0.06))]
    tubes = [bone(start, end, radius, 14, 24) for start, end, radius in torso]
    tubes.append(bone(12, 15, (0.055, 0.055), 14, 24))
    for side in (0, 1):
        hip, knee, ankle, foot = (1 + side, 4 + side, 7 + side, 10 + side)
        collar, shoulder, elbow, wrist = (13 + side, 16 + side, 18 + side, 20 + side)
        toe = ends["lr"[side] + "bigtoe"]
        tubes += [
            bone(0, hip, (0.10, 0.10)), bone(hip, knee, (0.09, 0.055)), bone(knee, ankle, (0.055, 0.04)),
            bone(ankle, foot, (0.04, 0.035)), tip(foot, toe, (0.035, 0.02), 16, 12),
            bone(9, collar, (0.08, 0.07)), bone(collar, shoulder, (0.06, 0.055)),
            bone(shoulder, elbow, (0.05, 0.04)), bone(elbow, wrist, (0.04, 0.025)),
        ]  # fmt: skip
        for number, finger in enumerate(DIGITS):
            first = 25 + 15 * side + 3 * number
            tubes.append(bone(wrist, first, (0.02, 0.012), 8, 12))
            tubes += [bone(first + step, first + step + 1, (0.010, 0.009), 8, 12) for step in (0, 1)]
            tubes.append(tip(first + 2, ends["lr"[side] + finger], (0.008, 0.006), 8, 12))
        eye = joints[23 + side]
        tubes.append(tip(23 + side, eye + np.array([0, 0, 0.012]), (0.012, 0.008), 8, 6))
    tubes.append(tip(22, joints[15] + np.array([0.0, -0.035, 0.07]), (0.018, 0.014), 8, 12))
    used = sum(tube.size for tube in tubes)
    spokes = 51
    rings, rest = divmod(VERTICES - used - 2, spokes)
    assert rest == 0, f"the head would leave {rest} vertices over"
    tubes.append(_Tube(15, joints[15], joints[15] + np.array([0, 0.2, 0]), (0.05, 0.05), rings, spokes))
    return tubes


def _round_head(tube: _Tube) -> tuple[Array, Array, Array]:
    """The head's tube blown up to an ellipsoid; its first ring stays on the head's joint."""
    places, stations, directions = tube.vertices()
    centre, axes = tube.start + HEAD[0], HEAD[1]
    height = np.linspace(-0.92, 0.99, tube.rings - 1)
    across = np.sqrt(1 - height**2)
    body = directions[: tube.rings * tube.spokes].reshape(tube.rings, tube.spokes, 3)
    shell = np.zeros_like(body[1:])
    shell += height[:, None, None] * np.array([0.0, 1.0, 0.0]) + across[:, None, None] * body[1:]
    places[tube.spokes : tube.rings * tube.spokes] = (centre + axes * shell).reshape(-1, 3)
    places[-2:] = centre + axes * np.array([[0, -0.96, 0], [0, 1.0, 0]])
    return places, stations, directions


def _weights(tube: _Tube, stations: Array, places: Array) -> Array:
    """Skinning weights (n, 55): the tube's joint, blended over its ends with the joints before and after it."""
    weights = np.zeros((len(stations), JOINTS))
    weights[:, tube.joint] = 1.0
    before = PARENTS[tube.joint]
    for other, share in (
        (before, np.clip(0.5 - stations / 0.3, 0, 0.5)),
        (tube.child, np.clip(stations / 0.3 - 2.83, 0, 0.5)),
    ):
        if other >= 0:
            weights[:, tube.joint] -= share
            weights[:, other] += share
    if tube.joint == 15:  # the chin goes with the jaw
        _, up, out = (places - tube.start).T
        chin = np.clip((-0.01 - up) / 0.02, 0, 1) * np.clip((out - 0.03) / 0.03, 0, 1)
        weights[:, 15], weights[:, 22] = 1 - chin, chin
        weights[:, before] = 0.0
    return weights


def _shape_fields(joints: Array) -> list[Field]:
    """What each shape coefficient does to a place (n, 3) whose surface looks outwards (n, 3): metres per unit."""
    shoulder, elbow, hip, chest, neck = joints[16, 0], joints[18, 0], joints[1, 1], joints[9, 1], joints[12, 1]

    def along(axis: int, length: Callable[[Array], Array]) -> Field:
        return lambda place, _: np.eye(3)[axis] * length(place)[:, None]

    return [
        lambda place, _: 0.03 * place,
        lambda _, out: 0.010 * out,
        along(0, lambda p: 0.04 * np.sign(p[:, 0]) * np.maximum(np.abs(p[:, 0]) - shoulder, 0)),
        along(1, lambda p: 0.04 * np.minimum(p[:, 1] - hip, 0)),
        along(1, lambda p: 0.04 * np.clip(p[:, 1] - hip, 0, neck - hip)),
        along(0, lambda p: 0.010 * np.sign(p[:, 0]) * np.clip(np.abs(p[:, 0]) / shoulder, 0, 1) * (p[:, 1] > chest)),
        along(0, lambda p: 0.008 * np.clip(p[:, 0] / 0.1, -1, 1) * (p[:, 1] <= hip + 0.04)),
        along(0, lambda p: 0.03 * np.sign(p[:, 0]) * np.maximum(np.abs(p[:, 0]) - elbow, 0)),
        along(1, lambda p: 0.05 * np.maximum(p[:, 1] - neck, 0)),
        along(2, lambda p: 0.01 * np.clip((p[:, 1] - hip) / (neck - hip), 0, 1)),
    ]


def _expression_fields(head: Array) -> list[Field]:
    """The same for each expression coefficient, on the front of the head whose joint is at `head`."""

    def near(point: Sequence[float], width: float) -> Callable[[Array], Array]:
        return lambda place: np.exp(-np.sum((place - head - point) ** 2, axis=1) / (2 * width**2))

    def front(place: Array) -> NDArray[Any]:
        return ((place - head)[:, 2] > 0.04) & ((place - head)[:, 1] > -0.06)

    def corners(place: Array) -> Array:
        return near((0.03, -0.01, 0.08), 0.015)(place) + near((-0.03, -0.01, 0.08), 0.015)(place)

    return [
        lambda p, _: np.outer(0.006 * near((0, -0.03, 0.08), 0.02)(p) * front(p), [0, -1, 0]),
        lambda p, _: (0.004 * corners(p) * front(p))[:, None] * np.sign([1, 0, 0] * p + [0, 1, 0]),
        lambda p, _: np.outer(0.004 * near((0, 0.085, 0.11), 0.03)(p) * front(p), [0, 1, 0]),
        lambda p, _: np.outer(0.004 * near((0, -0.01, 0.10), 0.02)(p) * front(p), [0, 0, 1]),
    ]


def _bulges(joints: Array, places: Array, owners: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pose correctives (10475, 3, 486): elbows and knees swell as they bend, the rest is zero."""
    dirs = np.zeros((VERTICES, 3, POSE_FEATURES), np.float32)
    for joint in (4, 5, 18, 19):
        near = np.isin(owners, [joint, PARENTS[joint]]) & (np.linalg.norm(places - joints[joint], axis=1) < 0.12)
        out = places[near] - joints[joint]
        dirs[near, :, 9 * (joint - 1) + 8] = -0.05 * out  # R₃₃ − 1, which is negative where the joint bends
    return dirs


def _face_landmarks(places: Array, faces: NDArray[np.int64], head: Array) -> dict[str, NDArray[Any]]:
    """The 51 inner points of the 68 on the head, and 17 of the jaw line for each of 79 turns of the head."""

    def ring(count: int) -> Array:
        return np.linspace(0, 2 * np.pi, count, endpoint=False)

    brow = np.linspace(-0.055, -0.015, 5)
    inner = [(x, 0.085) for x in (*brow, *-brow[::-1])]
    inner += [(0.0, y) for y in np.linspace(0.06, 0.025, 4)]
    inner += [(x, 0.015) for x in np.linspace(-0.015, 0.015, 5)]
    for centre in (-0.031, 0.031):
        inner += [(centre - 0.014 * np.cos(t), 0.05 + 0.006 * np.sin(t)) for t in ring(6)]
    for width, height, count in ((0.026, 0.011, 12), (0.018, 0.005, 8)):
        inner += [(-width * np.cos(t), -0.01 + height * np.sin(t)) for t in ring(count)]
    centres = places[faces].mean(axis=1) - head
    skin = np.flatnonzero((centres[:, 1] > -0.06) & (np.linalg.norm((centres - HEAD[0]) / HEAD[1], axis=1) > 0.9))
    front = skin[centres[skin, 2] > 0.03]
    found = front[np.argmin(np.linalg.norm(centres[front, None, :2] - np.array(inner), axis=2), axis=0)]
    turns = np.radians(np.arange(79) - 39.0)[:, None] + np.linspace(-np.pi / 2, np.pi / 2, 17)
    line = np.stack([0.06 * np.sin(turns), np.full_like(turns, -0.03), 0.02 + 0.07 * np.cos(turns)], -1)
    contour = [np.argmin(np.linalg.norm(centres[skin] - point, axis=1)) for point in line.reshape(-1, 3)]
    third = np.full((1, 3), 1 / 3)
    return {
        "lmk_faces_idx": found.astype(np.int64),
        "lmk_bary_coords": np.repeat(third, len(found), axis=0),
        "dynamic_lmk_faces_idx": skin[contour].reshape(79, 17).astype(np.int64),
        "dynamic_lmk_bary_coords": np.broadcast_to(third, (79, 17, 3)).copy(),
    }


@lru_cache(maxsize=1)
def body_arrays() -> dict[str, NDArray[Any]]:
    """Every array of the file, as `smplx` reads them. Treat them as constants."""
    joints = rest_joints()
    places, outwards, weights, faces, owners = [], [], [], [], []
    regressor = np.zeros((JOINTS, VERTICES), np.float32)
    count = 0
    for tube in _tubes(joints):
        blow = _round_head if tube.rings * tube.spokes > 500 else _Tube.vertices
        place, station, out = blow(tube)
        if not regressor[tube.joint].any():
            regressor[tube.joint, count : count + tube.spokes] = 1 / tube.spokes
        places.append(place)
        outwards.append(out)
        weights.append(_weights(tube, station, place))
        faces.append(tube.faces() + count)
        owners.append(np.full(len(place), tube.joint))
        count += len(place)
    vertices, triangles = np.concatenate(places), np.concatenate(faces)
    order = _marked(vertices, np.concatenate(owners))
    where = np.argsort(order)
    vertices, out, owner = vertices[order], np.concatenate(outwards)[order], np.concatenate(owners)[order]
    triangles = where[triangles]
    shapes = np.zeros((VERTICES, 3, SHAPES + EXPRESSIONS), np.float32)
    for number, field in enumerate(_shape_fields(joints)):
        shapes[:, :, number] = np.round(field(vertices, out), 5)
    for number, field in enumerate(_expression_fields(joints[15])):
        shapes[:, :, SHAPES + number] = np.round(field(vertices, out), 5)
    tree = np.array([PARENTS, range(JOINTS)], np.int64)
    tree[0, 0] = 2**32 - 1  # as the distributed files have it
    hand = np.tile(np.radians([0.0, 0.0, 12.0]), 15)
    mirrored = hand * np.tile([1.0, -1.0, -1.0], 15)
    return {
        "v_template": vertices.astype(np.float32),
        "shapedirs": shapes,
        "posedirs": _bulges(joints, vertices, owner),
        "J_regressor": regressor[:, order],
        "kintree_table": tree,
        "weights": np.concatenate(weights)[order].astype(np.float32),
        "f": triangles.astype(np.int64),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": -hand,
        "hands_meanr": -mirrored,
        **_face_landmarks(vertices, triangles, joints[15]),
    }


def _marked(places: Array, owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of the vertices in which those nearest to the `tips` have the numbers of `MARKS`."""
    order = np.arange(VERTICES)
    taken: set[int] = set()
    for name, place in tips().items():
        near = next(int(n) for n in np.argsort(np.linalg.norm(places - place, axis=1)) if int(n) not in taken)
        taken.add(near)
        there = int(np.flatnonzero(order == near)[0])
        target = MARKS[name]
        order[[there, target]] = order[[target, there]]
    return order


def write_smplx_body(folder: Path, *, name: str = "SMPLX_NEUTRAL.npz", **changes: NDArray[Any] | None) -> Path:
    """Writes the file and gives its path; `changes` replace arrays, or leave them out with None."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {key: value for key, value in {**body_arrays(), **changes}.items() if value is not None}
    np.savez_compressed(folder / name, **arrays)
    return folder / name
