"""Colour names: every basic term for the colour that people call so."""

from __future__ import annotations

import numpy as np
import pytest

from operators.video.colours import TERMS, main_colours, name_pixels
from tests.drawn_clips import plain

CALLED = {
    "black": [(0, 0, 0), (15, 15, 18)],
    "white": [(255, 255, 255), (240, 240, 235)],
    "grey": [(128, 128, 128), (90, 92, 95), (170, 170, 170)],
    "red": [(255, 0, 0), (180, 20, 30), (128, 0, 0)],
    "orange": [(255, 140, 0), (255, 165, 0)],
    "brown": [(139, 69, 19), (101, 67, 33)],
    "yellow": [(255, 255, 0), (240, 220, 60)],
    "green": [(0, 128, 0), (0, 255, 0), (34, 90, 34)],
    "blue": [(0, 0, 255), (30, 144, 255), (0, 0, 128), (135, 206, 235)],
    "purple": [(128, 0, 128), (148, 60, 211)],
    "pink": [(255, 192, 203), (255, 105, 180)],
}


@pytest.mark.parametrize(("term", "rgb"), [(term, rgb) for term, list_ in CALLED.items() for rgb in list_])
def test_a_colour_has_its_everyday_name(term: str, rgb: tuple[int, int, int]):
    assert main_colours([plain(rgb)]) == [term]


def test_colours_are_ordered_by_area_and_small_ones_left_out():
    frame = plain((0, 0, 255), 100, 100)
    frame[:30] = (255, 0, 0)
    frame[:, :8] = (0, 255, 0)
    assert main_colours([frame]) == ["blue", "red"]


def test_the_share_is_over_all_frames():
    frames = [plain((255, 0, 0)), plain((255, 0, 0)), plain((0, 255, 0))]
    assert main_colours(frames) == ["red", "green"]
    assert main_colours([]) == []


def test_every_pixel_of_the_colour_cube_has_a_name():
    steps = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    names = name_pixels(cube)
    assert set(np.unique(names)) == set(range(len(TERMS)))
