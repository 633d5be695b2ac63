"""Forward kinematics of a tree of joints and its exact derivatives, batched, in torch.

Derivatives are kept as twists, the way rigid-body dynamics does: turning joint j by R·exp(δ) moves every
point x below it by (R_j δ) × (x − q_j). The forces on the points of one joint add up to one wrench, and
those of a subtree to one wrench again, so that the normal equations Σ JᵀAJ of thousands of points cost 6 × 6
products per pair of joints instead of a Jacobian row per point (the composite-rigid-body algorithm,
Featherstone, "Rigid Body Dynamics Algorithms", 2008, section 6.2). Needs torch; operators import it in `setup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from operators.pose.fitting.rotations import cross_matrices


@dataclass(frozen=True)
class Tree:
    """Parents of the joints, each before its children; −1 for the root."""

    parents: tuple[int, ...]

    @cached_property
    def ancestors(self) -> Tensor:
        """Whether joint i is joint j or above it, bool (i, j)."""
        above = torch.eye(len(self.parents), dtype=torch.bool)
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                above[:, joint] |= above[:, parent]
        return above

    @cached_property
    def levels(self) -> tuple[tuple[list[int], list[int]], ...]:
        """Joints and their parents by distance from the root, without the root."""
        depth = [0] * len(self.parents)
        for joint, parent in enumerate(self.parents):
            depth[joint] = depth[parent] + 1 if parent >= 0 else 0
        found = []
        for level in range(1, max(depth, default=0) + 1):
            joints = [joint for joint, own in enumerate(depth) if own == level]
            found.append((joints, [self.parents[joint] for joint in joints]))
        return tuple(found)


@dataclass(frozen=True)
class Posed:
    """Joints of posed trees: `turns` (B, J, 3, 3) against the world, `places` (B, J, 3) in metres."""

    turns: Tensor
    places: Tensor


def forward(tree: Tree, rotations: Tensor, offsets: Tensor, root: Tensor, base: Tensor | None = None) -> Posed:
    """Where joints are and how they are turned.

    Args:
        rotations: of each joint against its parent, (B, J, 3, 3).
        offsets: of each joint from its parent in the rest pose, metres, (B or 1, J, 3); the root's is not used.
        root: the root joint's place, metres, (B, 3).
        base: what the root is turned against, (B, 3, 3); nothing where left out.
    """
    turns = torch.empty_like(rotations)
    places = rotations.new_empty(rotations.shape[:-1])
    turns[:, 0] = rotations[:, 0] if base is None else base @ rotations[:, 0]
    places[:, 0] = root
    for joints, parents in tree.levels:
        above = turns[:, parents]
        turns[:, joints] = above @ rotations[:, joints]
        places[:, joints] = places[:, parents] + (above @ offsets[:, joints, :, None])[..., 0]
    return Posed(turns, places)


@dataclass(frozen=True)
class Markers:
    """Points fixed to joints: `joint` (N) and `offset` in the joint's frame, metres, (B or 1, N, 3)."""

    joint: Tensor
    offset: Tensor

    def places(self, posed: Posed) -> Tensor:
        """Where the points are, metres, (B, N, 3)."""
        return posed.places[:, self.joint] + (posed.turns[:, self.joint] @ self.offset[..., None])[..., 0]


