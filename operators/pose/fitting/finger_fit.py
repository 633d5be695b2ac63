"""The fingers' part of the fit: ten trees of three joints, each on a knuckle that the body's fit has placed.

Right hands are mirrored in the plane x = 0, so that all fingers of a kind are one problem. Trees are
(C · 10, T): clips, then left and right, then digits in SMPL-X's order. Needs torch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from operators.pose.fitting import initial_pose
from operators.pose.fitting.anchors import FINGERTIPS, HAND_DIGITS, PALM
from operators.pose.fitting.body_fit import HAND_SPREAD, IMAGE_SPREAD, unevenness
from operators.pose.fitting.joint_limits import LIMITS
from operators.pose.fitting.kinematics import Tree
from operators.pose.fitting.observations import Observations
from operators.pose.fitting.rotations import across_gaps
from operators.pose.fitting.terms import NEAREST, Problem, Shapes, State
from operators.pose.skeleton import DIGITS, JOINT

ACCELERATION = 150.0
"""Usual angular acceleration of a finger's joint, rad/s²."""

LENGTH_SPREAD = 0.10
"""Standard deviation of a digit's length against its palm's, relative."""

TREE = Tree((-1, 0, 1))

FIRST = [[JOINT[f"{side}_{digit}1"] for digit in DIGITS] for side in ("left", "right")]
"""First joint of each digit, by side; the other two follow it."""

_AFTER = [[first + bone for bone in (1, 2, 3)] for first, _ in HAND_DIGITS]
_POINTS = [[first] for first, _ in HAND_DIGITS], _AFTER
"""MediaPipe's points of each digit: its first, and those after it."""


