from __future__ import annotations

import threading

import pytest

from operators.contract import Resources
from pipeline import arrivals
from pipeline.chain import compose
from pipeline.cluster import Wishes, capacity_of
from pipeline.nodes import Limits, Node
from tests.pipeline.small_chain import made_operator

HEAD = Node(cpus=0, head=True, id="head")
LIMITS = Limits(kinds=((Node(cpus=4, kind="c"), 2), (Node(cpus=2, gpus=1, kind="g"), 1)), workers=3)
STAGES = compose([made_operator("a"), made_operator("g", resources=Resources(gpus=1))])


def test_a_run_says_which_nodes_it_waits_for_until_they_are_there(monkeypatch: pytest.MonkeyPatch):
    there = [(HEAD, Node(cpus=4)), (HEAD, Node(cpus=4), Node(cpus=2, gpus=1))]
    monkeypatch.setattr(arrivals, "present_nodes", lambda: there.pop(0))
    monkeypatch.setattr(arrivals, "INTERVAL", 0.01)
    said: list[str] = []
    complete = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        if "are there" in text and "waiting" not in text:
            complete.set()

    with arrivals.tell_arrivals(STAGES, capacity_of((HEAD,), Wishes(), LIMITS), say):
        assert complete.wait(30)
    assert said == [
        "waiting for nodes: room for 1 × 1 CPU and 1 GPU (g), 1 × 1 CPU (a), 1 × 0.25 CPU (write); "
        "0 of at most 3 workers are there",
        "waiting for nodes: room for 1 × 1 CPU and 1 GPU (g); 1 of at most 3 workers are there",
        "the nodes that the run needs at least are there",
    ]


def test_a_run_that_ends_early_ends_the_waiting(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrivals, "present_nodes", lambda: (HEAD,))
    said: list[str] = []
    with arrivals.tell_arrivals(STAGES, capacity_of((HEAD,), Wishes(), LIMITS), said.append):
        pass
    assert threading.active_count() == 1 or all(thread.name != "arrivals" for thread in threading.enumerate())
    assert len(said) == 1


def test_nothing_is_said_where_the_nodes_are_there():
    nodes = (HEAD, Node(cpus=4), Node(cpus=2, gpus=1))
    said: list[str] = []
    with arrivals.tell_arrivals(STAGES, capacity_of(nodes, Wishes(), LIMITS), said.append):
        pass
    assert not said
