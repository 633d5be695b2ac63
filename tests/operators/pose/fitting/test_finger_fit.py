"""Fingers as trees: mirrored right hands, merged hands, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting.anchors import PALM  # noqa: E402
from operators.pose.fitting.finger_fit import FIRST, FingerFit  # noqa: E402
from operators.pose.fitting.fit import fit  # noqa: E402
from operators.pose.fitting.observations import batch, read_observations  # noqa: E402
from operators.pose.fitting.terms import posed  # noqa: E402
from operators.pose.skeleton import JOINT, MIRROR, REST_JOINTS, REST_OFFSETS  # noqa: E402
from tests.posed_landmarks import PICTURE, Scene, scene, turns  # noqa: E402

FRAMES = 20


@pytest.fixture(scope="module")
def true() -> Scene:
    return scene(REST_JOINTS, seed=9, frames=FRAMES)


def hands(true: Scene) -> FingerFit:
    """The fingers' problem on wrists and palms that are right."""
    observed = batch([read_observations(true.row, PICTURE)], [PICTURE], [25.0])
    wrists = [JOINT["left_wrist"], JOINT["right_wrist"]]
    palms = np.stack(
        [
            np.concatenate([true.joints[:, [wrist]], true.joints[:, first]], 1)
            for wrist, first in zip(wrists, FIRST, strict=True)
        ],
        1,
    )
    offsets = torch.tensor(REST_OFFSETS, dtype=torch.float32)[None]
    turned = torch.tensor(turns(true.poses)[:, wrists], dtype=torch.float32)[None]
    assert palms.shape[2] == len(PALM)
    return FingerFit(observed, offsets, turned, torch.tensor(palms, dtype=torch.float32)[None])


def test_fingers_are_found_on_hands_that_are_right(true):
    trees = hands(true)
    problem = trees.problem(even=True)
    state = fit(problem, trees.start(), steps=10)
    found = trees.unmirrored(trees.on_hands(state.rotations)).flatten(2, 4)[0].numpy()
    joints = true.joints.copy()
    turned = turns(true.poses)
    for number, joint in enumerate(range(25, 55)):
        parent = joint - 1 if number % 3 else JOINT["left_wrist"] + (joint >= 40)
        turned[:, joint] = turned[:, parent] @ found[:, number]
        joints[:, joint] = joints[:, parent] + turned[:, parent] @ REST_OFFSETS[joint]
    away = 1000 * np.linalg.norm(joints - true.joints, axis=-1)[:, 25:]
    assert np.median(away) < 4


def test_a_mirrored_person_gives_mirrored_fingers(true):
    flip = np.array([-1.0, 1.0, 1.0])
    mirrored = Scene(
        {
            **true.row,
            "hand_world": (true.row["hand_world"] * flip)[:, ::-1].astype(np.float16),
            "hand_landmarks": (true.row["hand_landmarks"] * flip + [1, 0, 0])[:, ::-1].astype(np.float16),
        },
        (true.joints * flip)[:, list(MIRROR)],
        (true.poses * [1, -1, -1])[:, list(MIRROR)],
        true.transl * flip,
        true.rest,
    )
    ours, theirs = hands(true), hands(mirrored)
    one = ours.on_hands(fit(ours.problem(even=False), ours.start(), steps=8).rotations)
    other = theirs.on_hands(fit(theirs.problem(even=False), theirs.start(), steps=8).rotations)
    assert (one - other.flip(2)).abs().max() < 0.05  # half a pixel of rounding in float16


def test_trees_come_back_as_hands(true):
    trees = hands(true)
    state = trees.start()
    assert state.rotations.shape == (10, FRAMES, 3, 3, 3)
    back = trees.on_hands(state.root)
    assert back.shape == (1, FRAMES, 2, 5, 3)
    np.testing.assert_allclose(back[0, :, 0, 2], true.joints[:, JOINT["left_pinky1"]], atol=1e-5)
    np.testing.assert_allclose(
        back[0, :, 1, 4] * torch.tensor([-1.0, 1, 1]), true.joints[:, JOINT["right_thumb1"]], atol=1e-5
    )


def test_both_hands_share_the_length_of_their_fingers(true):
    longer = REST_JOINTS.copy()
    for first in (row[0] for row in FIRST):  # index fingers a fifth longer
        longer[first + 1] += 0.2 * REST_OFFSETS[first + 1]
        longer[first + 2] += 0.2 * (REST_OFFSETS[first + 1] + REST_OFFSETS[first + 2])
    trees = hands(scene(longer, seed=9, frames=FRAMES))
    problem, state = trees.both_hands(trees.problem(even=False), trees.start())
    assert problem.real.shape == (5, 2 * FRAMES) and posed(problem, state)[1].shape == (5 * 2 * FRAMES, 3, 3)
    scales = trees.by_hand(fit(problem, state, steps=12, precision=torch.tensor([[100.0]])).shape)
    assert scales.shape == (1, 2, 5, 1)
    torch.testing.assert_close(scales[:, 0], scales[:, 1])
    np.testing.assert_allclose(scales[0, 0, :, 0], [0.2, 0, 0, 0, 0], atol=0.06)
