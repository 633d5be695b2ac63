"""The solver on problems of its own: it finds what is there, per clip, alone or together."""

from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting.fit import fit, information  # noqa: E402
from operators.pose.fitting.kinematics import Tree  # noqa: E402
from operators.pose.fitting.rotations import angles_between, matrices  # noqa: E402
from operators.pose.fitting.terms import Problem, Shapes, State, posed  # noqa: E402

TREE, FRAMES = Tree((-1, 0, 1)), 12


def problem(clips: int = 2, *, even: bool = False, seed: int = 0) -> tuple[Problem, State, State]:
    """An arm of two bones that swings, its points exactly observed: the problem, the truth and a start."""
    torch.manual_seed(seed)
    time = torch.arange(FRAMES) / FRAMES
    swing = torch.stack([torch.sin(3 * time), 0.5 * time, torch.cos(2 * time)], -1)
    angles = torch.randn(clips, 1, 3, 3) * 0.5 + 0.4 * swing[None, :, None] * torch.rand(clips, 1, 3, 1)
    truth = State(
        rotations=matrices(angles),
        root=torch.tensor([0.1, 0.0, 2.5]) + 0.1 * swing.expand(clips, -1, -1),
        shape=0.1 * torch.randn(clips, 1),
    )
    offsets = torch.tensor([[[0.0, 0, 0], [0.3, 0, 0], [0.25, 0, 0]]])
    points = torch.tensor([[[0.0, 0, 0.1], [0.1, 0.1, 0], [0, 0, 0.1], [0, 0.1, 0], [0.1, 0, 0.1], [0.2, 0.05, 0]]])
    shapes = Shapes(
        offsets=offsets, basis=offsets[..., None], points=points, point_basis=torch.zeros_like(points)[..., None]
    )
    wide = torch.full((1, 1, 3, 3), 3.0)
    blank = Problem(
        tree=TREE,
        real=torch.ones(clips, FRAMES, dtype=torch.bool),
        joint=torch.tensor([0, 0, 1, 1, 2, 2]),
        shapes=shapes,
        cloud=torch.zeros(clips, FRAMES, 6, 3),
        cloud_weight=torch.full((clips, FRAMES, 6, 3), 1e4),
        clouds=torch.ones(1, 6),
        image=torch.zeros(clips, FRAMES, 6, 2),
        image_weight=torch.full((clips, FRAMES, 6), 1e5),
        mean=torch.zeros(1, 1, 3, 3),
        precision=torch.full((1, 1, 3, 3), 1e-2),
        low=-wide,
        high=wide,
        unevenness=torch.full((clips, 1, 12), 1.0) if even else None,
    )
    places = posed(blank, truth)[1].unflatten(0, (clips, FRAMES))
    seen = replace(blank, cloud=places - 1.0, image=places[..., :2] / places[..., 2:])
    away = matrices(0.3 * torch.randn(clips, FRAMES, 3, 3))
    start = State(rotations=truth.rotations @ away, root=truth.root + 0.2, shape=torch.zeros(clips, 1))
    return seen, truth, start


@pytest.mark.parametrize("even", [False, True])
def test_what_was_observed_is_found(even):
    seen, truth, start = problem(even=even)
    found = fit(seen, replace(start, shape=truth.shape), steps=15)
    assert angles_between(found.rotations, truth.rotations).max() < 0.02
    assert (found.root - truth.root).norm(dim=-1).max() < 0.005
    torch.testing.assert_close(found.shape, truth.shape)


def test_the_shape_is_found_with_the_poses():
    seen, truth, start = problem()
    found = fit(seen, start, steps=20, precision=torch.tensor([[1.0]]))
    torch.testing.assert_close(found.shape, truth.shape, atol=5e-3, rtol=0)
    assert angles_between(found.rotations, truth.rotations).max() < 0.03


def test_a_clip_is_fitted_as_if_it_were_alone():
    seen, truth, start = problem(3, even=True)
    start = replace(start, shape=truth.shape)
    together = fit(seen, start, steps=6)
    assert seen.unevenness is not None
    for clip in range(3):
        own = replace(
            seen,
            **{name: getattr(seen, name)[clip : clip + 1] for name in ("real", "cloud", "cloud_weight", "image")},
            image_weight=seen.image_weight[clip : clip + 1],
            unevenness=seen.unevenness[clip : clip + 1],
        )
        begin = State(
            rotations=start.rotations[clip : clip + 1],
            root=start.root[clip : clip + 1],
            shape=start.shape[clip : clip + 1],
        )
        alone = fit(own, begin, steps=6)
        torch.testing.assert_close(together.rotations[clip], alone.rotations[0], atol=1e-4, rtol=0)


def test_a_missing_frame_lies_between_its_neighbours_when_time_is_even():
    seen, truth, start = problem(even=True)
    cloud_weight, image_weight = seen.cloud_weight.clone(), seen.image_weight.clone()
    cloud_weight[:, 6], image_weight[:, 6] = 0, 0
    masked = replace(seen, cloud_weight=cloud_weight, image_weight=image_weight)
    found = fit(masked, replace(start, shape=truth.shape), steps=25)
    assert angles_between(found.rotations[:, 6], truth.rotations[:, 6]).max() < 0.1


def test_steps_never_make_it_worse():
    seen, truth, start = problem(even=True, seed=4)
    far = replace(start, rotations=start.rotations @ matrices(torch.randn(2, FRAMES, 3, 3)), shape=truth.shape)

    def miss(state: State):
        points = posed(seen, state)[1].unflatten(0, (2, FRAMES))
        return (points[..., :2] / points[..., 2:] - seen.image).norm(dim=-1).mean((1, 2))

    few, many = fit(seen, far, steps=3), fit(seen, far, steps=12)
    assert (miss(few) < miss(far)).all() and (miss(many) <= miss(few) + 1e-4).all()


def test_information_grows_with_what_is_seen_and_leaves_limits_out():
    seen, truth, _ = problem()
    whole = information(seen, truth)
    nothing = information(replace(seen, cloud_weight=0 * seen.cloud_weight, image_weight=0 * seen.image_weight), truth)
    assert (whole.diagonal(dim1=-2, dim2=-1) >= nothing.diagonal(dim1=-2, dim2=-1) - 1e-4).all()
    torch.testing.assert_close(nothing[..., 9:, 9:], torch.eye(3).expand(2, FRAMES, 3, 3))
    tight = replace(seen, low=torch.zeros(1, 1, 3, 3), high=torch.zeros(1, 1, 3, 3))
    torch.testing.assert_close(information(tight, truth), whole)
