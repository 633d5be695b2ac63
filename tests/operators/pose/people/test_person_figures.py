"""Figures: what is in view of a person, and which face, pose and box belong together."""

from __future__ import annotations

import numpy as np
import pytest

from operators.pose.landmarking.landmarkers import Box
from operators.pose.people.person_figures import Figure, figures, head_of
from tests.stick_people import HEAD, face_of, person, stick

GREY = np.full((360, 640, 3), 90, np.uint8)


def test_a_person_in_full_shows_everything():
    figure = person(0.5)
    assert figure.shows_bust and figure.shows_upper_body and figure.shows_hands
    assert figure.height == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    ("hidden", "bust", "upper_body", "hands"),
    [
        (["left_elbow"], True, False, True),
        (["right_shoulder"], False, False, True),
        (["left_wrist"], True, True, True),
        (["left_wrist", "right_wrist"], True, True, False),
    ],
)
def test_hidden_parts_are_missed(hidden: list[str], bust: bool, upper_body: bool, hands: bool):
    figure = person(0.5, hidden=hidden)
    assert (figure.shows_bust, figure.shows_upper_body, figure.shows_hands) == (bust, upper_body, hands)


def test_joints_outside_the_picture_are_not_in_view_however_sure_the_network_is():
    below = person(0.5, top=0.4, height=1.4)  # elbows at 1.1 of the picture's height
    assert below.shows_bust and not below.shows_upper_body and not below.shows_hands
    beside = person(0.02)
    assert not beside.shows_bust


def test_a_head_is_in_view_by_its_face_or_by_the_room_over_its_nose():
    assert person(0.5, face=False).shows_bust
    assert not person(0.5, top=-0.06, face=False).shows_bust
    assert person(0.5, top=-0.06).shows_bust  # a face that was found is in view, its crown may be cut
    face_only = person(0.5, body=False)
    assert not face_only.shows_bust and face_only.height is None


def test_faces_and_poses_of_one_person_are_one_figure_whatever_their_order():
    faces, poses = [face_of(0.7), face_of(0.3)], [stick(0.3), stick(0.7)]
    for order in (1, -1):
        left, right = figures(GREY, faces[::order], poses)
        assert left.face == face_of(0.3) and right.face == face_of(0.7)
        assert left.pose is poses[0] and right.pose is poses[1]
        assert left.look is not None and left.look.shape[0] == 2


def test_a_face_beside_a_pose_is_somebody_else():
    found = figures(GREY, [face_of(0.8, height=0.4)], [stick(0.3)])
    assert [(figure.face is not None, figure.pose is not None) for figure in found] == [(False, True), (True, False)]


def test_one_person_seen_twice_by_a_network_is_one_figure():
    assert len(figures(GREY, [], [stick(0.3), stick(0.305)])) == 1
    inside = face_of(0.3)
    around = Box(inside.x - 0.05, inside.y - 0.05, inside.width + 0.1, inside.height + 0.1, 0.7)
    [figure] = figures(GREY, [around, inside], [])
    assert figure.face == inside  # the surer one


def test_a_body_whose_shoulders_are_guessed_is_no_figure():
    assert figures(GREY, [], [stick(0.3, hidden=["left_shoulder", "right_shoulder"])]) == ()


def test_a_detector_confirms_bodies_adds_its_own_and_vetoes_the_rest():
    seen, unseen = Box(0.1, 0.1, 0.4, 0.85, 0.9), Box(0.7, 0.2, 0.2, 0.7, 0.8)
    found = figures(GREY, [], [stick(0.3), stick(0.55)], bodies=[seen, unseen])
    assert [(figure.body, figure.pose is not None) for figure in found] == [(seen, True), (unseen, False)]
    assert found[0].box == seen and found[1].height == pytest.approx(0.7)
    with_face = figures(GREY, [face_of(0.55)], [stick(0.55)], bodies=[])
    assert len(with_face) == 1 and with_face[0].face is not None  # a face is a person to any detector
    assert isinstance(with_face[0], Figure)


def test_the_head_of_a_pose_lies_on_its_face():
    head, face = head_of(stick(0.4), 640 / 360), face_of(0.4)
    assert head.centre[0] == pytest.approx(face.centre[0], abs=0.02)
    assert head.centre[1] == pytest.approx(face.centre[1], abs=0.03)
    assert 0.4 * HEAD * 0.8 < head.height < 1.5 * HEAD * 0.8
    assert head.width * 640 == pytest.approx(head.height * 360)
