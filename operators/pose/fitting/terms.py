"""The terms of the fit and their normal equations, exact to first order, batched over clips and frames.

Data: clouds of 3D points whose own place is unknown (world landmarks count from the hips, each hand from its
own middle), and points on the picture of a pinhole camera. Both are robust (Huber). Beside them the pose
prior and the joint limits of `joint_limits`, and a weak wish for an upright pelvis. Needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from operators.pose.fitting.joint_limits import LIMIT_WIDTH
from operators.pose.fitting.kinematics import Markers, Motion, Posed, Tree, forward, shape_derivative
from operators.pose.fitting.rotations import axis_angles, inverse_right_jacobian

HUBER = 2.5
"""Standard deviations beyond which a point pulls no harder."""

UPRIGHT_SPREAD = 0.3
"""Radians that a pelvis leans off the picture's vertical, standard deviation."""

NEAREST = 0.1
"""Metres from the camera below which no point is projected."""


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """Offsets of joints and points as functions of K shared numbers of each clip.

    `offsets` (C or 1, J, 3), `basis` (C or 1, J, 3, K), `points` (C or 1, N, 3), `point_basis` (C or 1, N, 3, K).
    """

    offsets: Tensor
    basis: Tensor
    points: Tensor
    point_basis: Tensor

    def at(self, shape: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets of joints (C, J, 3) and points (C, N, 3) for (C, K) numbers."""
        numbers = shape[:, None, :, None]
        return self.offsets + (self.basis @ numbers)[..., 0], self.points + (self.point_basis @ numbers)[..., 0]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Everything that does not change while a tree is fitted to C clips of T frames with N points each.

    `cloud` (C, T, N, 3) metres with `cloud_weight` (C, T, N, 3) in 1/m²; `clouds` (M, N) says 1 where a point is
    of a cloud whose place is unknown, M may be 0; `image` (C, T, N, 2) as x/z, y/z with `image_weight` (C, T, N).
    `mean`, `precision` (1/rad²), `low`, `high` are (C or 1, 1, J, 3). `unevenness` (C, 1, 3 J + 3) are the weights
    of second differences in time, None for frames on their own. `base` (C, T, 3, 3) is what the root is turned
    against; with it the root's place is given and stays.
    """

    tree: Tree
    real: Tensor
    joint: Tensor
    shapes: Shapes
    cloud: Tensor
    cloud_weight: Tensor
    clouds: Tensor
    image: Tensor
    image_weight: Tensor
    mean: Tensor
    precision: Tensor
    low: Tensor
    high: Tensor
    unevenness: Tensor | None = None
    upright: bool = False
    base: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class State:
    """A guess: `rotations` (C, T, J, 3, 3), `root` (C, T, 3) metres, `shape` (C, K)."""

    rotations: Tensor
    root: Tensor
    shape: Tensor


@dataclass(frozen=True, kw_only=True)
class Normal:
    """Normal equations about a state: `cost` (C), `matrix` (C, T, D, D), `gradient` (C, T, D), downhill.

    `cross` (C, T, D, K), `shape_matrix` (C, K, K) and `shape_gradient` (C, K) are the shape's, with K = 0 where it is
    not free.
    """

    cost: Tensor
    matrix: Tensor
    gradient: Tensor
    cross: Tensor
    shape_matrix: Tensor
    shape_gradient: Tensor


def posed(problem: Problem, state: State) -> tuple[Posed, Tensor]:
    """Joints, and the points (C · T, N, 3), with clips and frames in one axis."""
    frames = problem.real.shape[1]
    offsets, points = (each.repeat_interleave(frames, 0) for each in problem.shapes.at(state.shape))
    base = None if problem.base is None else problem.base.flatten(0, 1)
    body = forward(problem.tree, state.rotations.flatten(0, 1), offsets, state.root.flatten(0, 1), base)
    return body, Markers(problem.joint, points).places(body)


def data_terms(problem: Problem, state: State, *, free_shape: bool = False) -> Normal:
    """Normal equations of the landmarks alone; the cost is that of real frames."""
    clips, frames = problem.real.shape
    body, points = posed(problem, state)
    cloud_force, cloud_weight, sums, cloud_cost = _clouds(problem, points)
    pull, push, image_cost = _image(problem, points)
    weight, force = torch.diag_embed(cloud_weight) + push, (cloud_force + pull)[..., None]
    derivative = _by_shape(problem, body) if free_shape else points.new_zeros(*points.shape, 0)
    weighed = weight @ derivative
    motion = Motion(problem.tree, body, problem.joint, points)
    matrix, pulled = motion.information(weight), motion.pulled(torch.cat([force, weighed], -1))
    gradient, cross = pulled[..., 0], pulled[..., 1:]
    flat = derivative.flatten(1, 2)  # (B, 3 N, K)
    shape_matrix, shape_gradient = flat.mT @ weighed.flatten(1, 2), flat.mT @ force.flatten(1, 2)
    if len(problem.clouds):  # what the clouds' own places take away
        tied = motion.drift(cloud_weight, problem.clouds)
        loose = tied / sums.clamp_min(1e-9)[:, None]
        matrix.baddbmm_(loose, tied.mT, alpha=-1)
        moved = problem.clouds @ (cloud_weight[..., None] * derivative).flatten(2)  # (B, M, 3 K)
        carried = moved.view(len(flat), 3 * len(problem.clouds), flat.shape[-1])
        cross = cross - loose @ carried
        shape_matrix = shape_matrix - carried.mT @ (carried / sums.clamp_min(1e-9)[..., None])
    kept = slice(None) if problem.base is None else slice(0, -3)

    def by_clip(values: Tensor) -> Tensor:
        return values.unflatten(0, (clips, frames))

    return Normal(
        cost=(by_clip((cloud_cost + image_cost).sum(-1)) * problem.real).sum(1),
        matrix=by_clip(matrix[:, kept, kept].contiguous()),
        gradient=by_clip(gradient[:, kept].contiguous()),
        cross=by_clip(cross[:, kept]),
        shape_matrix=by_clip(shape_matrix).sum(1),
        shape_gradient=by_clip(shape_gradient[..., 0]).sum(1),
    )


def _by_shape(problem: Problem, body: Posed) -> Tensor:
    """How the points move with the shape, (B, N, 3, K)."""

    def repeated(basis: Tensor) -> Tensor:
        return basis.repeat_interleave(problem.real.shape[1], 0) if len(basis) > 1 else basis

    basis, point_basis = repeated(problem.shapes.basis), repeated(problem.shapes.point_basis)
    return shape_derivative(problem.tree, body, basis, problem.joint, point_basis)


def _clouds(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pulls (B, N, 3) and weights (B, N, 3) of the points, weights of the clouds (B, 3 M), costs (B, N)."""
    away = problem.cloud.flatten(0, 1) - points
    weight = problem.cloud_weight.flatten(0, 1)
    first = _centred(problem.clouds, away, weight)[0]
    weight = weight * _huber((weight * first**2).sum(-1))[0][..., None]
    centred, sums = _centred(problem.clouds, away, weight)
    cost = _huber((problem.cloud_weight.flatten(0, 1) * centred**2).sum(-1))[1]
    return weight * centred, weight, sums, cost


def _centred(clouds: Tensor, away: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    if not clouds.shape[0]:
        return away, away.new_zeros(len(away), 0)
    sums = clouds @ weight  # (B, M, 3)
    middle = (clouds @ (weight * away)) / sums.clamp_min(1e-9)
    return away - clouds.T @ middle, sums.flatten(1)


def _image(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pulls (B, N, 3), weights (B, N, 3, 3) and costs (B, N) of the picture."""
    depth = points[..., 2].clamp_min(NEAREST)
    seen = points[..., :2] / depth[..., None]
    zero = torch.zeros_like(depth)
    slope = torch.stack([1 / depth, zero, -seen[..., 0] / depth, zero, 1 / depth, -seen[..., 1] / depth], -1)
    slope = slope.unflatten(-1, (2, 3))
    away = problem.image.flatten(0, 1) - seen
    weight = problem.image_weight.flatten(0, 1)
    factor, cost = _huber(weight * (away**2).sum(-1))
    weight = (weight * factor)[..., None]
    pull = (slope.mT @ (weight * away)[..., None])[..., 0]
    return pull, weight[..., None] * (slope.mT @ slope), cost


def _huber(square: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and cost of a squared distance in standard deviations."""
    far = square > HUBER**2
    distance = torch.where(far, square, 1.0).sqrt()
    return torch.where(far, HUBER / distance, 1.0), torch.where(far, HUBER * distance - HUBER**2 / 2, square / 2)


def with_priors(problem: Problem, state: State, normal: Normal) -> Normal:
    """`normal` with the pose prior, the limits and the upright pelvis added, in its own tensors."""
    angles = axis_angles(state.rotations)
    back = inverse_right_jacobian(angles)
    outside = angles - angles.clamp(problem.low, problem.high)
    away = angles - problem.mean
    limit = 1 / LIMIT_WIDTH**2
    precision = problem.precision + limit * (outside != 0)
    force = problem.precision * away + limit * outside
    joints = angles.shape[2]
    matrix, gradient = normal.matrix, normal.gradient
    added = back.mT @ (precision[..., None] * back)
    cost = (problem.precision * away**2 + limit * outside**2).sum((2, 3)) / 2
    pull = (back.mT @ force[..., None])[..., 0]
    if problem.upright:
        lean, slope = _lean(state.rotations[:, :, 0])
        added[:, :, 0] += slope.mT @ slope
        pull[:, :, 0] += (slope.mT @ lean[..., None])[..., 0]
        cost = cost + (lean**2).sum(-1) / 2
    blocks = matrix[..., : 3 * joints, : 3 * joints].unflatten(-1, (joints, 3)).unflatten(-3, (joints, 3))
    blocks.diagonal(dim1=2, dim2=4).add_(added.permute(0, 1, 3, 4, 2))
    gradient[..., : 3 * joints] -= pull.flatten(2)
    return replace(normal, matrix=matrix, gradient=gradient, cost=normal.cost + (cost * problem.real).sum(1))


def _lean(pelvis: Tensor) -> tuple[Tensor, Tensor]:
    """Where the pelvis's up points beside the picture's vertical (C, T, 2), and its change with δ (C, T, 2, 3)."""
    side, up, front = pelvis.unbind(-1)
    slope = torch.stack([front, torch.zeros_like(front), -side], -1)
    return up[..., [0, 2]] / UPRIGHT_SPREAD, slope[..., [0, 2], :] / UPRIGHT_SPREAD
