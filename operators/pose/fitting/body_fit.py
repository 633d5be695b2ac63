"""The body's part of the fit: what pulls its 22 joints, how far each observation is trusted, where it starts.

Needs torch.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from operators.pose.fitting import initial_pose
from operators.pose.fitting.anchors import FACE_RIGID, PALM, body_points
from operators.pose.fitting.joint_limits import LIMITS
from operators.pose.fitting.kinematics import Tree
from operators.pose.fitting.observations import Observations
from operators.pose.fitting.proportions import Proportions
from operators.pose.fitting.terms import Problem, Shapes, State
from operators.pose.skeleton import BODY_JOINTS, JOINT, MIRROR, PARENTS, joints_from_offsets
from operators.pose.topology import BODY, BODY_NAMES

WORLD_SPREAD = (0.016, 0.016, 0.024)
HAND_SPREAD = (0.005, 0.005, 0.008)
FACE_SPREAD = (0.008, 0.008, 0.012)
"""Standard deviations of 3D landmarks in metres: to the right, down and in depth."""

IMAGE_SPREAD = 3.0
"""Standard deviation of a landmark on the picture, thousandths of its longer side."""

KNUCKLE_WORTH = 0.1
"""Weight of the body's landmarks of the hand, which are coarse, against that of its others."""

COVERED_WORTH = 0.1
"""Weight of the body's wrist and hand on the picture where the hand's own landmarks are there."""

ACCELERATIONS = {
    "pelvis": 12.0, "spine1": 8.0, "spine2": 8.0, "spine3": 8.0, "neck": 20.0, "head": 20.0,
    "left_collar": 10.0, "left_shoulder": 50.0, "left_elbow": 60.0, "left_wrist": 80.0,
    "left_hip": 20.0, "left_knee": 25.0, "left_ankle": 25.0, "left_foot": 10.0,
}  # fmt: skip
"""Usual angular acceleration of the joints of a person who talks, rad/s², both sides alike."""

ROOT_ACCELERATION = 2.0  # m/s²

PALMS = slice(len(BODY_NAMES), len(BODY_NAMES) + 2 * len(PALM))
FACE = slice(PALMS.stop, PALMS.stop + len(FACE_RIGID))
"""Where the points of the palms and of the face are among `anchors.body_points`; the body's are before them."""

TREE = Tree(PARENTS[:BODY_JOINTS])
TRUNK = tuple(BODY[name] for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip"))

_FLAT = [number for number, name in enumerate(BODY_NAMES) if "eye" in name or "mouth" in name]
"""Landmarks whose world coordinates are not used: MediaPipe's eyes lie 3 cm apart in them, its mouth likewise."""

_KNUCKLES = [number for number, name in enumerate(BODY_NAMES) if name.partition("_")[2] in ("pinky", "index", "thumb")]

_COVERED = [[BODY[f"{side}_{name}"] for name in ("wrist", "pinky", "index", "thumb")] for side in ("left", "right")]


class BodyFit:
    """Poses the problem of the body for given proportions, on one device."""

    def __init__(self, proportions: Proportions, device: torch.device) -> None:
        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        points = body_points(proportions)
        joints = joints_from_offsets(proportions.offsets)
        rest = (joints - joints[0])[points.joint] + points.offset
        rest[PALMS] = points.offset[PALMS]
        self._rest = tensor(rest)
        self._joint = torch.as_tensor(points.joint, device=device)
        self._clouds = tensor(_clouds(len(points.joint)))
        body = slice(0, BODY_JOINTS)
        self._shapes = Shapes(
            offsets=tensor(proportions.offsets[None, body]),
            basis=tensor(proportions.basis[None, body]),
            points=tensor(points.offset[None]),
            point_basis=tensor(points.basis[None]),
        )
        self._limits = {
            "mean": tensor(LIMITS.mean[None, None, body]),
            "precision": tensor(LIMITS.spread[None, None, body] ** -2.0),
            "low": tensor(LIMITS.low[None, None, body]),
            "high": tensor(LIMITS.high[None, None, body]),
        }
        self._accelerations = tensor(_accelerations())

    def start(self, observed: Observations) -> tuple[State, Tensor]:
        """Where the fit starts, with proportions at their mean, and the depth of the face, metres (C, T)."""
        turns, seat = initial_pose.body(observed, self._rest)
        trunk = list(TRUNK)
        middle = observed.world[:, :, trunk].mean(2) + seat
        root = middle - turns[:, :, 0] @ self._rest[trunk].mean(0)
        shape = turns.new_zeros(len(turns), self._shapes.basis.shape[-1])
        depth = (observed.world[:, :, BODY["nose"]] + seat)[..., 2]
        return State(rotations=turns, root=root, shape=shape), depth

    def problem(self, observed: Observations, depth: Tensor, *, even: bool) -> Problem:
        """The problem of the body, even in time or frame by frame; `depth` (C, T) is the face's, metres."""
        world = observed.world
        palms = world.new_zeros(*world.shape[:2], 2 * len(PALM), 3)
        palms[:] = observed.hand_world[:, :, :, list(PALM)].flatten(2, 3)
        face = observed.face * depth[..., None, None]
        body = observed.body_weight.clone()
        body[..., _KNUCKLES] *= KNUCKLE_WORTH
        solid, flat = body.clone(), body
        solid[..., _FLAT] = 0
        for side, covered in enumerate(_COVERED):
            flat[..., covered] *= torch.where(observed.hand_weight[..., side : side + 1] > 0, COVERED_WORTH, 1.0)
        hands = observed.hand_weight[..., None].expand(-1, -1, -1, len(PALM)).flatten(2)
        head = observed.face_weight[..., None].expand(-1, -1, len(FACE_RIGID))
        weights = [
            weight[..., None] / world.new_tensor(spread) ** 2
            for weight, spread in ((solid, WORLD_SPREAD), (hands, HAND_SPREAD), (head, FACE_SPREAD))
        ]
        image = [observed.image, observed.hand_image[:, :, :, list(PALM)].flatten(2, 3), observed.face[..., :2]]
        image_weight = torch.cat([flat, hands, head], -1) / (IMAGE_SPREAD * observed.pixel[:, None, None]) ** 2
        return Problem(
            tree=TREE,
            real=observed.real,
            joint=self._joint,
            shapes=self._shapes,
            cloud=torch.cat([world, palms, face], 2),
            cloud_weight=torch.cat(weights, 2),
            clouds=self._clouds,
            image=torch.cat(image, 2),
            image_weight=image_weight,
            unevenness=unevenness(self._accelerations, observed) if even else None,
            upright=True,
            **self._limits,
        )


def unevenness(accelerations: Tensor, observed: Observations) -> Tensor | None:
    """Weights (C, 1, D) of second differences per frame from usual accelerations (D) per second.

    None where no clip has three frames.
    """
    return (observed.fps[:, None, None] ** 2 / accelerations) ** 2 if observed.real.shape[1] > 2 else None


def _clouds(points: int) -> np.ndarray:
    middle = PALMS.start + len(PALM)
    clouds = np.zeros((4, points))
    for row, part in enumerate((slice(0, PALMS.start), slice(PALMS.start, middle), slice(middle, PALMS.stop), FACE)):
        clouds[row, part] = 1
    return clouds


def _accelerations() -> np.ndarray:
    usual = np.empty((BODY_JOINTS + 1, 3))
    usual[BODY_JOINTS] = ROOT_ACCELERATION
    for name, acceleration in ACCELERATIONS.items():
        usual[[JOINT[name], MIRROR[JOINT[name]]]] = acceleration
    return usual.reshape(-1)
