"""Nodes that the cluster lost, and the tries of videos that ended with them.

A spot instance that is taken away, a machine without power and a cable that was pulled say nothing about the videos
that were in work there, in whichever stage; nor does an actor that had to make room (`pipeline.eviction`). Their tries
are evidence like a driver's that died: nobody can say who was guilty, so they do not count as deaths that were
witnessed (`pipeline.attempts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.attempts import Attempt


class Losses:
    """Watches for lost nodes, from its making on; Ray must run by then."""

    def __init__(self) -> None:
        self._known = lost_nodes()
        self._evictions = 0
        self._present = ""
        self._judged: set[str] = set()
        self._with: dict[str, str] = {}

    def look(self, evictions: int = 0) -> None:
        """To be called after a pass: takes note of what was lost since the last call.

        `evictions` is how many actors were made to give way so far.
        """
        lost = lost_nodes()
        evicted = [f"eviction {evictions}"] if evictions > self._evictions else []
        self._present = ",".join([*sorted(lost - self._known), *evicted])
        self._known |= lost
        self._evictions = evictions

    def explain(self, attempts: Iterable[Attempt]) -> Mapping[str, str]:
        """Number of a try → the nodes that were lost in its pass, for all tries so far that have such an excuse.

        `attempts` are the tries of a video that vanished; those not seen here before belong to the pass just ended.
        """
        for attempt in attempts:
            if attempt.number not in self._judged:
                self._judged.add(attempt.number)
                if self._present:
                    self._with[attempt.number] = self._present
        return self._with


def lost_nodes() -> frozenset[str]:
    """Ids of the cluster's dead nodes, as far as it remembers them; none where Ray does not run."""
    import ray

    if not ray.is_initialized():
        return frozenset()
    return frozenset(node["NodeID"] for node in ray.nodes() if not node["Alive"])
