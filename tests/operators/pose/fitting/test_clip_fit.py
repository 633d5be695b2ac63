"""The fit against bodies whose poses are known, and what it does where it is told nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting import clip_fit  # noqa: E402
from operators.pose.fitting.clip_fit import ClipFit, Fitted, key_frames, windows  # noqa: E402
from operators.pose.fitting.joint_limits import beyond  # noqa: E402
from operators.pose.fitting.observations import batch, read_observations  # noqa: E402
from operators.pose.fitting.proportions import Proportions, generic_proportions, model_proportions  # noqa: E402
from operators.pose.meshes.body_model import BodyModel  # noqa: E402
from operators.pose.skeleton import JOINT, joints_from_offsets, posed_joints  # noqa: E402
from tests.posed_landmarks import APART, OBSERVED, PICTURE, Scene, scene, turns  # noqa: E402
from tests.tiny.smplx_body import write_smplx_body  # noqa: E402

FRAMES = 80
LEFT_HAND, RIGHT_HAND = slice(25, 40), slice(40, 55)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    return BodyModel(write_smplx_body(tmp_path_factory.mktemp("body")))


@pytest.fixture(scope="module")
def rest(model: BodyModel) -> np.ndarray:
    """Joints of somebody who is not the mean of anything."""
    return model.rest_joints(np.random.default_rng(11).normal(size=10))


@pytest.fixture(scope="module")
def noisy(rest: np.ndarray) -> tuple[Scene, Fitted]:
    spoilt = scene(rest, seed=5, frames=FRAMES, noisy=True)
    return spoilt, fitted(generic_proportions(), spoilt)


def fitted(proportions: Proportions, *scenes: Scene, even: bool = True) -> Fitted:
    clips = [read_observations(each.row, PICTURE) for each in scenes]
    observed = batch(clips, [PICTURE] * len(scenes), [each.row["fps"] for each in scenes])
    return ClipFit(proportions, torch.device("cpu"), even=even)(observed)


def joints_of(found: Fitted, clip: int = 0) -> np.ndarray:
    rest = joints_from_offsets(found.offsets[clip].double().numpy())
    return posed_joints(found.poses[clip].numpy(), rest, found.root[clip].numpy() - rest[0])


def errors(found: Fitted, true: Scene, clip: int = 0) -> np.ndarray:
    """Millimetres, (T, 55)."""
    return 1000 * np.linalg.norm(joints_of(found, clip)[: len(true.joints)] - true.joints, axis=-1)


def angular_jitter(poses: np.ndarray) -> float:
    """Mean size of the second difference of the observed joints' rotations, degrees per frame²."""
    matrices = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(*poses.shape[:2], 3, 3)
    steps = Rotation.from_matrix((matrices[:-1].swapaxes(-1, -2) @ matrices[1:]).reshape(-1, 3, 3)).as_rotvec()
    changes = np.diff(steps.reshape(-1, *poses.shape[1:]), axis=0)
    return float(np.degrees(np.linalg.norm(changes, axis=-1))[:, OBSERVED].mean())


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", ["generic", "model"])
def test_joints_are_found_to_millimetres_without_noise(model, rest, kind, seed):
    true = scene(rest, seed=seed, frames=FRAMES)
    found = fitted(generic_proportions() if kind == "generic" else model_proportions(model), true)
    away = errors(found, true)
    assert np.median(away[:, OBSERVED]) <= 5
    assert np.percentile(away[:, OBSERVED], 95) <= 15
    assert np.median(away[:, APART]) <= 20
    jaw = found.poses[0, :, JOINT["jaw"], 0].numpy() - true.poses[:, JOINT["jaw"], 0]
    assert np.degrees(np.median(np.abs(jaw))) <= 2


def test_a_model_file_gives_the_shape_that_joints_show(model, rest):
    found = fitted(model_proportions(model), scene(rest, seed=3, frames=FRAMES))
    betas = found.shape[0].numpy()
    expected = np.random.default_rng(11).normal(size=10)
    lengths = [0, 2, 3, 4, 5, 6, 7, 8]  # 1 is girth and 9 a stoop: joints show neither
    np.testing.assert_allclose(betas[lengths], expected[lengths], atol=0.6)
    np.testing.assert_allclose(
        joints_from_offsets(found.offsets[0].double().numpy()), model.rest_joints(betas), atol=1e-4
    )


def test_smplx_puts_the_joints_where_the_fit_says(model, rest):
    pytest.importorskip("smplx")
    found = fitted(model_proportions(model), scene(rest, seed=3, frames=20))
    start = model.rest_joints(found.shape[0].numpy())[0]
    posed = model.posed(found.poses[0].numpy(), found.shape[0].numpy(), transl=found.root[0].numpy() - start)[1]
    np.testing.assert_allclose(posed, joints_of(found), atol=1e-4)


def test_noise_and_missing_landmarks_cost_little(noisy):
    spoilt, found = noisy
    assert np.median(errors(found, spoilt)[:, OBSERVED]) <= 15  # 25 is what issue 4 asks for
    assert (beyond(found.poses[0].numpy()) < 0.3).mean() > 0.99


