"""Looks: alike for one person in other light and at other sizes, unlike for other clothes; ids in order."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from operators.pose.landmarking.landmarkers import Box
from operators.pose.people.speaker_identity import BINS, SAME_LOOK, Speakers, distance, look, mean_look
from tests.stick_people import plain_look, stick

ASTRONAUT = data.astronaut()
FACE = Box(0.35, 0.16, 0.19, 0.19)


def astronaut(side: int = 360, *, clothes: int = 0, gain: float = 1.0, mirrored: bool = False) -> np.ndarray:
    """The photograph, `side` px; `clothes` turns the hue of everything below the neck (of 180)."""
    hsv = cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2HSV)
    hsv[215:, :, 0] = (hsv[215:, :, 0].astype(int) + clothes) % 180
    rgb = np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * gain, 0, 255).astype(np.uint8)
    rgb = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(rgb[:, ::-1]) if mirrored else rgb


def look_of(rgb: np.ndarray, face: Box = FACE) -> np.ndarray:
    return look(rgb, face, None)


def test_a_look_is_two_histograms():
    seen = look_of(astronaut())
    assert seen.shape == (2, BINS) and seen.dtype == np.float32
    assert seen.sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert distance(seen, seen) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("change", [{"side": 160}, {"gain": 0.85}, {"gain": 1.1}])
def test_one_person_looks_alike_at_other_sizes_and_in_other_light(change: dict):
    assert distance(look_of(astronaut()), look_of(astronaut(**change))) < SAME_LOOK / 2


def test_other_clothes_look_unlike():
    assert distance(look_of(astronaut()), look_of(astronaut(clothes=70))) > SAME_LOOK


def test_parts_out_of_view_do_not_count():
    below = Box(0.35, 0.79, 0.19, 0.19)
    headless = look_of(astronaut(), below)
    assert headless[1].sum() == 0
    assert distance(headless, look_of(astronaut())) < 1
    nothing = np.zeros((2, BINS), np.float32)
    assert distance(nothing, headless) == 1
    assert mean_look([headless, look_of(astronaut())])[1].sum() == pytest.approx(1, abs=1e-5)


def test_the_torso_lies_between_shoulders_and_hips_where_the_body_is_known():
    picture = np.full((400, 400, 3), 255, np.uint8)
    picture[:, :, 2] = 0
    pose = stick(0.5)
    picture[150:280, 165:235] = (30, 60, 200)  # between the shoulders, from below them to the hips
    torso = look(picture, Box(0.43, 0.1, 0.14, 0.14), pose)[1]
    alone = look(np.full((400, 400, 3), (30, 60, 200), np.uint8), Box(0.43, 0.1, 0.14, 0.14), pose)[1]
    assert float(np.sqrt(torso * alone).sum()) > 0.8


def test_speakers_are_named_in_order_and_known_again():
    speakers = Speakers("talk")
    names = [speakers.name([plain_look(colour)], [turn])[0] for turn, colour in enumerate([5, 9, 5, 5, 7, 9])]
    assert names == ["talk_s00", "talk_s01", "talk_s00", "talk_s00", "talk_s02", "talk_s01"]


def test_two_people_seen_together_never_share_a_name():
    speakers = Speakers("v")
    assert speakers.name([plain_look(1), plain_look(1)], ["a", "b"]) == ["v_s00", "v_s01"]
    assert speakers.name([plain_look(2), plain_look(1)], ["c", "d"]) == ["v_s02", "v_s00"]


def test_a_track_keeps_its_name_whatever_the_light_does():
    speakers = Speakers("v")
    assert speakers.name([plain_look(1)], ["track"]) == ["v_s00"]
    assert speakers.name([plain_look(2)], ["track"]) == ["v_s00"]
    assert speakers.name([plain_look(2)], ["other"]) == ["v_s00"]  # the mean knows both looks by now
