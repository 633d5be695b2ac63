"""Whose body, face and hands they are, on points placed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.pose.landmarking.attribution import REACH, attribute, choose_hands, shoulder_width
from operators.pose.landmarking.landmark_tracking import Body, Face, Hand, Seen
from operators.pose.landmarking.landmarkers import Box
from operators.pose.topology import BODY, FACE

SIZE = (1000, 500)
SCALE = np.array(SIZE, float)
PIXELS = {
    "nose": (500, 100),
    "left_shoulder": (560, 200), "right_shoulder": (440, 200),
    "left_elbow": (580, 280), "right_elbow": (420, 280),
    "left_wrist": (560, 340), "right_wrist": (440, 340),
    "left_hip": (540, 400), "right_hip": (460, 400),
}  # fmt: skip


def body(shift: float = 0.0, **moved: tuple[float, float]) -> Body:
    """A body facing the camera, `shift` pixels to the right; the person's left is on the picture's right."""
    points = np.zeros((33, 4), np.float32)
    points[:, :2] = np.array(PIXELS["nose"]) / SIZE
    points[:, 3] = 0.9
    for name, place in {**PIXELS, **moved}.items():
        points[BODY[name], :2] = np.array(place) / SIZE
    points[:, 0] += shift / SIZE[0]
    return Body(points, np.zeros((33, 3), np.float32), 0.9)


def hand(x: float, y: float, left: float) -> Hand:
    points = np.zeros((21, 3), np.float32)
    points[:, :2] = np.array((x, y)) / SIZE
    return Hand(points, np.zeros((21, 3), np.float32), left)


def face(x: float, y: float, width: float = 60) -> Face:
    points = np.zeros((68, 3), np.float32)
    points[:, :2] = np.array((x, y)) / SIZE
    points[FACE["right_jaw"], 0] -= width / 2 / SIZE[0]
    points[FACE["left_jaw"], 0] += width / 2 / SIZE[0]
    return Face(points, None)


def test_hands_go_to_the_wrists_that_they_are_near_whatever_mediapipe_calls_them():
    near_left, near_right = hand(565, 345, left=0.01), hand(435, 345, left=0.02)
    assert choose_hands([near_right, near_left], body(), SCALE) == (near_left, near_right)


def test_handedness_decides_between_wrists_that_are_together():
    clasped = body(left_wrist=(502, 340), right_wrist=(498, 340))
    left, right = hand(499, 345, left=0.98), hand(501, 345, left=0.03)
    assert choose_hands([right, left], clasped, SCALE) == (left, right)
    assert choose_hands([left], clasped, SCALE) == (left, None)
    assert choose_hands([right], clasped, SCALE) == (None, right)


def test_crossed_arms_keep_their_hands():
    crossed = body(left_wrist=(440, 340), right_wrist=(560, 340))
    left, right = hand(445, 345, left=0.9), hand(555, 345, left=0.1)
    assert choose_hands([left, right], crossed, SCALE) == (left, right)


def test_of_two_hands_at_one_wrist_only_one_is_the_persons():
    first, second = hand(562, 342, left=0.9), hand(575, 350, left=0.9)
    assert choose_hands([second, first], body(), SCALE) == (first, None)


def test_a_hand_out_of_reach_is_somebody_elses():
    assert choose_hands([hand(800, 340, left=0.9)], body(), SCALE) == (None, None)


def test_without_a_body_handedness_is_all_there_is():
    left, better, right = hand(100, 100, left=0.7), hand(300, 100, left=0.9), hand(200, 100, left=0.2)
    assert choose_hands([left, better, right], None, SCALE) == (better, right)
    assert choose_hands([], None, SCALE) == (None, None)


def test_a_person_from_the_side_has_shoulders_as_wide_as_the_torso_tells():
    assert shoulder_width(body(), SCALE) == pytest.approx(120, abs=0.1)
    side = body(left_shoulder=(505, 200), right_shoulder=(495, 200))
    assert shoulder_width(side, SCALE) == pytest.approx(120, abs=0.1)


def test_the_face_is_the_one_at_the_nose():
    own, poster = face(505, 100), face(700, 90)
    assert attribute(Seen((body(),), (), (poster, own)), SIZE, None).face is own
    assert attribute(Seen((body(),), (), (poster,)), SIZE, None).face is None


def test_of_two_people_the_one_in_the_track_is_taken():
    left, right = body(-250), body(250)
    hands = hand(190, 340, left=0.1), hand(690, 340, left=0.1)
    faces = face(750, 100), face(250, 100)
    seen = Seen((left, right), hands, faces)
    on_left = attribute(seen, SIZE, Box(0.1, 0.1, 0.3, 0.8))
    on_right = attribute(seen, SIZE, Box(0.6, 0.1, 0.3, 0.8))
    assert (on_left.body, on_left.face, on_left.right_hand, on_left.left_hand) == (left, faces[1], hands[0], None)
    assert (on_right.body, on_right.face, on_right.right_hand, on_right.left_hand) == (right, faces[0], hands[1], None)


def test_a_body_outside_the_track_is_nobodys():
    seen = Seen((body(),), (), (face(500, 100),))
    person = attribute(seen, SIZE, Box(0.0, 0.0, 0.2, 1.0))
    assert (person.body, person.face) == (None, None)


def test_a_face_without_a_body_must_lie_in_the_track():
    seen = Seen((), (), (face(500, 100),))
    assert attribute(seen, SIZE, Box(0.4, 0.0, 0.2, 1.0)).face is seen.faces[0]
    assert attribute(seen, SIZE, Box(0.0, 0.0, 0.2, 1.0)).face is None
    assert attribute(seen, SIZE, None).face is seen.faces[0]


@given(st.lists(st.tuples(st.floats(300, 700), st.floats(200, 450), st.floats(0, 1)), max_size=4), st.randoms())
def test_every_hand_is_given_once_within_reach_and_in_any_order(places, random):
    hands = [hand(*place) for place in places]
    chosen = choose_hands(hands, body(), SCALE)
    assert chosen[0] is None or chosen[0] is not chosen[1]
    for one, wrist in zip(chosen, ("left_wrist", "right_wrist"), strict=True):
        if one is not None:
            away = np.linalg.norm(one.points[0, :2] * SCALE - PIXELS[wrist])
            assert away <= REACH * 120 + 0.1
    if len(set(places)) == len(places):
        shuffled = list(hands)
        random.shuffle(shuffled)
        again = choose_hands(shuffled, body(), SCALE)
        assert sum(one is not None for one in again) == sum(one is not None for one in chosen)
