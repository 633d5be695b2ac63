"""Partitions of which nothing is ever begun; real deaths and real kills are in `test_run` and `test_run_killed`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from operators.errors import EngineError
from pipeline.attempts import Evidence
from pipeline.reconcile import FRUITLESS, Reconciler

NOTHING = {"a": Evidence(), "b": Evidence()}


@pytest.fixture
def parked() -> dict[int, str]:
    return {}


@pytest.fixture
def committed() -> list[int]:
    return []


@pytest.fixture
def reconciler(parked: dict[int, str], committed: list[int]) -> Reconciler:
    """One whose partitions are parked in `parked`."""
    order: Any = SimpleNamespace()
    committer: Any = SimpleNamespace(committed=committed)
    pending: Any = SimpleNamespace(park=parked.__setitem__)
    nothing: Any = None
    return Reconciler(order, (), nothing, committer, pending, nothing)


def passes(reconciler: Reconciler, number: int, state: Any) -> set[int]:
    gone: set[int] = set()
    for _ in range(number):
        gone |= reconciler._park_fruitless({p: e for p, e in state.items() if p not in gone})
    return gone


def test_a_partition_of_which_nothing_is_begun_is_parked_while_others_are_committed(
    reconciler: Reconciler, parked: dict[int, str], committed: list[int]
):
    assert passes(reconciler, FRUITLESS, {3: NOTHING}) == set()
    committed.append(0)
    assert passes(reconciler, 1, {3: NOTHING}) == {3}
    assert list(parked) == [3]
    assert "workers end before they begin a video of it" in parked[3]


def test_one_that_shows_anything_new_is_left_to_run(
    reconciler: Reconciler, parked: dict[int, str], committed: list[int]
):
    committed.append(0)
    for strikes in range(3 * FRUITLESS):
        assert passes(reconciler, 1, {3: {**NOTHING, "a": Evidence(strikes=strikes)}}) == set()
    assert parked == {}


def test_the_run_ends_where_nothing_is_begun_of_any(reconciler: Reconciler, parked: dict[int, str]):
    with pytest.raises(EngineError, match=r"workers end before they begin a video; .* run the same command to go on"):
        passes(reconciler, FRUITLESS + 1, {3: NOTHING, 4: NOTHING})
    assert parked == {}
