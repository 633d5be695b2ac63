"""The fit of whole clips: proportions on some frames of each, then the body, the fingers and the jaw of all frames.

Long clips are fitted in windows that overlap, which bounds the memory and changes nothing that can be
seen: what a frame says is forgotten a few tenths of a second later. Needs torch; operators import this
module in `setup`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from operators.pose.fitting.anchors import PALM
from operators.pose.fitting.body_fit import PALMS, TRUNK, BodyFit
from operators.pose.fitting.finger_fit import FIRST, LENGTH_SPREAD, FingerFit
from operators.pose.fitting.fit import fit, information
from operators.pose.fitting.initial_pose import along_time
from operators.pose.fitting.jaw_fit import jaw_angles
from operators.pose.fitting.joint_limits import LIMITS
from operators.pose.fitting.observations import Observations
from operators.pose.fitting.proportions import GROUPS, Proportions
from operators.pose.fitting.rotations import across_gaps, axis_angles
from operators.pose.fitting.terms import Problem, State, posed
from operators.pose.skeleton import BODY_JOINTS, DIGITS, JOINT, NAMES, REST_OFFSETS
from operators.pose.topology import BODY

KEY_FRAMES = 48
"""Frames of a clip, evenly spread, that its proportions are fitted on."""

KEY_STEPS, BODY_STEPS, FINGER_STEPS = 12, 10, 6

WINDOW, OVERLAP = 1024, 64
"""Frames that are fitted together, and more on both sides that are fitted and not kept."""

OBSERVED = 0.1
"""Confidence from which a joint counts as observed."""

HANDS = slice(FIRST[0][0], len(NAMES))


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was fitted: C clips of T frames, as in `Observations`.

    `poses` (C, T, 55, 3) axis-angle in radians, `root` (C, T, 3) the pelvis's place before the camera in metres,
    `shape` (C, K) the numbers of the proportions, `offsets` (C, 55, 3) of each joint from its parent in the rest
    pose in metres, `confidence` (C, T, 55) the share of the prior's variance that the landmarks took away,
    and `mask` bool (C, T, 55). A frame without a body, and a hand that was not found, turn evenly
    from what was seen before to what was seen after, and are masked.
    """

    poses: Tensor
    root: Tensor
    shape: Tensor
    offsets: Tensor
    confidence: Tensor
    mask: Tensor


@dataclass(frozen=True)
class _Part:
    """Of a window: `turns` (C, T, 55, 3, 3), `root` (C, T, 3), `confidence` (C, T, 55)."""

    turns: Tensor
    root: Tensor
    confidence: Tensor


@dataclass(frozen=True)
class _Placed:
    """Of a fitted body: rotations against the world (C, T, 22, 3, 3) and its points (C, T, N, 3)."""

    turns: Tensor
    points: Tensor

    @property
    def wrists(self) -> Tensor:
        return self.turns[:, :, [JOINT["left_wrist"], JOINT["right_wrist"]]]

    @property
    def palms(self) -> Tensor:
        return self.points[:, :, PALMS].unflatten(2, (2, len(PALM)))


