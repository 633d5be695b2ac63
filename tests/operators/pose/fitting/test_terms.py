"""Gradients of the terms against autograd's, and what each term says."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from operators.pose.fitting.kinematics import Tree  # noqa: E402
from operators.pose.fitting.rotations import matrices  # noqa: E402
from operators.pose.fitting.terms import HUBER, Problem, Shapes, State, data_terms, posed, with_priors  # noqa: E402

TREE = Tree((-1, 0, 1, 0))
JOINTS, POINTS, NUMBERS = 4, 6, 2


def scene(seed: int, *, away: float = 0.02) -> tuple[Problem, State]:
    """Two clips of three frames in float64, whose state misses the observations by some `away` metres."""
    random = torch.Generator().manual_seed(seed)

    def draw(*shape: int):
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    shapes = Shapes(
        offsets=0.3 * draw(1, JOINTS, 3),
        basis=0.1 * draw(1, JOINTS, 3, NUMBERS),
        points=0.2 * draw(1, POINTS, 3),
        point_basis=0.05 * draw(1, POINTS, 3, NUMBERS),
    )
    state = State(
        rotations=matrices(0.6 * draw(2, 3, JOINTS, 3)),
        root=0.2 * draw(2, 3, 3) + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64),
        shape=0.3 * draw(2, NUMBERS),
    )
    ones = torch.ones(1, 1, JOINTS, 3, dtype=torch.float64)
    blank = Problem(
        tree=TREE,
        real=torch.tensor([[True, True, True], [True, True, False]]),
        joint=torch.tensor([0, 1, 2, 2, 3, 3]),
        shapes=shapes,
        cloud=torch.zeros(2, 3, POINTS, 3, dtype=torch.float64),
        cloud_weight=100 * torch.rand(2, 3, POINTS, 3, generator=random, dtype=torch.float64) + 10,
        clouds=torch.tensor([[1.0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], dtype=torch.float64),
        image=torch.zeros(2, 3, POINTS, 2, dtype=torch.float64),
        image_weight=1000 * torch.rand(2, 3, POINTS, generator=random, dtype=torch.float64),
        mean=0.2 * draw(1, 1, JOINTS, 3),
        precision=5 * ones,
        low=-0.5 * ones,
        high=0.4 * ones,
        upright=True,
    )
    points = posed(blank, state)[1].unflatten(0, (2, 3))
    cloud = points + away * draw(*points.shape) + 5 * draw(2, 3, 1, 3)  # a cloud's own place is nobody's business
    image = points[..., :2] / points[..., 2:] + away / 3 * draw(2, 3, POINTS, 2)
    second = torch.tensor([0.0, 0, 0, 1, 1, 1], dtype=torch.float64)[:, None]
    return replace(blank, cloud=cloud - 2 * second, image=image), state


def moved(state: State, step):
    """The state after (2, 3, 3 J + 3) unknowns and (2, K) numbers, flattened in this order."""
    size = 3 * JOINTS + 3
    unknowns, shape = step[: 6 * size].view(2, 3, size), step[6 * size :].view(2, NUMBERS)
    return State(
        rotations=state.rotations @ matrices(unknowns[..., :-3].unflatten(-1, (JOINTS, 3))),
        root=state.root + unknowns[..., -3:],
        shape=state.shape + shape,
    )


def slopes(cost, state: State):
    """The gradient of a cost by `moved`'s step, at none."""
    step = torch.zeros(6 * (3 * JOINTS + 3) + 2 * NUMBERS, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(cost(moved(state, step)).sum(), step)
    return gradient[: -2 * NUMBERS].view(2, 3, -1), gradient[-2 * NUMBERS :].view(2, NUMBERS)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_landmarks_gradient_is_the_costs(seed):
    problem, state = scene(seed)
    found = data_terms(problem, state, free_shape=True)
    unknowns, shape = slopes(lambda at: data_terms(problem, at).cost, state)
    real = problem.real[..., None]
    torch.testing.assert_close(found.gradient * real, -unknowns, atol=1e-8, rtol=1e-6)
    torch.testing.assert_close(found.shape_gradient[0], -shape[0], atol=1e-8, rtol=1e-6)  # the other has a frame off


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_the_priors_gradient_is_the_costs(seed):
    problem, state = scene(seed)
    nothing = replace(
        problem, cloud_weight=torch.zeros_like(problem.cloud_weight), image_weight=0 * problem.image_weight
    )

    def cost(at: State):
        return with_priors(nothing, at, data_terms(nothing, at)).cost

    found = with_priors(nothing, state, data_terms(nothing, state)).gradient
    torch.testing.assert_close(found * problem.real[..., None], -slopes(cost, state)[0], atol=1e-8, rtol=1e-6)


def test_a_step_of_the_normal_equations_hits_what_can_be_hit():
    """Gauss–Newton on an exact scene: most of the cost is gone after one step, in poses and shape together."""
    problem, state = scene(3, away=0.0)
    step = 0.02 * torch.randn(
        6 * (3 * JOINTS + 3) + 2 * NUMBERS, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    start = moved(state, step)
    normal = data_terms(problem, start, free_shape=True)
    clips = []
    for clip in range(2):
        frames = int(problem.real[clip].sum())
        whole = torch.block_diag(*normal.matrix[clip, :frames])
        if frames == 3:
            cross = normal.cross[clip].flatten(0, 1)
            whole = torch.cat([torch.cat([whole, cross], 1), torch.cat([cross.T, normal.shape_matrix[clip]], 1)])
            right = torch.cat([normal.gradient[clip].flatten(), normal.shape_gradient[clip]])
            clips.append(torch.linalg.lstsq(whole, right[:, None], driver="gelsd").solution[:, 0])
    size = 3 * JOINTS + 3
    whole = torch.zeros_like(step)
    whole[: 3 * size] = clips[0][: 3 * size]
    whole[6 * size : 6 * size + NUMBERS] = clips[0][3 * size :]
    assert data_terms(problem, moved(start, whole)).cost[0] < 0.01 * normal.cost[0]


def test_a_cloud_may_lie_anywhere():
    problem, state = scene(5)
    shifted = replace(problem, cloud=problem.cloud + torch.tensor([3.0, -2.0, 1.0], dtype=torch.float64))
    torch.testing.assert_close(data_terms(shifted, state).cost, data_terms(problem, state).cost)
    torch.testing.assert_close(data_terms(shifted, state).gradient, data_terms(problem, state).gradient)


def test_a_point_that_is_far_off_pulls_no_harder():
    problem, state = scene(6, away=0.0)
    image = problem.image.clone()

    def pull(distance: float):
        image[0, 0, 0] = problem.image[0, 0, 0] + torch.tensor([distance, 0.0], dtype=torch.float64)
        return data_terms(replace(problem, image=image), state).gradient[0, 0].norm()

    threshold = HUBER / problem.image_weight[0, 0, 0].sqrt()
    torch.testing.assert_close(pull(float(4 * threshold)), pull(float(2 * threshold)))
    assert pull(float(threshold / 2)) < 0.6 * pull(float(2 * threshold))


def test_what_weighs_nothing_says_nothing():
    problem, state = scene(7)
    weights = problem.cloud_weight.clone(), problem.image_weight.clone()
    weights[0][:, :, 2], weights[1][:, :, 2] = 0, 0
    masked = replace(problem, cloud_weight=weights[0], image_weight=weights[1])
    cloud = problem.cloud.clone()
    cloud[:, :, 2] = 1e3
    other = replace(masked, cloud=cloud)
    torch.testing.assert_close(data_terms(masked, state).gradient, data_terms(other, state).gradient)
    torch.testing.assert_close(data_terms(masked, state).cost, data_terms(other, state).cost)
