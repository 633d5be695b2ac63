from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from operators.pose.motion.rotation_filter import axis_angles, continuous, smooth_rotations, smooth_values
from tests.gesture_rows import smooth

SEEDS = st.integers(0, 2**16)


def motion(seed: int, frames: int = 90, size: float = 0.4) -> np.ndarray:
    """Smooth axis-angle vectors, frames × 4 × 3; 140 degrees per second on average."""
    return smooth(np.random.default_rng(seed), frames, 4, 3, step=0.4) * size


def turned(poses: np.ndarray) -> Rotation:
    return Rotation.from_rotvec(poses.reshape(-1, 3))


def angles(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees((turned(first).inv() * turned(second)).magnitude()).reshape(first.shape[:2])


def jitter(poses: np.ndarray) -> float:
    """Mean change of the angular velocity from frame to frame, degrees."""
    velocity = (turned(poses[:-1]).inv() * turned(poses[1:])).as_rotvec().reshape(len(poses) - 1, -1, 3)
    return float(np.degrees(np.linalg.norm(np.diff(velocity, axis=0), axis=2)).mean())


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(0.5, 4))
def test_noise_goes_and_motion_stays(seed: int, degrees: float):
    truth = motion(seed)
    noise = np.random.default_rng(seed + 1).normal(size=truth.shape) * np.radians(degrees)
    noisy = (turned(truth) * turned(noise)).as_rotvec().reshape(truth.shape)
    found = smooth_rotations(noisy, 9)
    assert jitter(found) - jitter(truth) < (jitter(noisy) - jitter(truth)) / 5
    assert angles(found, truth).mean() < 0.65 * angles(noisy, truth).mean()


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_what_has_no_noise_is_hardly_changed(seed: int):
    truth = motion(seed)
    assert angles(smooth_rotations(truth, 9), truth)[4:-4].mean() < 0.15


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.integers(1, 40), st.sampled_from([3, 5, 11, 31]))
def test_a_constant_rotation_stays(vector: tuple[float, float, float], frames: int, window: int):
    poses = np.tile(np.array(vector), (frames, 1, 1))
    assert angles(smooth_rotations(poses, window), poses).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(SEEDS, SEEDS)
def test_it_turns_with_everything(seed: int, turn_seed: int):
    poses = motion(seed, size=0.8)
    left, right = Rotation.random(2, rng=np.random.default_rng(turn_seed))
    moved = (left * turned(poses) * right).as_rotvec().reshape(poses.shape)
    expected = left * turned(smooth_rotations(poses, 11)) * right
    assert np.degrees((expected.inv() * turned(smooth_rotations(moved, 11))).magnitude()).max() < 1e-5


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_time_backwards_gives_the_same_backwards(seed: int):
    poses = motion(seed)
    assert angles(smooth_rotations(poses[::-1], 11)[::-1], smooth_rotations(poses, 11)).max() < 1e-5


def test_vectors_do_not_jump_at_half_a_turn():
    steady = Rotation.from_euler("x", np.linspace(160, 200, 60)[:, None], degrees=True)
    poses = steady.as_rotvec()[:, None]
    assert np.abs(np.diff(poses[:, 0], axis=0)).max() > 6
    found = smooth_rotations(poses, 11)
    assert np.abs(np.diff(found[:, 0], axis=0)).max() < 0.02
    assert angles(found, poses).max() < 1e-3


@settings(max_examples=50)
@given(SEEDS)
def test_quaternions_are_those_rotations_without_changes_of_sign(seed: int):
    poses = np.random.default_rng(seed).normal(size=(20, 3, 3)) * 3
    found = continuous(poses)
    assert (np.einsum("tjc,tjc->tj", found[1:], found[:-1]) >= -1e-12).all()
    assert angles(axis_angles(found), poses).max() < 1e-5


def test_small_turns_have_exact_vectors():
    tiny = np.array([[[1e-12, 0, 0]], [[0, 1e-7, 0]], [[0, 0, 0]]])
    assert axis_angles(continuous(tiny)) == pytest.approx(tiny, rel=1e-9, abs=1e-20)


def test_opposite_rotations_in_turns_are_kept():
    poses = np.zeros((40, 1, 3))
    poses[::2, 0, 0] = np.pi
    found = smooth_rotations(poses, 5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6])
def test_windows_shrink_to_what_there_is(frames: int):
    poses = motion(0, 90)[:frames]
    found = smooth_rotations(poses, 31)
    assert found.shape == poses.shape
    if frames < 5:
        assert angles(found, poses).max() < 1e-5


def test_a_parabola_passes_unchanged():
    values = np.array([(k**2, -k) for k in range(50)], dtype=np.float64)
    assert smooth_values(values, 11) == pytest.approx(values)