class ClipFit:
    """Fits batches of clips with given proportions, on one device, in float32."""

    def __init__(self, proportions: Proportions, device: torch.device, *, even: bool = True) -> None:
        """`even` False fits every frame by itself, for comparison."""

        def tensor(array: np.ndarray) -> Tensor:
            return torch.as_tensor(array, dtype=torch.float32, device=device)

        self._even = even
        self._body = BodyFit(proportions, device)
        self._scaled_digits = proportions.scaled_digits
        self._offsets, self._basis = tensor(proportions.offsets), tensor(proportions.basis)
        self._precision = tensor(proportions.precision)
        self._digit_precision = tensor(np.array([[LENGTH_SPREAD**-2.0]]))
        spread = np.where(np.isfinite(LIMITS.spread), LIMITS.spread, 1.0)
        self._variance = tensor((spread**2).sum(1))
        self._first = torch.tensor(FIRST, device=device)

    def __call__(self, observed: Observations) -> Fitted:
        """The fit of a batch; what one clip gets does not depend on the others beyond rounding."""
        start, depth = self._body.start(observed)
        shape, offsets = self._proportions(observed, start, depth)
        start = replace(start, shape=shape)
        parts = []
        for frames, kept in windows(observed.real.shape[1]):
            some = State(rotations=start.rotations[:, frames], root=start.root[:, frames], shape=shape)
            part = self._window(observed.between(frames), some, depth[:, frames], offsets)
            parts.append(_Part(*(getattr(part, field.name)[:, kept] for field in fields(part))))
        whole = _Part(*(torch.cat([getattr(part, field.name) for part in parts], 1) for field in fields(_Part)))

        there = (observed.body_weight[..., list(TRUNK)].sum(-1) > 0) & observed.real
        seen = there[..., None].repeat(1, 1, len(NAMES))
        seen[..., HANDS] &= observed.hand_weight.repeat_interleave(3 * len(DIGITS), 2) > 0
        confidence = whole.confidence * seen
        return Fitted(
            poses=axis_angles(across_gaps(whole.turns, seen)),
            root=along_time(whole.root, there.to(whole.root.dtype)),
            shape=shape,
            offsets=offsets,
            confidence=confidence,
            mask=confidence >= OBSERVED,
        )

    def _proportions(self, observed: Observations, start: State, depth: Tensor) -> tuple[Tensor, Tensor]:
        """The clips' numbers (C, K), and offsets (C, 55, 3) with the digits' own scales."""
        keys = key_frames(observed.real)
        some = observed.at(keys)
        clips = torch.arange(len(keys), device=keys.device)[:, None]
        first = State(rotations=start.rotations[clips, keys], root=start.root[clips, keys], shape=start.shape)
        problem = self._body.problem(some, depth[clips, keys], even=False)
        state = fit(problem, first, steps=KEY_STEPS, precision=self._precision)
        offsets = self._offsets + (self._basis @ state.shape[:, None, :, None])[..., 0]
        if not self._scaled_digits:
            return state.shape, offsets
        body = _placed(problem, state)
        trees = FingerFit(some, offsets, body.wrists, body.palms)
        merged, guess = trees.both_hands(trees.problem(even=False), trees.start())
        scales = trees.by_hand(fit(merged, guess, steps=KEY_STEPS, precision=self._digit_precision).shape)
        grown = torch.ones_like(offsets[..., :1])
        for bone in (1, 2):
            grown[:, self._first + bone] += scales
        return state.shape, offsets * grown

    def _window(self, observed: Observations, start: State, depth: Tensor, offsets: Tensor) -> _Part:
        problem = self._body.problem(observed, depth, even=self._even)
        state = fit(problem, start, steps=BODY_STEPS)
        body = _placed(problem, state)
        turns = torch.eye(3, dtype=depth.dtype, device=depth.device).repeat(*depth.shape, len(NAMES), 1, 1)
        turns[:, :, :BODY_JOINTS] = state.rotations
        confidence = torch.zeros_like(turns[..., 0, 0])
        confidence[..., :BODY_JOINTS] = self._certainty(problem, state, self._variance[:BODY_JOINTS])

        trees = FingerFit(observed, offsets, body.wrists, body.palms)
        small = trees.problem(even=self._even)
        fingers = fit(small, trees.start(), steps=FINGER_STEPS)
        turns[:, :, HANDS] = trees.unmirrored(trees.on_hands(fingers.rotations)).flatten(2, 4)
        usual = self._variance[self._first[0][:, None] + torch.arange(3, device=depth.device)]  # (5, 3)
        certain = self._certainty(small, fingers, usual.repeat(2 * len(depth), 1)[:, None])
        confidence[..., HANDS] = trees.on_hands(certain).flatten(2)

        joints, jaw = list(GROUPS["head"]), JOINT["jaw"]
        size = offsets[:, joints].norm(dim=-1).sum(1) / float(np.linalg.norm(REST_OFFSETS[joints], axis=1).sum())
        head, near = body.turns[:, :, JOINT["head"]], body.points[:, :, BODY["nose"], 2]
        angle, known = jaw_angles(observed, head, near, size, offsets[:, jaw], even=self._even)
        turns[:, :, jaw, 1, 1] = turns[:, :, jaw, 2, 2] = angle.cos()
        turns[:, :, jaw, 2, 1] = angle.sin()
        turns[:, :, jaw, 1, 2] = -angle.sin()
        confidence[..., jaw] = known
        return _Part(turns, state.root, confidence)

    def _certainty(self, problem: Problem, state: State, variance: Tensor) -> Tensor:
        """Share of the prior's `variance` that is gone, summed over a joint's axes, 0 to 1, (C, T, J)."""
        matrix = information(problem, state)
        factor = torch.linalg.cholesky_ex(matrix.flatten(0, 1))[0]
        left = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1)
        joints = state.rotations.shape[2]
        left = left[:, : 3 * joints].reshape(*matrix.shape[:2], joints, 3).sum(-1)
        return (1 - left / variance).clamp(0, 1)


def key_frames(real: Tensor) -> Tensor:
    """Frames (C, S) of each clip, evenly spread over it, from bool (C, T); short clips repeat some."""
    lengths = real.sum(1, keepdim=True)
    steps = (torch.arange(KEY_FRAMES, device=real.device)[None] + 0.5) / KEY_FRAMES
    return (steps * lengths).long().clamp(max=real.shape[1] - 1)


def windows(frames: int) -> Iterator[tuple[slice, slice]]:
    """Overlapping runs of frames to fit, and which of their own frames to keep: every frame once, in order."""
    for begin in range(0, frames, WINDOW):
        first, end = max(0, begin - OVERLAP), min(frames, begin + WINDOW)
        yield slice(first, min(frames, end + OVERLAP)), slice(begin - first, end - first)


def _placed(problem: Problem, state: State) -> _Placed:
    body, points = posed(problem, state)
    return _Placed(*(each.unflatten(0, problem.real.shape) for each in (body.turns, points)))