class FingerFit:
    """Poses the problem of the fingers on the hands that the body's fit has placed.

    Args:
        observed: C clips of T frames.
        offsets: of the rest skeletons, metres, (C, 55, 3).
        wrists: how the wrists are turned, (C, T, 2, 3, 3).
        palms: where the points of the palms are, metres before the camera, (C, T, 2, 6, 3).
    """

    def __init__(self, observed: Observations, offsets: Tensor, wrists: Tensor, palms: Tensor) -> None:
        self._clips, self._frames = observed.real.shape
        self._observed = observed
        flip = palms.new_tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])  # of left and right
        self._flip = flip
        hands, own = observed.hand_world, list(PALM)
        shift = (palms - hands[:, :, :, own]).mean(3)
        first, after = ((hands[:, :, :, part] + shift[..., None, None, :]) * flip[:, None, None] for part in _POINTS)
        depth = palms[..., 2:].clamp_min(NEAREST)
        drift = (palms[..., :2] / depth - observed.hand_image[:, :, :, own]).mean(3)
        image = observed.hand_image[:, :, :, _AFTER] + drift[..., None, None, :]
        self._marks, self._points = first, after  # (C, T, 2, 5, 1 and 3, 3)
        self._image = image * flip[:, None, None, :2]
        self._wrists = wrists * flip[:, :, None] * flip[:, None, :]
        self._knuckles = palms[:, :, :, 1:] * flip[:, None]
        tips = palms.new_tensor([FINGERTIPS[digit] for digit in DIGITS])
        joint = torch.tensor(FIRST, device=palms.device)
        second, third = offsets[:, joint + 1], offsets[:, joint + 2]  # (C, 2, 5, 3)
        self._bones = torch.stack([second, third, third * tips[:, None]], 3) * flip[:, None, None]
        joints = np.array(FIRST[0])[:, None] + np.arange(3)
        self._limits = [
            palms.new_tensor(array[joints]) for array in (LIMITS.mean, LIMITS.spread**-2.0, LIMITS.low, LIMITS.high)
        ]

    def start(self) -> State:
        """Where the fit starts: each bone swung to where its ends were seen."""
        seen = torch.cat([self._marks, self._points], -2).diff(dim=-2)
        inward = self._wrists.mT[:, :, :, None, None] @ seen[..., None]
        rotations = initial_pose.fingers(inward[..., 0], self._bones[:, None])
        there = (self._observed.hand_weight > 0)[..., None].expand(-1, -1, -1, len(DIGITS) * 3)
        filled = across_gaps(rotations.flatten(3, 4).flatten(2, 3), there.flatten(2))
        trees = self._trees(filled.unflatten(2, (2, len(DIGITS), 3)))
        return State(rotations=trees, root=self._trees(self._knuckles), shape=trees.new_zeros(len(trees), 1))

    def problem(self, *, even: bool) -> Problem:
        """All trees, with their bones as given but for one scale each."""
        observed, trees = self._observed, self._clips * 10
        weight = self._trees(observed.hand_weight[..., None, None].expand(-1, -1, -1, len(DIGITS), 3))
        bones = self._bones.flatten(0, 2)
        joints = torch.cat([torch.zeros_like(bones[:, :1]), bones[:, :2]], 1)
        spread = bones.new_tensor(HAND_SPREAD)
        pixel = observed.pixel.repeat_interleave(10)[:, None, None]
        mean, precision, low, high = (limit.repeat(trees // len(DIGITS), 1, 1)[:, None] for limit in self._limits)
        coupling = unevenness(bones.new_full((9,), ACCELERATION), observed) if even else None
        return Problem(
            tree=TREE,
            real=observed.real.repeat_interleave(10, 0),
            joint=torch.arange(3, device=bones.device),
            shapes=Shapes(offsets=joints, basis=joints[..., None], points=bones, point_basis=bones[..., None]),
            cloud=self._trees(self._points),
            cloud_weight=weight[..., None] / spread**2,
            clouds=bones.new_zeros(0, 3),
            image=self._trees(self._image),
            image_weight=weight / (IMAGE_SPREAD * pixel) ** 2,
            mean=mean,
            precision=precision,
            low=low,
            high=high,
            unevenness=None if coupling is None else coupling.repeat_interleave(10, 0),
            base=self._trees(self._wrists[:, :, :, None].expand(-1, -1, -1, len(DIGITS), -1, -1)),
        )

    def both_hands(self, problem: Problem, state: State) -> tuple[Problem, State]:
        """The same with left and right as frames of one tree each, (C · 5, 2 T), so that they share a scale."""

        def joined(tensor: Tensor) -> Tensor:
            apart = tensor.unflatten(0, (self._clips, 2, len(DIGITS))).transpose(1, 2)
            return apart.flatten(0, 1).flatten(1, 2)

        def one(tensor: Tensor) -> Tensor:
            return tensor.unflatten(0, (self._clips, 2, len(DIGITS))).mean(1).flatten(0, 1)

        shapes = problem.shapes
        merged = replace(
            problem,
            real=joined(problem.real),
            shapes=Shapes(
                offsets=one(shapes.offsets),
                basis=one(shapes.basis),
                points=one(shapes.points),
                point_basis=one(shapes.point_basis),
            ),
            cloud=joined(problem.cloud),
            cloud_weight=joined(problem.cloud_weight),
            image=joined(problem.image),
            image_weight=joined(problem.image_weight),
            mean=one(problem.mean),
            precision=one(problem.precision),
            low=one(problem.low),
            high=one(problem.high),
            unevenness=None,
            base=None if problem.base is None else joined(problem.base),
        )
        return merged, State(rotations=joined(state.rotations), root=joined(state.root), shape=one(state.shape))

    def by_hand(self, scales: Tensor) -> Tensor:
        """The numbers of `both_hands`' trees, (C · 5, 1), as (C, 2, 5, 1)."""
        return scales.unflatten(0, (self._clips, len(DIGITS)))[:, None].expand(-1, 2, -1, -1)

    def on_hands(self, values: Tensor) -> Tensor:
        """(C · 10, T, …) of the trees as (C, T, 2, 5, …)."""
        return values.unflatten(0, (self._clips, 2, len(DIGITS))).movedim(3, 1)

    def unmirrored(self, rotations: Tensor) -> Tensor:
        """Rotations (C, T, 2, …, 3, 3) of mirrored right hands as they are."""
        flip = self._flip.view(2, *[1] * (rotations.ndim - 5), 3)
        return rotations * flip[..., :, None] * flip[..., None, :]

    def _trees(self, values: Tensor) -> Tensor:
        """(C, T, 2, 5, …) as (C · 10, T, …)."""
        return values.movedim(1, 3).flatten(0, 2)
