"""Motion of pictures that were moved by known amounts."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from operators.video.motion import MotionSampler, PairMeter, PairMotion, summarise

WIDTH, HEIGHT = 256, 144


def clouds(width: int, height: int) -> np.ndarray:
    noise = np.random.default_rng(11).integers(0, 255, (height, width), np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    return cv2.normalize(smooth, smooth, 20, 235, cv2.NORM_MINMAX).astype(np.uint8)


def moved(shift: tuple[float, float] = (0, 0), scale: float = 1.0) -> np.ndarray:
    """The clouds seen through a window whose content is shifted (x right, y down) and grown about its centre."""
    big = clouds(512, 400)
    matrix = np.array([[scale, 0, 0], [0, scale, 0]], float)
    centre = np.array([256.0, 200.0])
    matrix[:, 2] = centre - scale * centre + shift + np.array([WIDTH / 2, HEIGHT / 2]) - centre
    return cv2.warpAffine(big, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)


def sample(before: np.ndarray, after: np.ndarray, seconds: float = 0.04) -> PairMotion:
    sampler = MotionSampler(Fraction(25), WIDTH, HEIGHT)
    assert sampler.feed(1, 1, 0.0, before) is None
    pair = sampler.feed(2, 2, seconds, after)
    assert pair is not None
    return pair


@pytest.mark.parametrize("shift", [(2, 0), (-5, 0), (0, 3), (8, -6), (0.8, 0.4)])
def test_pans_are_measured_and_have_the_cameras_sign(shift: tuple[float, float]) -> None:
    pair = sample(moved(), moved(shift))
    assert pair.pan == pytest.approx(shift, abs=0.25)
    assert pair.magnitude == pytest.approx(np.hypot(*shift), rel=0.25, abs=0.1)
    assert pair.residual < 0.5 and abs(pair.zoom) < 0.005
    motion = summarise([pair], WIDTH, HEIGHT)
    assert motion.pan_x == pytest.approx(-shift[0] * 25 / WIDTH, abs=0.03)
    assert motion.pan_y == pytest.approx(-shift[1] * 25 / HEIGHT, abs=0.05)
    assert motion.motion_method == "optical_flow"


@pytest.mark.parametrize("scale", [1.03, 0.97])
def test_zoom_is_positive_when_the_camera_moves_in(scale: float) -> None:
    pair = sample(moved(), moved(scale=scale))
    assert pair.zoom == pytest.approx(np.log(scale), rel=0.25)
    assert pair.pan == pytest.approx((0, 0), abs=0.3)


def test_a_moving_thing_before_a_still_camera_is_residual() -> None:
    before, after = moved(), moved()
    before[50:90, 60:100] = clouds(40, 40)
    after[50:90, 66:106] = clouds(40, 40)
    pair = sample(before, after)
    assert pair.pan == pytest.approx((0, 0), abs=0.4)
    assert pair.residual > 0.2


def test_still_pictures_do_not_move_and_flat_ones_neither() -> None:
    assert sample(moved(), moved()).magnitude == pytest.approx(0, abs=0.05)
    flat = np.full((HEIGHT, WIDTH), 90, np.uint8)
    assert sample(flat, flat).magnitude == 0


def test_a_fade_is_not_measured_as_a_pan() -> None:
    pair = sample(moved(), cv2.convertScaleAbs(moved(), alpha=0.93))
    assert pair.pan == pytest.approx((0, 0), abs=0.5)


def test_pairs_are_neighbours_sampled_from_the_clips_start() -> None:
    sampler, picture = MotionSampler(Fraction(24), WIDTH, HEIGHT), moved()
    found = [sampler.feed(n, n - 100 if n >= 100 else n, n / 24, picture) for n in range(130)]
    assert [pair.position for pair in found if pair] == [1, 13, 25, 37, 49, 61, 73, 85, 97, 101, 113, 125]


def test_small_pictures_are_not_measured_and_nothing_is_a_mean_of_nothing() -> None:
    sampler = MotionSampler(Fraction(25), 30, 20)
    assert all(sampler.feed(n, n, n / 25, np.zeros((20, 30), np.uint8)) is None for n in range(30))
    motion = summarise([], WIDTH, HEIGHT)
    assert (motion.of_score, motion.motion_method, motion.pan_x) == (None, "none", None)


def test_very_wide_pictures_are_not_given_to_a_flow_that_crashes_on_them() -> None:
    sampler, rng = MotionSampler(Fraction(25), 256, 38), np.random.default_rng(0)
    pictures = rng.integers(0, 255, (30, 38, 256), np.uint8)
    assert all(sampler.feed(n, n, n / 25, picture) is None for n, picture in enumerate(pictures))
    wide = MotionSampler(Fraction(25), 256, 64)
    found = [wide.feed(n, n, n / 25, rng.integers(0, 255, (64, 256), np.uint8)) for n in range(30)]
    assert any(pair is not None for pair in found)


def test_the_same_pair_gives_the_same_numbers() -> None:
    meter = PairMeter(128, 72)
    a, b = (cv2.resize(p, (128, 72)) for p in (moved(), moved((3, 1))))
    first = meter(0, 0.04, a, b)
    meter(0, 0.04, b, np.ascontiguousarray(a[:, ::-1]))
    assert meter(0, 0.04, a, b) == first == PairMeter(128, 72)(0, 0.04, a, b)
