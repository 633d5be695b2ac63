"""Positions against SciPy's rotations, derivatives against torch's autograd."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from operators.pose import skeleton  # noqa: E402
from operators.pose.fitting import kinematics  # noqa: E402
from operators.pose.fitting.kinematics import Markers, Motion, Tree  # noqa: E402
from operators.pose.fitting.rotations import matrices  # noqa: E402

BODY = Tree(skeleton.PARENTS[: skeleton.BODY_JOINTS])
OFFSETS = torch.tensor(skeleton.REST_OFFSETS)[None]


def scene(seed: int, points: int = 9):
    """Two posed bodies with points on them, their pose, and a function from unknowns to the points, float64."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    joints = len(BODY.parents)
    local, root = matrices(draw(2, joints, 3)), draw(2, 3) + torch.tensor([0, 0, 3.0])
    markers = Markers(torch.randint(joints, (points,), generator=random), 0.1 * draw(1, points, 3))

    def placed(unknowns):
        moved = local @ matrices(unknowns[:, :-3].unflatten(1, (joints, 3)))
        posed = kinematics.forward(BODY, moved, OFFSETS[:, :joints], root + unknowns[:, -3:])
        return markers.places(posed)

    posed = kinematics.forward(BODY, local, OFFSETS[:, :joints], root)
    motion = Motion(BODY, posed, markers.joint, markers.places(posed))
    return posed, markers, motion, placed, draw


def autograd(placed, unknowns: int):
    """(2, N, 3, D)"""
    whole = torch.autograd.functional.jacobian(placed, torch.zeros(2, unknowns, dtype=torch.float64))
    return torch.stack([whole[k, :, :, k] for k in range(2)])


def test_joints_lie_where_numpy_puts_them():
    poses = np.random.default_rng(3).normal(0, 0.7, (5, 55, 3))
    transl = np.random.default_rng(4).normal(0, 1, (5, 3))
    tree, offsets = Tree(skeleton.PARENTS), torch.tensor(skeleton.REST_OFFSETS)[None]
    posed = kinematics.forward(tree, matrices(torch.tensor(poses)), offsets, torch.tensor(transl))
    np.testing.assert_allclose(posed.places.numpy(), skeleton.posed_joints(poses, transl=transl), atol=1e-12)


def test_a_base_turns_the_whole_tree():
    finger = Tree((-1, 0, 1))
    local, base = matrices(torch.rand(4, 3, 3)), matrices(torch.rand(4, 3))
    offsets, root = torch.rand(1, 3, 3), torch.rand(4, 3)
    turned = kinematics.forward(finger, local, offsets, root, base)
    plain = kinematics.forward(finger, local, offsets, torch.zeros(4, 3))
    expected = root[:, None] + (base[:, None] @ plain.places[..., None])[..., 0]
    torch.testing.assert_close(turned.places, expected)
    torch.testing.assert_close(turned.turns, base[:, None] @ plain.turns)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_jacobian_is_the_derivative(seed):
    _, _, motion, placed, _ = scene(seed)
    torch.testing.assert_close(motion.jacobian(), autograd(placed, 3 * len(BODY.parents) + 3))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_wrenches_give_the_same_normal_equations_as_rows(seed):
    _, _, motion, _, draw = scene(seed)
    half, forces = draw(2, 9, 3, 3), draw(2, 9, 3, 4)
    weight, rows = half @ half.mT, motion.jacobian()
    torch.testing.assert_close(
        motion.information(weight), torch.einsum("bnxd,bnxy,bnye->bde", rows, weight, rows), atol=1e-9, rtol=1e-9
    )
    torch.testing.assert_close(motion.pulled(forces), torch.einsum("bnxd,bnxk->bdk", rows, forces))
    groups, scale = torch.tensor([[1.0] * 4 + [0.0] * 5, [0.0] * 4 + [1.0] * 5]).double(), draw(2, 9, 3)
    wanted = torch.einsum("bnxd,bnx,mn->bdmx", rows, scale, groups).flatten(2)
    torch.testing.assert_close(motion.drift(scale, groups), wanted)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_shape_derivative_is_the_derivative(seed):
    posed, markers, _, _, draw = scene(seed)
    basis, marker_basis = draw(len(BODY.parents), 3, 5), draw(9, 3, 5)
    local = posed.turns.clone()
    for joint, parent in enumerate(BODY.parents[1:], start=1):
        local[:, joint] = posed.turns[:, parent].mT @ posed.turns[:, joint]

    def placed(shape):
        offsets = OFFSETS[:, : len(BODY.parents)] + (basis @ shape)[None]
        moved = kinematics.forward(BODY, local, offsets, posed.places[:, 0])
        return Markers(markers.joint, markers.offset + (marker_basis @ shape)[None]).places(moved)

    expected = torch.autograd.functional.jacobian(placed, torch.zeros(5, dtype=torch.float64))
    found = kinematics.shape_derivative(BODY, posed, basis[None], markers.joint, marker_basis[None])
    torch.testing.assert_close(found, expected)
