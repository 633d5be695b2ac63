"""An actor's time is shared among its batches, and none of it is lost or counted twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import occupancy
from pipeline.occupancy import Occupancy


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(occupancy, "perf_counter", made)
    return made


def test_batches_at_the_same_time_share_it(clock: Clock) -> None:
    actor = Occupancy()
    clock.now += 5  # idle
    first = actor.enter()
    clock.now += 2  # alone
    second = actor.enter()
    clock.now += 4  # two at once
    assert actor.leave(first) == 2 + 4 / 2
    clock.now += 1
    assert actor.leave(second) == 4 / 2 + 1
    clock.now += 9
    third = actor.enter()
    clock.now += 3
    assert actor.leave(third) == 3


def test_claims_add_up_to_the_whole_time(clock: Clock) -> None:
    actor = Occupancy()
    clock.now += 7
    assert actor.claim() == 7
    assert actor.claim() == 0
    clock.now += 2
    assert actor.claim() == 2


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.01, 10)), max_size=40))
def test_shares_add_up_to_the_time_in_which_anything_was_at_work(turns: list[tuple[int, float]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock()
        patched.setattr(occupancy, "perf_counter", clock)
        actor, inside, shares, busy = Occupancy(), {}, 0.0, 0.0
        for who, seconds in [*turns, *_last(turns)]:
            if who in inside:
                shares += actor.leave(inside.pop(who))
            else:
                inside[who] = actor.enter()
            clock.now += seconds
            busy += seconds if inside else 0.0
        assert not inside
        assert shares == pytest.approx(busy, abs=1e-6)


def _last(turns: list[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    """Turns that send everybody home."""
    for who in range(4):
        if sum(turn[0] == who for turn in turns) % 2:
            yield who, 0.5
