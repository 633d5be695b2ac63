"""What a run that waits for nodes says meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.chain import Stage
from pipeline.cluster import Capacity
from pipeline.nodes import Node, present_nodes
from pipeline.pools import waiting

INTERVAL = 2.0
"""Seconds between two looks at the nodes."""


@contextmanager
def tell_arrivals(stages: Sequence[Stage], capacity: Capacity, say: Callable[[str], None]) -> Iterator[None]:
    """Until every stage has room for its minimum, `say` which nodes are waited for; from a thread of its own.

    Says nothing where the largest cluster has no room either: the run is refused, then.
    """
    now, ever = (waiting(stages, nodes, capacity.placement) for nodes in (capacity.nodes, capacity.largest))
    if not now or ever:
        yield
        return
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(stages, capacity, say, ended), name="arrivals", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()


def _watch(stages: Sequence[Stage], capacity: Capacity, say: Callable[[str], None], ended: threading.Event) -> None:
    nodes = capacity.nodes
    while told := in_words(stages, nodes, capacity):
        say(told)
        if ended.wait(INTERVAL):
            return
        nodes = present_nodes()
    say("the nodes that the run needs at least are there")


def in_words(stages: Sequence[Stage], nodes: Sequence[Node], capacity: Capacity) -> str:
    """What is waited for where `nodes` are there; "" where nothing is."""
    lacking = waiting(stages, nodes, capacity.placement)
    if not lacking:
        return ""
    needs = ", ".join(
        f"{count} × {stage.cpus:g} CPU" + (f" and {stage.gpus:g} GPU" if stage.gpus else "") + f" ({stage.name})"
        for stage, count in lacking
    )
    workers = sum(not node.head for node in nodes)
    may = sum(not node.head for node in capacity.largest)
    return f"waiting for nodes: room for {needs}; {workers} of at most {may} workers are there"
