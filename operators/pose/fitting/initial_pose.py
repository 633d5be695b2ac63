"""A first guess of the pose from the landmarks' directions, in closed form, for the fit to start from.

The trunk, the head, palms and feet are turned by Kabsch's method, arms and legs by two bones and the plane in
which they bend, fingers by the smallest swing of each bone in turn. What was not seen in a frame lies
between the frames in which it was. Needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.pose.fitting.anchors import FACE_RIGID, PALM
from operators.pose.fitting.observations import Observations
from operators.pose.fitting.rotations import across_gaps, axis_angles, matrices, nearest, neighbours, swings
from operators.pose.skeleton import BODY_JOINTS, JOINT
from operators.pose.topology import BODY, BODY_NAMES

UPRIGHT = 0.004
"""Square metres by which an upright, facing trunk counts beside shoulders and hips."""

STAYING = 0.001
"""Square metres by which a hand in line with its forearm, or a foot with its shin, counts beside their points."""

PLANE = 0.15
"""Sine of the bend below which the plane of an arm or a leg is taken from the trunk rather than from its bend."""

FAR = 3.0
"""Metres from the camera where nothing tells."""

HEAD = BODY_NAMES[: BODY_NAMES.index("left_shoulder")]
"""Body landmarks on the head."""

FACING = (1.0, -1.0, -1.0)
"""Diagonal of the rotation that makes an upright person face the camera."""


def moment(points: Tensor, rest: Tensor, weight: Tensor) -> Tensor:
    """Square metres (…, 3, 3) whose nearest rotation takes `rest` (…, N, 3) to `points`, each about its middle."""
    total = weight.sum(-1, keepdim=True).clamp_min(1e-6)[..., None]
    away, still = (x - (weight[..., None] * x).sum(-2, keepdim=True) / total for x in (points, rest))
    return (weight[..., None] * away).mT @ still


def place(points: Tensor, rays: Tensor, weight: Tensor) -> Tensor:
    """Translations (…, 3) after which `points` (…, N, 3) lie on `rays` (…, N, 2), least squares."""
    one, zero = torch.ones_like(rays[..., 0]), torch.zeros_like(rays[..., 0])
    rows = torch.stack([one, zero, -rays[..., 0], zero, one, -rays[..., 1]], -1).unflatten(-1, (2, 3))
    right = rays * points[..., 2:] - points[..., :2]
    scaled = weight[..., None, None] * rows
    matrix = (rows.mT @ scaled).sum(-3) + 1e-6 * torch.eye(3, dtype=rays.dtype, device=rays.device)
    force = (scaled.mT @ right[..., None]).sum(-3)[..., 0] + 1e-6 * rays.new_tensor([0.0, 0.0, FAR])
    return torch.linalg.solve(matrix, force)


def along_time(values: Tensor, weight: Tensor) -> Tensor:
    """(C, T, …, D) in which frames without `weight` (C, T, …) lie on the line between neighbours that have some.

    Before the first and after the last of these values stand still; what was never seen stays as it is.
    """
    seen = weight > 0
    first, last, share = neighbours(seen)

    def at(frame: Tensor) -> Tensor:
        return values.gather(1, frame[..., None].expand(values.shape))

    between = at(first) * (1 - share[..., None]) + at(last) * share[..., None]
    return torch.where((seen | ~seen.any(1, keepdim=True))[..., None], values, between)


def body(observed: Observations, points: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations (C, T, 22, 3, 3) of the body's joints, and the world landmarks' place (C, T, 3) before the camera.

    `points` (52, 3) are those of `anchors.body_points` in the rest pose, palms about their wrist.
    """
    world = along_time(observed.world, observed.body_weight)
    seen = observed.body_weight
    clips, frames = seen.shape[:2]
    turns = torch.eye(3, dtype=world.dtype, device=world.device).expand(clips, frames, BODY_JOINTS, 3, 3).clone()
    facing = torch.diag(world.new_tensor(FACING)).expand(clips, frames, 3, 3)

    def landmarks(*names: str) -> list[int]:
        return [BODY[name] for name in names]

    trunk = landmarks("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    pelvis = nearest(moment(world[:, :, trunk], points[trunk], seen[:, :, trunk] + 1e-3) + UPRIGHT * facing)
    turns[:, :, 0] = pelvis

    head = list(range(len(HEAD)))
    far, near = moment(world[:, :, head], points[head], seen[:, :, head]), observed.face_weight[..., None, None]
    near = near * moment(FAR * observed.face, points[-len(FACE_RIGID) :], torch.ones_like(observed.face[..., 0]))
    skull = nearest(far + near + STAYING * pelvis)
    half = matrices(0.5 * axis_angles(pelvis.mT @ skull))
    turns[:, :, JOINT["neck"]] = turns[:, :, JOINT["head"]] = half

    for side, out in (("left", 1.0), ("right", -1.0)):
        places = [world[:, :, BODY[f"{side}_{name}"]] for name in ("shoulder", "elbow", "wrist")]
        upper, lower = _two_bones(pelvis, places, world.new_tensor([out, 0, 0]), world.new_tensor([0, -out, 0]))
        forearm = pelvis @ upper @ lower
        hand = _hand(observed, world, points, side, forearm)
        turns[:, :, JOINT[f"{side}_shoulder"]] = upper
        twist = matrices(0.5 * axis_angles(forearm.mT @ hand) * world.new_tensor([1.0, 0.0, 0.0]))
        turns[:, :, JOINT[f"{side}_elbow"]] = lower @ twist
        turns[:, :, JOINT[f"{side}_wrist"]] = twist.mT @ forearm.mT @ hand

        places = [world[:, :, BODY[f"{side}_{name}"]] for name in ("hip", "knee", "ankle")]
        upper, lower = _two_bones(pelvis, places, world.new_tensor([0, -1.0, 0]), world.new_tensor([1.0, 0, 0]))
        shin = pelvis @ upper @ lower
        sole = landmarks(f"{side}_ankle", f"{side}_heel", f"{side}_foot_index")
        foot = nearest(moment(world[:, :, sole], points[sole], seen[:, :, sole]) + STAYING * shin)
        turns[:, :, JOINT[f"{side}_hip"]], turns[:, :, JOINT[f"{side}_knee"]] = upper, lower
        turns[:, :, JOINT[f"{side}_ankle"]] = shin.mT @ foot

    there = (seen[:, :, trunk].sum(-1) > 0) & observed.real
    turns = across_gaps(turns, there[..., None].expand(-1, -1, BODY_JOINTS))
    return turns, along_time(place(observed.world, observed.image, seen), seen.sum(-1))


def _two_bones(parent: Tensor, places: list[Tensor], bone: Tensor, hinge: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations of shoulder and elbow, or hip and knee, against their parents.

    `bone` is where both bones point at rest, `hinge` the axis about which the lower one bends forward.
    """
    upper, lower = places[1] - places[0], places[2] - places[1]
    upper = torch.nn.functional.normalize(upper, dim=-1)
    lower = torch.nn.functional.normalize(lower, dim=-1)
    swung = parent @ swings(bone.expand_as(upper), (parent.mT @ upper[..., None])[..., 0])
    usual = (swung @ hinge[:, None])[..., 0]
    bend = torch.linalg.cross(upper, lower)
    axis = torch.nn.functional.normalize(bend + PLANE * usual, dim=-1)
    along = (swung @ bone[:, None])[..., 0]
    axis = torch.nn.functional.normalize(axis - (axis * along).sum(-1, keepdim=True) * along, dim=-1)
    observed = torch.stack([along, axis, torch.linalg.cross(along, axis)], -1)
    rest = torch.stack([bone, hinge, torch.linalg.cross(bone, hinge)], -1)
    turn = observed @ rest.mT
    angle = torch.atan2((bend * axis).sum(-1), (along * lower).sum(-1)).clamp_min(0)
    return parent.mT @ turn, matrices(angle[..., None] * hinge)


def _hand(observed: Observations, world: Tensor, points: Tensor, side: str, forearm: Tensor) -> Tensor:
    """How the hand is turned, from its own landmarks where it was found, else from the body's."""
    number = 0 if side == "left" else 1
    own = observed.hand_weight[..., number : number + 1]
    palm = observed.hand_world[:, :, number, list(PALM)]
    rest = points[33 + 6 * number : 39 + 6 * number]
    close = nearest(moment(palm, rest, own.expand(-1, -1, len(PALM))) + STAYING * forearm)
    names = [BODY[f"{side}_{name}"] for name in ("wrist", "pinky", "index", "thumb")]
    far = moment(world[:, :, names], points[names], observed.body_weight[:, :, names])
    far = nearest(far + 4 * STAYING * forearm)
    return torch.where((own > 0)[..., None], close, far)


def fingers(bones: Tensor, rest: Tensor) -> Tensor:
    """Rotations (…, 5, 3, 3, 3) of fingers whose bones point along `bones` (…, 5, 3, 3) in the hand's frame.

    `rest` (…, 5, 3, 3) says where they point at rest. The axes before the last are finger, bone and coordinate.
    """
    turns, above = [], torch.eye(3, dtype=bones.dtype, device=bones.device)
    for bone in range(3):
        seen = (above.mT @ bones[..., bone, :, None])[..., 0]
        turn = swings(rest[..., bone, :].expand_as(seen), seen)
        above = above @ turn
        turns.append(turn)
    return torch.stack(turns, -3)
