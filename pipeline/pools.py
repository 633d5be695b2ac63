"""How many actors each stage gets: to start with, and at most.

Every stage needs its minimum at the same time, or clips pile up before the one that has none and nothing
moves again. So the minima of all stages are put on the nodes first, and what is left is shared out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from operators.errors import ChainError
from pipeline.chain import Stage
from pipeline.nodes import Node
from pipeline.placement import Mode, Placement

SLACK = 1e-9
"""Shares of CPUs and GPUs are sums of decimal fractions."""

UNCOUNTED = 100_000
"""More actors than this are not counted on one node (a stage that wants no CPU, a node nobody has seen)."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Actors of a stage: `start` at first and at least, `most` at most; None where Ray's budget alone decides."""

    start: int
    most: int | None


class Room:
    """What is free on some nodes, as actors are put on them."""

    def __init__(self, nodes: Sequence[Node], placement: Placement) -> None:
        self._nodes, self._placement = nodes, placement
        self._free = [[node.cpus, node.gpus, node.memory_mb] for node in nodes]

    def put(self, stage: Stage, count: int) -> int:
        """Put up to `count` more actors of `stage` on the nodes; how many did not fit.

        Nodes without a GPU are filled first, for the stages that want one have no choice.
        """
        wants = (stage.cpus, stage.gpus, stage.memory_mb)
        for number in sorted(self._allowed(stage), key=lambda number: self._nodes[number].gpus):
            free = self._free[number]
            taken = min(count, _fits(free, wants))
            self._free[number] = [have - taken * want for have, want in zip(free, wants, strict=True)]
            count -= taken
            if not count:
                break
        return count

    def more(self, stage: Stage) -> int:
        """How many more actors of `stage` would fit, if no other came."""
        wants = (stage.cpus, stage.gpus, stage.memory_mb)
        return min(UNCOUNTED, sum(_fits(self._free[number], wants) for number in self._allowed(stage)))

    def _allowed(self, stage: Stage) -> list[int]:
        on_gpu = stage.gpus > 0
        return [number for number, node in enumerate(self._nodes) if self._placement.allows(node, on_gpu)]


def _fits(free: Sequence[float], wants: Sequence[float]) -> int:
    counts = [(have + SLACK) / want for have, want in zip(free, wants, strict=True) if want]
    return int(min([UNCOUNTED, *(max(0.0, count) for count in counts)]))


def least(stage: Stage) -> int:
    """Actors without which the stage does not move."""
    return max(1, stage.actors[0])


def waiting(stages: Sequence[Stage], nodes: Sequence[Node], placement: Placement) -> list[tuple[Stage, int]]:
    """Stages whose minimum finds no room on `nodes` beside the others', with how many actors lack it."""
    return _waiting(stages, Room(nodes, placement))


def _waiting(stages: Sequence[Stage], room: Room) -> list[tuple[Stage, int]]:
    hardest = sorted(stages, key=lambda stage: (stage.gpus, stage.cpus), reverse=True)
    return [(stage, without) for stage in hardest if (without := room.put(stage, least(stage)))]


def pools(
    stages: Sequence[Stage],
    present: Sequence[Node],
    largest: Sequence[Node],
    placement: Placement,
    *,
    bounded: bool = True,
) -> list[Pool]:
    """Pool sizes on a cluster of `present` nodes that may grow to `largest`, in the order of `stages`.

    The first stage (decoding, the bottleneck of `lite`) starts with what the others leave of the present
    nodes. Every pool's maximum leaves the others their minimum on the largest cluster, so that no stage
    starves another; `bounded` False says that `largest` is a guess, and gives no maximum.

    Raises `ChainError` with the arithmetic, and the way out, where the minima do not fit even `largest`: Ray
    would wait for ever, without a word.
    """
    check_room(stages, largest, placement)
    at_most = Room(largest, placement)
    _waiting(stages, at_most)
    now = Room(present, placement)
    spare = 0 if _waiting(stages, now) else now.more(stages[0])
    sizes = []
    for number, stage in enumerate(stages):
        start = least(stage) + (spare if number == 0 else 0)
        most = max(start, least(stage) + at_most.more(stage)) if bounded else None
        if (declared := stage.actors[1]) is not None:
            most = min(declared, most) if most is not None else declared
            start = max(least(stage), min(start, declared))
        sizes.append(Pool(start=start, most=None if most is None else max(start, most)))
    return sizes


def check_room(stages: Sequence[Stage], nodes: Sequence[Node], placement: Placement) -> None:
    """Raise `ChainError` unless every stage's minimum fits `nodes` beside the others'."""
    parts = {
        "stages with a GPU need": ([stage for stage in stages if stage.gpus], placement.words(True)),
        "stages without a GPU need": ([stage for stage in stages if not stage.gpus], placement.words(False)),
        "the chain needs": (stages, "the nodes that may run stages"),
    }
    if placement.mode == "one_box":
        parts = {"the chain needs": (stages, "the cluster")}
    lacks = (_shortage(who, part, nodes, placement, whose) for who, (part, whose) in parts.items())
    short = next((lack for lack in lacks if lack), "")
    if not short and (left := waiting(stages, nodes, placement)):
        stage, count = left[0]
        short = f"no node has room for {count} × {_needs(stage)} ({stage.name}) beside the other stages"
    if short:
        raise ChainError("\n  ".join([short, *_ways_out(stages, nodes, placement)]))


def _shortage(who: str, part: Sequence[Stage], nodes: Sequence[Node], placement: Placement, whose: str) -> str:
    """What `part` of the stages lacks on the nodes that it may run on, in words; "" where nothing."""
    where = [node for node in nodes if any(placement.allows(node, stage.gpus > 0) for stage in part)]
    for what, have, needs in (
        ("CPUs", sum(node.cpus for node in where), [stage.cpus for stage in part]),
        ("GPUs", sum(node.gpus for node in where), [stage.gpus for stage in part]),
        ("MiB of memory", sum(node.memory_mb for node in where), [stage.memory_mb for stage in part]),
    ):
        need = sum(least(stage) * each for stage, each in zip(part, needs, strict=True))
        if need > have + SLACK:
            sums = " + ".join(
                f"{least(stage)} × {each:g} ({stage.name})" for stage, each in zip(part, needs, strict=True) if each
            )
            has = "has" if whose == "the cluster" else "have"
            return f"{who} {need:g} {what} at least: {sums}; {whose} {has} {have:g}"
    return ""


def _ways_out(stages: Sequence[Stage], nodes: Sequence[Node], placement: Placement) -> list[str]:
    ways = {
        "shared": "let stages without a GPU onto nodes with one: --set run.placement=shared",
        "one_box": "let stages onto every node, the head too: --set run.placement=one_box",
    }
    modes: tuple[Mode, ...] = ("shared", "one_box")
    enough = [mode for mode in modes if not waiting(stages, nodes, replace(placement, mode=mode))]
    return [
        *(ways[mode] for mode in enough[:1]),
        "give it more or larger nodes, or lower the cpus, gpus and actors of its operators",
        "where it grows and this is not all, say how far: --set run.max_cpus=N --set run.max_gpus=N",
    ]


def _needs(stage: Stage) -> str:
    memory = f", {stage.memory_mb:,} MiB" if stage.memory_mb else ""
    return f"{stage.cpus:g} CPU" + (f", {stage.gpus:g} GPU" if stage.gpus else "") + memory
