"""The presentation clock on frames whose timestamps are good, missing and stuck."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from operators.video.clock import Clock


def video(origin: float = 0.0, fps: Fraction = Fraction(25)) -> Any:
    return SimpleNamespace(video=SimpleNamespace(time_base=Fraction(1, 1000)), origin=origin, fps=fps)


def frame(pts: int | None, duration: int = 0, base: Fraction | None = Fraction(1, 1000)) -> Any:
    return SimpleNamespace(pts=pts, duration=duration, time_base=base)


def times(clock: Clock, frames: list[Any]) -> list[float]:
    return [clock.seconds(clock.tick(each)) for each in frames]


def test_good_timestamps_are_taken_as_they_are():
    frames = [frame(500), frame(533), frame(700)]
    assert times(Clock(video(), frames[0]), frames) == [0.5, 0.533, 0.7]


def test_the_origin_is_taken_off():
    frames = [frame(10_500), frame(10_540)]
    assert times(Clock(video(origin=10.0), frames[0]), frames) == [0.5, 0.54]


def test_missing_and_stuck_timestamps_go_on_by_one_frame():
    frames = [frame(None), frame(None), frame(40, 20), frame(10), frame(200)]
    assert times(Clock(video(), frames[0]), frames) == [0.0, 0.04, 0.08, 0.1, 0.2]


def test_without_a_base_of_its_own_a_frame_counts_in_the_streams():
    assert Clock(video(), frame(3000, base=None)).seconds(3000) == 3.0


@given(st.lists(st.tuples(st.none() | st.integers(-(10**6), 10**6), st.integers(0, 1000)), min_size=1))
def test_time_always_advances(stamps: list[tuple[int | None, int]]):
    frames = [frame(pts, duration) for pts, duration in stamps]
    clock = Clock(video(), frames[0])
    ticks = [clock.tick(each) for each in frames]
    assert all(later > earlier for earlier, later in pairwise(ticks))