class Motion:
    """How points move with the joints' rotations and with the whole tree, about one posed state.

    The unknowns of a state are 3 J + 3 numbers: δ of each joint in R·exp(δ), radians, then a translation
    of the root, metres. All twists count from the root joint, which keeps float32 exact far from the camera.
    """

    def __init__(self, tree: Tree, posed: Posed, joint: Tensor, points: Tensor) -> None:
        self.above = tree.ancestors.to(points.device)
        self.below = self.above[:, joint].to(points.dtype)  # (J, N)
        batch, joints = posed.places.shape[:2]
        origin = posed.places[:, :1]
        lever = cross_matrices(posed.places - origin) @ posed.turns
        self.screws = torch.cat([posed.turns, lever], -2)  # (B, J, 6, 3)
        self._columns = self.screws.transpose(1, 2).reshape(batch, 6, 3 * joints)
        self.reach = points - origin
        across = cross_matrices(self.reach)
        eye = torch.eye(3, dtype=points.dtype, device=points.device).expand_as(across)
        self.twists = torch.cat([-across, eye], -1)  # (B, N, 3, 6): a point's velocity under a twist

    def jacobian(self) -> Tensor:
        """The Jacobian of the points by the unknowns, (B, N, 3, 3 J + 3)."""
        turned = torch.einsum("bnxk,bjky,jn->bnxjy", self.twists, self.screws, self.below).flatten(-2)
        return torch.cat([turned, self.twists[..., 3:]], -1)

    def information(self, weight: Tensor) -> Tensor:
        """Σ JᵀAJ over the points, (B, 3 J + 3, 3 J + 3), where A is `weight`, symmetric (B, N, 3, 3)."""
        batch, joints = self.screws.shape[:2]
        reach = self.reach[:, :, None]
        turned = torch.linalg.cross(weight, reach.expand_as(weight))  # A [x]×
        double = torch.linalg.cross(turned.mT, reach.expand_as(weight)).mT  # −[x]× A [x]×
        own = torch.cat([torch.cat([double, -turned.mT], -1), torch.cat([-turned, weight], -1)], -2)
        carried = (self.below @ own.flatten(-2)).unflatten(-1, (6, 6))  # of each joint's subtree, (B, J, 6, 6)
        pushed = carried @ self.screws  # (B, J, 6, 3)
        wide = pushed.transpose(1, 2).reshape(batch, 6, 3 * joints)
        pairs = self._columns.mT @ wide  # rows: the upper joint, columns: the lower one
        upper = self.above.repeat_interleave(3, 0).repeat_interleave(3, 1)
        found = pairs.new_empty(batch, 3 * joints + 3, 3 * joints + 3)
        turned = found[:, :-3, :-3]
        turned[:] = (pairs * (upper & ~upper.mT)).mT
        turned += pairs.mul_(upper)
        found[:, -3:, :-3], found[:, :-3, -3:] = wide[:, 3:], wide[:, 3:].mT
        found[:, -3:, -3:] = carried[:, 0, 3:, 3:]
        return found

    def pulled(self, forces: Tensor) -> Tensor:
        """Σ JᵀF over the points, (B, 3 J + 3, K), where F is `forces` (B, N, 3, K)."""
        own = self.twists.mT @ forces  # (B, N, 6, K)
        carried = (self.below @ own.flatten(-2)).unflatten(-1, own.shape[-2:])
        return torch.cat([(self.screws.mT @ carried).flatten(1, 2), carried[:, 0, 3:]], 1)

    def drift(self, weight: Tensor, groups: Tensor) -> Tensor:
        """Σ Jᵀ·diag(weight) over the points of each group, (B, 3 J + 3, 3 M).

        `weight` is (B, N, 3), by coordinate; `groups` (M, N) is 1 where a point belongs to a group.
        """
        batch, joints = self.screws.shape[:2]
        own = (weight[..., None] * self.twists).mT.flatten(-2)  # (B, N, 18)
        members = (groups[:, None] * self.below).flatten(0, 1)  # (M J, N)
        carried = (members @ own).view(batch, -1, joints, 6, 3).permute(0, 2, 3, 1, 4).flatten(-2)
        return torch.cat([(self.screws.mT @ carried).flatten(1, 2), carried[:, 0, 3:]], 1)


def shape_derivative(tree: Tree, posed: Posed, basis: Tensor, joint: Tensor, marker_basis: Tensor) -> Tensor:
    """How points move with the shape: (B, N, 3, K) metres per unit of each of K shape parameters.

    Args:
        basis: change of each joint's offset with the parameters, (B or 1, J, 3, K); the root stays.
        joint: the joint of each point, (N).
        marker_basis: change of each point's offset in its joint's frame, (B or 1, N, 3, K).
    """
    moved = posed.turns.new_zeros(*posed.places.shape, basis.shape[-1])
    for joints, parents in tree.levels:
        moved[:, joints] = moved[:, parents] + posed.turns[:, parents] @ basis[:, joints]
    return moved[:, joint] + posed.turns[:, joint] @ marker_basis
