"""Levenberg–Marquardt on the terms of a pose fit: whole clips at a time, each clip with a damping of its own.

Rotations are updated by R·exp(δ), so that no angle wraps. With `unevenness` the frames of a clip are solved
together; with a free shape the frames are solved apart and the shape they share is eliminated from them
(Schur's complement). A clip that has converged stays as it is, whatever the others do. Needs torch.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from operators.pose.fitting import temporal
from operators.pose.fitting.rotations import matrices
from operators.pose.fitting.terms import Normal, Problem, State, data_terms, with_priors

DAMPING = 1e-3
EASIER, HARDER = 0.2, 6.0
"""Damping relative to the diagonal at the start, and its factors after a step that helped and one that did not."""

ENOUGH = 2e-2
"""A step that lowers the cost by less than this share ends the fit of a clip."""

FLOOR = 1.0
"""Added to every diagonal: 1/rad² or 1/m², nothing beside one landmark, enough where there is none."""

ROUNDS = 16
"""Of conjugate gradients in each step."""


def fit(problem: Problem, start: State, *, steps: int, precision: Tensor | None = None) -> State:
    """The state of least cost that `steps` steps from `start` find.

    With `precision`, (K, K) or (C, K, K), of a prior about 0, the clip's shape is fitted too, and time is not
    looked at.
    """
    state, normal = start, _normal(problem, start, precision)
    damping = torch.full_like(normal.cost, DAMPING)
    active = torch.ones_like(normal.cost, dtype=torch.bool)
    for _ in range(steps):
        trial = _moved(state, *_step(problem, normal, damping, precision))
        found = _normal(problem, trial, precision)
        better = active & (found.cost < normal.cost)
        active = active & ~(better & (normal.cost - found.cost < ENOUGH * normal.cost))
        damping = torch.where(better, damping * EASIER, damping * HARDER).clamp(1e-6, 1e4)
        state, normal = _chosen(better, trial, state), _chosen(better, found, normal)
        if not bool(active.any()):
            break
    return state


def information(problem: Problem, state: State) -> Tensor:
    """The information that landmarks and prior, not limits, have about each frame by itself, (C, T, D, D).

    What has no prior is given one of unit variance.
    """
    free = replace(
        problem, low=torch.full_like(problem.low, -torch.inf), high=torch.full_like(problem.high, torch.inf)
    )
    matrix = with_priors(free, state, data_terms(problem, state)).matrix
    bare = (problem.precision == 0).to(matrix.dtype).flatten(-2)
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    diagonal += torch.nn.functional.pad(bare, (0, diagonal.shape[-1] - bare.shape[-1]), value=1.0)
    return matrix


def _normal(problem: Problem, state: State, precision: Tensor | None) -> Normal:
    normal = with_priors(problem, state, data_terms(problem, state, free_shape=precision is not None))
    if precision is not None:
        pull = (precision @ state.shape[..., None])[..., 0]
        return replace(
            normal,
            cost=normal.cost + (pull * state.shape).sum(-1) / 2,
            shape_matrix=normal.shape_matrix + precision,
            shape_gradient=normal.shape_gradient - pull,
        )
    if problem.unevenness is None:
        return normal
    uneven = temporal.turning(state.rotations).flatten(2)
    if problem.base is None:
        uneven = torch.cat([uneven, temporal.differences(state.root)], -1)
    force = problem.unevenness * uneven * temporal.triples(problem.real)[..., None]
    return replace(
        normal,
        cost=normal.cost + (force * uneven).sum((1, 2)) / 2,
        gradient=normal.gradient - temporal.spread(force),
    )


def _step(problem: Problem, normal: Normal, damping: Tensor, precision: Tensor | None) -> tuple[Tensor, Tensor | None]:
    extra = damping[:, None, None] * normal.matrix.diagonal(dim1=-2, dim2=-1) + FLOOR
    if problem.unevenness is not None and precision is None:
        inside = temporal.triples(problem.real).to(extra.dtype)
        return temporal.solve(normal.matrix, extra, normal.gradient, problem.unevenness, inside, ROUNDS), None
    factor = torch.linalg.cholesky_ex(normal.matrix + torch.diag_embed(extra))[0]
    right = normal.gradient[..., None]
    if precision is None:
        return torch.cholesky_solve(right, factor)[..., 0], None
    solved = torch.cholesky_solve(torch.cat([right, normal.cross], -1), factor)
    alone, coupling = solved[..., :1], solved[..., 1:]
    reduced = normal.shape_matrix - (normal.cross.mT @ coupling).sum(1)
    rest = normal.shape_gradient[..., None] - (normal.cross.mT @ alone).sum(1)
    raised = reduced + torch.diag_embed(damping[:, None] * normal.shape_matrix.diagonal(dim1=-2, dim2=-1))
    shape = torch.linalg.solve(raised, rest)
    return (alone - coupling @ shape[:, None])[..., 0], shape[..., 0]


def _moved(state: State, step: Tensor, shape: Tensor | None) -> State:
    joints = state.rotations.shape[2]
    turned = state.rotations @ matrices(step[..., : 3 * joints].unflatten(-1, (joints, 3)))
    root = state.root + step[..., 3 * joints :] if step.shape[-1] > 3 * joints else state.root
    return State(rotations=turned, root=root, shape=state.shape if shape is None else state.shape + shape)


def _chosen(clips: Tensor, yes: Any, no: Any) -> Any:
    """Of two dataclasses of tensors, `yes` for the clips that say so."""
    if bool(clips.all()):
        return yes

    def mixed(name: str) -> Tensor:
        value, other = getattr(yes, name), getattr(no, name)
        return torch.where(clips.view(-1, *[1] * (value.ndim - 1)), value, other)

    return type(yes)(**{field.name: mixed(field.name) for field in fields(yes)})
