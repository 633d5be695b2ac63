"""Evenness in time of a whole clip at once: accelerations that cost, and the linear system that couples frames.

Unknowns are (C, T, D), clips by frames by unknowns; everything is batched over clips and frames, and what one
clip gets does not depend on the others. Needs torch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.pose.fitting.rotations import axis_angles


def turning(rotations: Tensor) -> Tensor:
    """How the turning of joints changes from frame to frame, radians per frame², (C, T − 2, J, 3).

    The second difference of rotations (C, T, J, 3, 3) in the joint's frame of the middle one.
    """
    steps = axis_angles(rotations[:, :-1].mT @ rotations[:, 1:])
    return steps.diff(dim=1)


def triples(real: Tensor) -> Tensor:
    """Which three neighbouring frames all are frames of the clip, bool (C, T − 2), from bool (C, T)."""
    return real[:, 2:] & real[:, 1:-1] & real[:, :-2]


def differences(values: Tensor) -> Tensor:
    """Second differences over frames: (C, T, D) to (C, T − 2, D)."""
    return values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]


def spread(values: Tensor) -> Tensor:
    """The transpose of `differences`: (C, T − 2, D) to (C, T, D)."""
    pad = torch.nn.functional.pad
    return pad(values, (0, 0, 2, 0)) - 2 * pad(values, (0, 0, 1, 1)) + pad(values, (0, 0, 0, 2))


def counts(inside: Tensor) -> Tensor:
    """The diagonal of the squared second difference: (C, T), from the weights (C, T − 2) of triples."""
    pad = torch.nn.functional.pad
    return pad(inside, (2, 0)) + 4 * pad(inside, (1, 1)) + pad(inside, (0, 2))


def solve(blocks: Tensor, extra: Tensor | float, right: Tensor, weight: Tensor, inside: Tensor, rounds: int) -> Tensor:
    """x of (blocks + extra + weight · differencesᵀ · differences) x = right, by conjugate gradients.

    Args:
        blocks: (C, T, D, D), positive definite with what is added.
        extra: for the diagonal, (C, T, D) or a number.
        right: (C, T, D).
        weight: of second differences, (C or 1, 1, D).
        inside: 1 where three frames belong together, else 0, (C, T − 2).
        rounds: of conjugate gradients; each carries what one frame says one frame further in each direction,
            twice, and the blocks' own inverses do the rest.
    """
    clips, frames, size = right.shape
    coupled = weight * inside[..., None]

    def times(x: Tensor) -> Tensor:
        return (blocks @ x[..., None])[..., 0] + extra * x + spread(coupled * differences(x))

    own = blocks.clone()
    own.diagonal(dim1=-2, dim2=-1).add_(weight * counts(inside)[..., None] + extra)
    factor = torch.linalg.cholesky_ex(own.reshape(clips * frames, size, size))[0]
    inverse = torch.cholesky_inverse(factor).view_as(own)

    def eased(x: Tensor) -> Tensor:
        return (inverse @ x[..., None])[..., 0]

    def dot(first: Tensor, second: Tensor) -> Tensor:
        return (first * second).sum((1, 2), keepdim=True)

    x = torch.zeros_like(right)
    rest, z = right, eased(right)
    direction, strength = z, dot(right, z)
    for _ in range(rounds):
        image = times(direction)
        step = strength / dot(direction, image).clamp_min(1e-30)
        x = x + step * direction
        rest = rest - step * image
        z = eased(rest)
        renewed = dot(rest, z)
        direction = z + renewed / strength.clamp_min(1e-30) * direction
        strength = renewed
    return x
