"""Camera movement on keyframes: moving windows over a photograph are borne out, moving figures are not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from operators.video.camera import Speeds, borne_out

PHOTO = data.coffee()  # 400×600
TIMES = (1.0, 2.5, 4.0)
NONE = (0.0, 0.0, 0.0)


def window(left: float, top: float, scale: float = 1.0) -> np.ndarray:
    """A window of the photograph (left and top in window sizes), enlarged by `scale` about its centre."""
    height, width = 240, 360
    centre = (60 + left * width + width / 2, 60 + top * height + height / 2)
    patch = cv2.getRectSubPix(PHOTO, (round(width / scale), round(height / scale)), centre)
    return cv2.resize(patch, (width, height))


@pytest.mark.parametrize(
    ("pan", "tilt", "zoom"),
    [(0.06, 0, 0), (-0.04, 0, 0), (0, 0.08, 0), (0, -0.05, 0), (0, 0, 0.1), (0, 0, -0.05), (0.04, 0.03, 0.05)],
)
def test_a_real_movement_is_borne_out_and_its_opposite_is_not(pan: float, tilt: float, zoom: float):
    frames = [window(pan * time, tilt * time, float(np.exp(zoom * time))) for time in TIMES]
    assert borne_out(frames, TIMES, (pan, tilt, zoom)) == (pan, tilt, zoom)
    assert borne_out(frames, TIMES, (-pan, -tilt, -zoom)) == NONE
    assert borne_out(frames, TIMES, (tilt + 0.1, -pan - 0.1, 0)) == NONE


@pytest.mark.parametrize("spurious", [(0.05, 0, -0.023), (0.05, -0.03, 0), (0.05, 0.03, 0.02)])
def test_what_is_claimed_beside_a_real_movement_falls_alone(spurious: Speeds):
    frames = [window(0.05 * time, 0) for time in TIMES]
    assert borne_out(frames, TIMES, spurious) == (0.05, 0, 0)


@pytest.mark.parametrize("speed", [(0.05, 0, 0), (0, -0.2, 0), (0, 0, 0.2), (3.0, 0, 0)])
def test_a_still_picture_denies_every_movement(speed: Speeds):
    assert borne_out([window(0, 0)] * 3, TIMES, speed) == NONE


def test_a_figure_that_crosses_a_still_scene_is_no_pan():
    frames = []
    for time in TIMES:
        frame = window(0, 0)
        frame[80:200, int(20 + 60 * time) : int(90 + 60 * time)] = (200, 30, 30)
        frames.append(frame)
    assert borne_out(frames, TIMES, (-60 / 360, 0, 0)) == NONE


def test_nothing_to_compare_confirms_nothing():
    assert borne_out([window(0, 0)], [1.0], (0.1, 0, 0)) == NONE
    assert borne_out([window(0, 0)] * 3, [1.0, 1.0, 1.0], (0.1, 0, 0)) == NONE
    assert borne_out([window(0, 0)] * 3, [], (0.1, 0, 0)) == NONE
    assert borne_out([np.zeros((1, 1, 3), np.uint8)] * 3, TIMES, (0.1, 0.1, 0.1)) == NONE
