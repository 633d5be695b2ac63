"""Motion at other frame rates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from operators.pose.motion.resampling import kept, linear, places, turned

RATES = st.sampled_from([12.5, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 60.0])


def turning(frames: int, fps: float, speed=(0.4, -1.1, 0.7)) -> np.ndarray:
    """Two joints that turn evenly, radians per second."""
    turns = np.arange(frames)[:, None] / fps * np.asarray(speed)
    return np.stack([turns, -0.5 * turns], 1)


def test_halving_keeps_every_second_frame_as_it_is():
    track = np.random.default_rng(0).normal(0, 2, (31, 4, 3))
    at = places(31, 30, 15)
    np.testing.assert_array_equal(at, np.arange(0, 31, 2))
    np.testing.assert_array_equal(turned(track, at), track[::2])
    np.testing.assert_array_equal(linear(track, at), track[::2])


def test_25_to_15_is_not_dropping_frames():
    track = turning(26, 25)
    at = places(26, 25, 15)
    assert len(at) == 16
    found = turned(track, at)
    np.testing.assert_allclose(found, turning(16, 15), atol=1e-12)
    nearest = track[np.round(at).astype(int)]
    assert np.abs(nearest - turning(16, 15)).max() > 0.01


@given(frames=st.integers(1, 60), fps=RATES, wanted=RATES)
def test_the_clock_stays_the_clips_and_nothing_is_made_up(frames, fps, wanted):
    at = places(frames, fps, wanted)
    np.testing.assert_allclose(at / fps, np.arange(len(at)) / wanted, atol=1e-6 / fps + 1e-12)
    assert 0 <= at[0] <= at[-1] <= frames - 1
    assert len(at) / wanted > (frames - 1) / fps - 1e-9  # no shorter than the source, to a frame


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), fps=RATES, wanted=RATES)
def test_rotations_are_those_of_slerp(seed, fps, wanted):
    steps = Rotation.from_rotvec(np.random.default_rng(seed).normal(0, 0.6, (12, 3)))
    track = [Rotation.identity()]
    for step in steps:
        track.append(track[-1] * step)
    rotations = Rotation.concatenate(track)
    at = places(len(track), fps, wanted)
    found = Rotation.from_rotvec(turned(rotations.as_rotvec()[:, None], at)[:, 0])
    expected = Slerp(np.arange(len(track)), rotations)(at)
    assert (found.inv() * expected).magnitude().max() < 1e-6


def test_the_short_way_is_taken_through_half_a_turn():
    track = np.array([[[0, 0, np.radians(170)]], [[0, 0, np.radians(-170)]]])
    (middle,) = turned(track, np.array([0.5]))
    assert Rotation.from_rotvec(middle[0]).magnitude() == pytest.approx(np.pi)


def test_a_mask_is_set_only_between_frames_that_are():
    mask = np.array([True, True, False, True])
    np.testing.assert_array_equal(kept(mask, np.array([0, 0.5, 1, 1.5, 2.5, 3])), [1, 1, 1, 0, 0, 1])
    wide = np.stack([mask, ~mask], 1)
    np.testing.assert_array_equal(kept(wide, np.array([1.0, 1.5])), [[True, False], [False, False]])


def test_lines_between_frames():
    np.testing.assert_allclose(linear([[0.0, 10.0], [2.0, 20.0]], np.array([0.25])), [[0.5, 12.5]])


def test_nothing_in_nothing_out():
    assert places(0, 30, 15).shape == (0,)
    assert turned(np.zeros((0, 55, 3)), places(0, 30, 15)).shape == (0, 55, 3)
    assert linear(np.zeros((0, 3)), places(0, 30, 15)).shape == (0, 3)
    assert turned(np.zeros((4, 0, 3)), places(4, 30, 15)).shape == (2, 0, 3)
