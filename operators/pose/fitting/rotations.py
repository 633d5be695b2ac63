"""Rotations in batches, in torch, beside what `roma` has: derivatives, swings and gaps.

Matrices are (…, 3, 3) and act on columns; axis-angle vectors are (…, 3) in radians. Needs torch and
roma; operators import this module in `setup`.
"""

from __future__ import annotations

import roma
import torch
from torch import Tensor

_SMALL = 0.05  # rad: below, the difference of the closed form cancels in float32 and the series is exact


def matrices(axis_angle: Tensor) -> Tensor:
    """Rotation matrices (…, 3, 3) of axis-angle vectors (…, 3)."""
    return roma.rotvec_to_rotmat(axis_angle)


def axis_angles(rotations: Tensor) -> Tensor:
    """Axis-angle vectors (…, 3) of rotation matrices (…, 3, 3), of length 0 to π."""
    return roma.rotmat_to_rotvec(rotations)


def angles_between(first: Tensor, second: Tensor) -> Tensor:
    """The angle of the rotation from one matrix to the other, radians, (…)."""
    return roma.rotmat_geodesic_distance(first, second)


def nearest(matrix: Tensor) -> Tensor:
    """The rotation nearest to any 3 × 3 matrix (…, 3, 3) (Kabsch's problem)."""
    return torch.as_tensor(roma.special_procrustes(matrix))


def cross_matrices(vectors: Tensor) -> Tensor:
    """Matrices (…, 3, 3) that take w to vectors × w."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def inverse_right_jacobian(axis_angle: Tensor) -> Tensor:
    """How the axis-angle vector of R changes with δ in R·exp(δ), at δ = 0: (…, 3, 3).

    log(exp(φ)·exp(δ)) ≈ φ + J⁻¹(φ)·δ (Solà et al., "A micro Lie theory", 2018, equation 144).
    """
    angle = axis_angle.norm(dim=-1)[..., None, None]
    cross = cross_matrices(axis_angle)
    safe = angle.clamp_min(_SMALL)
    exact = 1 / safe**2 - 1 / (2 * safe * (safe / 2).tan())
    factor = torch.where(angle > _SMALL, exact, 1 / 12 + angle**2 / 720)
    return torch.eye(3, dtype=cross.dtype, device=cross.device) + cross / 2 + factor * (cross @ cross)


def swings(start: Tensor, end: Tensor) -> Tensor:
    """The smallest rotations (…, 3, 3) that take the directions `start` (…, 3) to those of `end`.

    The identity where a direction has no length. Opposite directions turn about some axis across.
    """
    start = torch.nn.functional.normalize(start, dim=-1)
    end = torch.nn.functional.normalize(end, dim=-1)
    axis = torch.linalg.cross(start, end)
    sine = axis.norm(dim=-1, keepdim=True)
    angle = torch.atan2(sine, (start * end).sum(-1, keepdim=True))
    across = torch.linalg.cross(start, start.roll(1, -1) + start.new_tensor([0.3, 0.0, -0.3]))
    axis = torch.where(sine > 1e-6, axis / sine.clamp_min(1e-6), torch.nn.functional.normalize(across, dim=-1))
    there = (start.norm(dim=-1, keepdim=True) > 0.5) & (end.norm(dim=-1, keepdim=True) > 0.5)
    return matrices(torch.where(there, axis * angle, 0.0))


def across_gaps(rotations: Tensor, seen: Tensor) -> Tensor:
    """Rotations in which every frame that was not seen lies between its neighbours that were.

    Args:
        rotations: (C, T, J, 3, 3), clips by frames by joints.
        seen: whether a frame's rotation is to be kept, bool (C, T, J).

    Between two seen frames the rotation turns evenly (slerp); before the first and after the last it stands
    still; a joint that was never seen stays as it is.
    """
    first, last, share = neighbours(seen)
    start, end = (_at(rotations, where) for where in (first, last))
    between = start @ matrices(share[..., None] * axis_angles(start.mT @ end))
    kept = seen | ~seen.any(1, keepdim=True)
    return torch.where(kept[..., None, None], rotations, between)


def neighbours(seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For every frame the seen frames before and after it, and how far it is from the one to the other, 0 to 1.

    `seen` is bool (C, T, …). Before the first and after the last seen frame both are that frame.
    """
    frames = seen.shape[1]
    index = torch.arange(frames, device=seen.device).view(1, -1, *[1] * (seen.ndim - 2)).expand(seen.shape)
    before = torch.where(seen, index, -1).cummax(1).values
    after = torch.where(seen, index, frames).flip(1).cummin(1).values.flip(1)
    first = torch.where(before < 0, after, before).clamp(max=frames - 1)
    last = torch.where(after >= frames, before, after).clamp(min=0)
    return first, last, (index - first) / (last - first).clamp_min(1)


def _at(rotations: Tensor, frame: Tensor) -> Tensor:
    return rotations.gather(1, frame[..., None, None].expand(*frame.shape, 3, 3))
