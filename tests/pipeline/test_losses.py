from __future__ import annotations

import pytest

from pipeline import losses
from pipeline.attempts import UNEXPLAINED, Attempt, Evidence, weigh
from pipeline.losses import Losses

NOW = "present"


def attempt(number: str, *, session: str = NOW, alone: bool = False, ended: str = "") -> Attempt:
    return Attempt(video_id="v", session=session, number=number, alone=alone, ended=ended)


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Nodes that Ray reports as dead; the test adds to them."""
    found = {"long-gone"}
    monkeypatch.setattr(losses, "lost_nodes", lambda: frozenset(found))
    return found


def test_tries_of_a_pass_that_lost_a_node_are_no_strikes(dead: set[str]):
    watch = Losses()
    watch.look()
    tries = [attempt("1")]
    assert weigh(tries, NOW, True, watch.explain(tries)).strikes == 1
    dead.add("n1")
    watch.look()
    tries += [attempt("2"), attempt("3")]
    found = weigh(tries, NOW, True, watch.explain(tries))
    assert (found.strikes, found.unexplained, found.alone) == (1, 1, False)
    watch.look()
    tries.append(attempt("4"))
    found = weigh(tries, NOW, True, watch.explain(tries))
    assert (found.strikes, found.unexplained, found.alone) == (2, 1, True), "the next pass lost no node"


def test_a_death_that_was_seen_counts_whatever_else_was_lost(dead: set[str]):
    watch = Losses()
    dead.add("n1")
    watch.look()
    tries = [attempt("1", ended="timeout")]
    assert weigh(tries, NOW, True, watch.explain(tries)).strikes == 1


def test_a_video_with_which_nodes_die_again_and_again_runs_alone_and_is_convicted_then(dead: set[str]):
    watch, tries = Losses(), []
    found = Evidence()
    for number in range(UNEXPLAINED):
        dead.add(f"n{number}")
        watch.look()
        tries.append(attempt(f"{number}"))
        found = weigh(tries, NOW, True, watch.explain(tries))
        assert (found.strikes, found.unexplained) == (0, number + 1)
    assert found.alone
    for number in range(3):
        assert not found.convicted
        dead.add(f"m{number}")
        watch.look()
        tries.append(attempt(f"alone-{number}", alone=True))
        found = weigh(tries, NOW, True, watch.explain(tries))
        assert found.lonely == number + 1
    assert found.convicted


def test_other_drivers_tries_stay_what_they_are(dead: set[str]):
    watch = Losses()
    dead.add("n1")
    watch.look()
    tries = [attempt("1", session="a"), attempt("2", session="b")]
    assert weigh(tries, NOW, True, watch.explain(tries)).unexplained == 2


def test_without_ray_no_node_is_lost():
    assert losses.lost_nodes() == frozenset()
