"""How far the mouth is open: the angle of the jaw's joint under which the gap between the lips is seen.

The lips tell it better than the chin, whose place differs from person to person. Only the picture is used,
for a face's depth is a guess. Sideways motion of the jaw is left alone. Needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.pose.fitting import temporal
from operators.pose.fitting.anchors import LIPS
from operators.pose.fitting.body_fit import unevenness
from operators.pose.fitting.joint_limits import LIMITS
from operators.pose.fitting.observations import Observations
from operators.pose.skeleton import JOINT

LIP_SPREAD = 0.003
"""Metres, standard deviation of the gap between the lips."""

ACCELERATION = 60.0
"""Usual angular acceleration of a talking jaw, rad/s²."""

ROUNDS = 20


def jaw_angles(
    observed: Observations, head: Tensor, depth: Tensor, size: Tensor, joint: Tensor, *, even: bool
) -> tuple[Tensor, Tensor]:
    """Opening of the jaw in radians, 0 where it is shut, (C, T), and how well it is known, 0 to 1, (C, T).

    Args:
        head: how the head is turned, (C, T, 3, 3).
        depth: of the face before the camera, metres, (C, T).
        size: of the head against the generic person's, (C).
        joint: of the jaw from the head's joint, metres, (C, 3).
    """
    lever = size[:, None] * head.new_tensor(LIPS) - joint
    opening = torch.stack([torch.zeros_like(lever[:, 0]), -lever[:, 2], lever[:, 1]], -1)  # of the lips, per radian
    seen = (head @ opening[:, None, :, None])[..., :2, 0]
    gap = (observed.lips[:, :, 1] - observed.lips[:, :, 0]) * depth[..., None]
    reach = seen.square().sum(-1)
    angle = torch.asin(((gap * seen).sum(-1) / reach.clamp_min(1e-9)).clamp(0, 1))
    jaw = JOINT["jaw"]
    prior, usual = float(LIMITS.spread[jaw, 0]) ** -2, float(LIMITS.mean[jaw, 0])
    weight = observed.face_weight * reach / LIP_SPREAD**2
    blocks, right = (weight + prior)[..., None, None], (weight * angle + prior * usual)[..., None]
    coupling = unevenness(head.new_full((1,), ACCELERATION), observed) if even else None
    if coupling is None:
        found = right[..., 0] / blocks[..., 0, 0]
    else:
        inside = temporal.triples(observed.real).to(head.dtype)
        found = temporal.solve(blocks, 0.0, right, coupling, inside, ROUNDS)[..., 0]
    return found.clamp(0, float(LIMITS.high[jaw, 0])), weight / (weight + prior)