def test_the_fit_is_smoother_than_its_frames_one_by_one(noisy):
    spoilt, found = noisy
    alone = fitted(generic_proportions(), spoilt, even=False)
    assert angular_jitter(found.poses[0].numpy()) < 0.5 * angular_jitter(alone.poses[0].numpy())
    assert np.median(errors(found, spoilt)[:, OBSERVED]) < np.median(errors(alone, spoilt)[:, OBSERVED])


def test_joints_do_not_depend_on_the_batch(rest, noisy):
    spoilt, alone = noisy
    others = [scene(rest, seed=8, frames=40), scene(rest, seed=9, frames=130, fps=30.0, noisy=True)]
    together = fitted(generic_proportions(), others[0], spoilt, others[1])
    own = [fitted(generic_proportions(), each) for each in others]
    for clip, single, frames in ((0, own[0], 40), (1, alone, FRAMES), (2, own[1], 130)):
        apart = 1000 * np.linalg.norm(joints_of(together, clip)[:frames] - joints_of(single), axis=-1)
        assert apart.max() <= 0.5
        assert (together.mask[clip, :frames] == single.mask[0]).float().mean() > 0.999


def test_long_clips_are_fitted_in_windows_that_do_not_show(rest, monkeypatch):
    true = scene(rest, seed=6, frames=150, noisy=True)
    whole = joints_of(fitted(generic_proportions(), true))
    monkeypatch.setattr(clip_fit, "WINDOW", 60)
    monkeypatch.setattr(clip_fit, "OVERLAP", 50)
    apart = 1000 * np.linalg.norm(joints_of(fitted(generic_proportions(), true)) - whole, axis=-1)
    assert np.median(apart) <= 1
    assert np.percentile(apart, 95) <= 5


def test_windows_keep_every_frame_once():
    for frames in (1, 1024, 1025, 5000):
        kept = [index for span, own in windows(frames) for index in range(frames)[span][own]]
        assert kept == list(range(frames))


def test_frames_without_a_body_turn_evenly_and_are_masked(rest):
    true = scene(rest, seed=4, frames=60)
    row = {**true.row, "presence": true.row["presence"].copy(), "body_landmarks": true.row["body_landmarks"].copy()}
    row["presence"][20:29] = 0
    row["body_landmarks"][20:29] = 0
    found = fitted(generic_proportions(), Scene(row, true.joints, true.poses, true.transl, true.rest))
    assert not found.mask[0, 20:29].any()
    assert (found.confidence[0, 20:29] == 0).all()
    assert found.mask[0, :20, JOINT["left_elbow"]].all()
    elbow = Rotation.from_rotvec(found.poses[0, 19:30, JOINT["left_elbow"]].numpy())
    steps = (elbow[:-1].inv() * elbow[1:]).magnitude()
    np.testing.assert_allclose(steps, steps.mean(), atol=1e-3)
    places = found.root[0, 19:30].numpy()
    np.testing.assert_allclose(places, np.linspace(places[0], places[-1], 11), atol=1e-5)


def test_a_hand_that_is_never_seen_rests_and_is_masked(rest):
    true = scene(rest, seed=4, frames=40)
    row = {**true.row, "presence": true.row["presence"].copy()}
    row["presence"][:, 3] = 0
    found = fitted(generic_proportions(), Scene(row, true.joints, true.poses, true.transl, true.rest))
    assert not found.mask[0, :, RIGHT_HAND].any()
    assert found.mask[0, :, LEFT_HAND].all()
    assert np.median(errors(found, true)[:, 25:40]) <= 5
    right = found.poses[0, :, RIGHT_HAND].numpy()
    assert np.abs(right - right[:1]).max() < 0.02
    assert np.abs(beyond(found.poses[0].numpy())[:, 40:]).max() < 0.05


def test_what_no_landmark_shows_is_not_said_to_be_observed(rest):
    found = fitted(generic_proportions(), scene(rest, seed=4, frames=40))
    unseen = [JOINT[name] for name in ("left_eye_smplhf", "right_eye_smplhf")]
    assert (found.confidence[0, :, unseen] == 0).all()
    confidence = found.confidence[0].mean(0)
    assert confidence[JOINT["left_elbow"]] > 0.7 > 0.5 > confidence[JOINT["spine2"]]
    assert confidence[0] > 0.95


def test_the_root_turns_with_the_person(rest):
    true = scene(rest, seed=7, frames=40)
    found = fitted(generic_proportions(), true)
    ours = Rotation.from_rotvec(found.poses[0, :, 0].numpy())
    wanted = Rotation.from_matrix(turns(true.poses)[:, 0])
    assert np.degrees(np.median((ours.inv() * wanted).magnitude())) < 5


def test_key_frames_spread_over_each_clip():
    real = torch.arange(100)[None] < torch.tensor([[100], [10]])
    keys = key_frames(real)
    assert keys[0].min() <= 1 and keys[0].max() >= 98
    assert keys[1].max() == 9 and set(keys[1].tolist()) == set(range(10))


@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_a_frame_or_two_are_fitted(rest, frames):
    true = scene(rest, seed=4, frames=frames)
    assert np.median(errors(fitted(generic_proportions(), true), true)[:, OBSERVED]) <= 10
