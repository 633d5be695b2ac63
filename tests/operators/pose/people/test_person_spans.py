"""Spans: they tile a shot, tell why they are dropped, and a single missed detection decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.pose.people.person_figures import Figure
from operators.pose.people.person_spans import Moment, Rules, Span, shows_upper_body, split
from operators.pose.people.person_tracks import people
from tests.stick_people import person

STEP, RATE = 0.4, 10  # seconds between samples, frames between them
GOOD = person(0.5)
FACELESS = person(0.5, face=False)
SMALL = person(0.5, height=0.2)
HANDLESS = person(0.5, hidden=["left_wrist", "right_wrist"])
ELBOWLESS = person(0.5, hidden=["left_elbow", "right_elbow"])


def spans_of(samples: Sequence[Sequence[Figure]], lead: int = 0, tail: int = RATE, **rules: Any) -> list[Span]:
    """Spans of a shot whose samples come every `STEP` seconds; `lead` and `tail` frames lie around them."""
    moments = [Moment(100 + lead + RATE * k, (lead + RATE * k) * STEP / RATE) for k in range(len(samples))]
    begin, end = Moment(100, 0.0), Moment(moments[-1].frame + tail, moments[-1].time + tail * STEP / RATE)
    found = people(samples, [moment.time for moment in moments], STEP)
    spans = split(begin, end, moments, found, Rules(**rules))
    check_tiling(spans, begin, end, moments)
    return spans


def check_tiling(spans: Sequence[Span], begin: Moment, end: Moment, moments: Sequence[Moment]) -> None:
    assert spans[0].begin == begin and spans[-1].end == end
    assert all(a.end == b.begin for a, b in pairwise(spans))
    assert all(span.begin.frame < span.end.frame and span.samples for span in spans)
    assert [k for span in spans for k in span.samples] == list(range(len(moments)))


def reasons(samples: Sequence[Sequence[Figure]], **rules: Any) -> list[str | None]:
    return [span.reason for span in spans_of(samples, **rules)]


def test_a_good_person_all_through_is_one_kept_span():
    [span] = spans_of([[GOOD]] * 20, lead=3)
    assert span.reason is None and span.people == 1
    [subject] = span.subjects
    assert span.share(subject, shows_upper_body) == 1.0
    assert span.height(subject) == pytest.approx(0.8, abs=0.08)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ([], "no_person"),
        ([person(0.3), person(0.7)], "two_people"),
        ([person(0.2), person(0.5), person(0.8)], "several_people"),
        ([SMALL], "person_too_small"),
        ([FACELESS], "facing_away"),
        ([ELBOWLESS], "upper_body_hidden"),
        ([person(0.5, body=False)], "upper_body_hidden"),
        ([HANDLESS], "hands_hidden"),
    ],
)
def test_what_is_wrong_all_through_is_the_reason(figures: list[Figure], reason: str):
    [span] = spans_of([figures] * 12)
    assert span.reason == reason and span.people == len(figures)
    assert len(span.subjects) == min(1, len(figures))


@pytest.mark.parametrize("flawed", [[], [FACELESS], [ELBOWLESS], [HANDLESS]])
@pytest.mark.parametrize("at", [[0], [4], [11], [3, 7], [5, 6]])
def test_single_flawed_samples_do_not_cut(flawed: list[Figure], at: list[int]):
    assert reasons([flawed if k in at else [GOOD] for k in range(12)]) == [None]


def test_a_stranger_who_comes_in_cuts_and_kept_spans_end_at_good_samples():
    samples = [[GOOD]] * 10 + [[GOOD, person(0.85, height=0.5)]] * 6 + [[GOOD]] * 9
    before, both, after = spans_of(samples)
    assert [before.reason, both.reason, after.reason] == [None, "two_people", None]
    assert before.end.frame == 100 + 9 * RATE  # the last sample without the stranger
    assert after.begin.frame == 100 + 16 * RATE  # the first one without
    assert both.people == 2


def test_a_person_who_turns_away_for_a_while_is_dropped_for_that_while():
    samples = [[GOOD]] * 10 + [[FACELESS]] * 8 + [[GOOD]] * 10
    before, away, after = spans_of(samples)
    assert [before.reason, away.reason, after.reason] == [None, "facing_away", None]
    assert away.begin.frame <= 100 + 10 * RATE and away.end.frame >= 100 + 17 * RATE
    assert away.share(away.subjects[0], shows_upper_body) == 1.0


def test_kept_spans_that_would_be_too_short_say_so():
    assert reasons([[GOOD]] * 4) == ["too_short"]
    assert reasons([[]] * 8 + [[GOOD]] * 4 + [[]] * 8) == ["no_person", "too_short", "no_person"]
    assert reasons([[GOOD]] * 4, min_clip_seconds=1.0) == [None]


def test_long_spans_are_split_evenly():
    spans = spans_of([[GOOD]] * 100, max_clip_seconds=15.0)
    assert [span.reason for span in spans] == [None] * 3
    lengths = [span.seconds for span in spans]
    assert max(lengths) <= 15.0 and max(lengths) - min(lengths) <= 2 * STEP


def test_hands_are_judged_over_the_piece():
    samples = [[GOOD]] * 50 + [[HANDLESS]] * 50
    assert reasons(samples, max_clip_seconds=20.0) == [None, "hands_hidden"]
    assert reasons(samples, max_clip_seconds=60.0) == [None]
    assert reasons(samples, max_clip_seconds=60.0, min_hands_share=0.6) == ["hands_hidden"]


def pair(left: float = 0.3, right: float = 0.7) -> list[Figure]:
    return [person(left, colour=1), person(right, colour=2)]


def test_two_people_are_kept_from_left_to_right_when_two_are_wanted():
    [span] = spans_of([pair()[:: 1 if k % 2 else -1] for k in range(12)], people=2)
    left, right = span.subjects
    assert span.reason is None and span.people == 2
    assert left.box(5).centre[0] < 0.5 < right.box(5).centre[0]


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ([], "no_person"),
        ([GOOD], "one_person"),
        ([person(0.2), person(0.5), person(0.8)], "several_people"),
        ([person(0.3), person(0.7, face=False)], "facing_away"),
        ([person(0.3), person(0.7, height=0.2)], "person_too_small"),
    ],
)
def test_both_of_two_people_must_be_good(figures: list[Figure], reason: str):
    assert reasons([figures] * 12, people=2) == [reason]


def test_two_people_may_hide_their_hands_and_elbows():
    hidden = [person(x, hidden=["left_elbow", "left_wrist", "right_wrist"]) for x in (0.3, 0.7)]
    assert reasons([hidden] * 12, people=2) == [None]


def test_two_people_who_change_places_end_the_span():
    places = [0.3] * 10 + [0.38, 0.46, 0.54, 0.62] + [0.7] * 10
    samples = [pair(x, 1 - x) for x in places]
    first, change, second = spans_of(samples, people=2)
    assert [first.reason, change.reason, second.reason] == [None, "positions_changed", None]
    assert first.subjects == second.subjects[::-1]
    assert first.end.frame <= 100 + 11 * RATE and second.begin.frame >= 100 + 12 * RATE


KINDS: Sequence[Callable[[], list[Figure]]] = (
    lambda: [GOOD],
    list,
    lambda: [FACELESS],
    lambda: [SMALL],
    lambda: [HANDLESS],
    lambda: [person(0.3), person(0.7)],
    lambda: [person(0.2), person(0.5), person(0.8)],
    lambda: [person(0.5, body=False)],
)


@settings(deadline=None, max_examples=120)
@given(
    stretches=st.lists(st.tuples(st.integers(0, len(KINDS) - 1), st.integers(1, 12)), min_size=1, max_size=7),
    wanted=st.sampled_from([1, 2]),
    lead=st.integers(0, RATE - 1),
    tail=st.integers(1, RATE),
    shortest=st.sampled_from([0.5, 2.0, 5.0]),
)
def test_spans_tile_any_shot_and_keep_only_what_is_good(
    stretches: list[tuple[int, int]], wanted: int, lead: int, tail: int, shortest: float
):
    samples = [KINDS[kind]() for kind, length in stretches for _ in range(length)]
    spans = spans_of(samples, lead, tail, people=wanted, min_clip_seconds=shortest, max_clip_seconds=10.0)
    for span in spans:
        if span.reason is None:
            assert len(span.subjects) == wanted and span.seconds <= 10.0 + 1e-9
            assert all(person.is_there(k) for person in span.subjects for k in span.samples)
    for a, b in pairwise(spans):
        assert a.reason is None or a.reason != b.reason or a.reason == "hands_hidden"
