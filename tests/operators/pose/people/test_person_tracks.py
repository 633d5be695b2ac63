"""Tracks: who is one person over a shot, and what is none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from operators.pose.people.person_figures import Figure
from operators.pose.people.person_tracks import Person, link, people
from tests.stick_people import person

STEP = 0.4


def tracked(samples: Sequence[Sequence[Figure]]) -> list[Person]:
    return people(samples, [STEP * k for k in range(len(samples))], STEP)


def test_one_moving_person_is_one_track_from_the_first_sample_to_the_last():
    [found] = tracked([[person(0.2 + 0.02 * k)] for k in range(20)])
    assert (found.first, found.last, found.faces) == (0, 19, 20)
    assert found.box(10).centre[0] == pytest.approx(0.4, abs=0.02)


def test_two_people_stay_apart_whatever_the_order_of_their_figures():
    samples = [[person(0.3), person(0.7)][:: 1 if k % 2 else -1] for k in range(10)]
    a, b = tracked(samples)
    assert {a.box(k).centre[0] < 0.5 for k in range(10)} != {b.box(k).centre[0] < 0.5 for k in range(10)}
    assert len(a.sightings) == len(b.sightings) == 10


@pytest.mark.parametrize("missing", [1, 2])
def test_short_gaps_are_bridged(missing: int):
    samples = [[person(0.4)] if not 5 <= k < 5 + missing else [] for k in range(15)]
    [found] = tracked(samples)
    assert all(found.is_there(k) for k in range(15)) and len(found.sightings) == 15 - missing
    assert found.box(5).centre[0] == pytest.approx(0.4, abs=0.01)


def test_boxes_are_interpolated_in_gaps_and_where_only_the_face_is_seen():
    samples = [[person(0.3)], [person(0.35, body=False)], [], [person(0.42)]]
    [found] = tracked(samples)
    assert found.box(1).height == pytest.approx(found.box(0).height)
    assert found.box(2).centre[0] == pytest.approx(0.38, abs=0.01)


def test_who_turns_away_in_one_place_stays_and_who_walks_out_does_not():
    away = [[person(0.4)]] * 6 + [[]] * 8 + [[person(0.45)]] * 6
    [found] = tracked(away)
    assert found.is_there(10) and 10 not in found.sightings
    out = [[person(0.12)]] * 6 + [[]] * 8 + [[person(0.12)]] * 6  # the box touches the picture's side
    assert len(tracked(out)) == 2
    other = [[person(0.4, colour=1)]] * 6 + [[]] * 8 + [[person(0.4, colour=2)]] * 6
    assert len(tracked(other)) == 2


def test_who_passes_behind_another_is_one_person():
    front = person(0.5, top=0.1, height=0.9, colour=1)
    behind = [*[0.3 + 0.02 * k for k in range(4)], *[None] * 5, *[0.62 + 0.02 * k for k in range(4)]]
    samples = [[front] + ([person(x, 0.2, 0.5, colour=2)] if x is not None else []) for x in behind]
    both = tracked(samples)
    assert len(both) == 2 and all(found.is_there(6) for found in both)
    alone = [figures[1:] for figures in samples]  # nobody to hide behind, and not the same place
    assert len(tracked(alone)) == 2 and not any(found.is_there(6) for found in tracked(alone))


def test_a_body_without_a_face_counts_once_it_lasts():
    def faceless(lasting: int, around: int = 20) -> int:
        return len(tracked([[person(0.4, face=False)] if k < lasting else [] for k in range(around)]))

    assert faceless(4) == 0 and faceless(5) == 1
    assert faceless(2, around=2) == 1  # all of a short shot
    wandering = [[person(0.2 + 0.6 * (k % 2), face=False)] for k in range(20)]
    assert tracked(wandering) == []
    jumping = [[person((0.15, 0.5, 0.85)[k % 3], face=False, body=True)] if k % 2 else [] for k in range(20)]
    assert tracked(jumping) == []


def test_faces_count_when_they_are_seen_again():
    def faces(seen: int, around: int = 20) -> int:
        return len(tracked([[person(0.4, body=False)] if k < seen else [] for k in range(around)]))

    assert [faces(n) for n in (1, 2, 3)] == [0, 0, 1]
    assert faces(1, around=1) == 1 and faces(1, around=2) == 1 and faces(1, around=3) == 0


def test_a_face_alone_and_the_body_it_has_later_are_one_track():
    [track] = link([[person(0.4, body=k % 2 == 0)] for k in range(8)], [STEP * k for k in range(8)], STEP)
    assert len(track.sightings) == 8


def test_no_samples_and_empty_samples_have_nobody():
    assert tracked([]) == [] and tracked([[], [], []]) == []
