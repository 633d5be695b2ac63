"""A stage that finds no place is given one: actors of other stages are restarted elsewhere.

`pipeline.pools` sizes the stages so that all of them have room together, but Ray chooses the node of each actor when
it starts, spreads them, and knows nothing of those to come: two that want a third of a GPU each may begin on two
nodes, and one that wants a whole GPU finds none. The same happens where a node was lost and others took the room of
those that it held. Nothing would move again; so the harder stage gets its place, and the easier ones look for another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

import ray
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator

from pipeline.chain import Stage
from pipeline.nodes import MIB, Node, present_nodes
from pipeline.placement import Placement
from pipeline.pools import SLACK, least, waiting
from pipeline.stall import nodes_coming

GRACE = 15.0
"""Seconds that a stage waits for a place that nothing brings it, before others give way."""

COMING = 600.0
"""Seconds that it waits where nodes are on their way: a machine that nobody has to give stays on its way for ever."""

SWAPS = 20
"""Times in an execution that a stage may take the place of one that is harder to place, where nothing else helps."""

Amounts = tuple[float, float, float]
"""CPUs, GPUs and MiB of memory."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """An actor that has its place: its `stage`'s number, the id of its `node`, how many `tasks` it has.

    `loads` says that it does not work yet.
    """

    actor: Any
    stage: int
    node: str
    tasks: int = 0
    loads: bool = False


def amounts(stage: Stage) -> Amounts:
    """What one actor of `stage` wants."""
    return stage.cpus, stage.gpus, float(stage.memory_mb)


def hardness(stage: Stage) -> Amounts:
    """How hard it is to find a place for an actor of `stage`: the larger, the harder."""
    return stage.gpus, stage.cpus, float(stage.memory_mb)


def victims(
    number: int,
    stages: Sequence[Stage],
    nodes: Sequence[Node],
    free: Mapping[str, Amounts],
    seats: Sequence[Seat],
    placement: Placement,
    *,
    harder_too: bool = False,
) -> list[Seat]:
    """Actors that give way to one of stage `number`; none where it has room, or where giving way would not help.

    Only actors that their stage can spare, and those of stages that find another place more easily, give way;
    with `harder_too` any others. Of the nodes, that is cleared on which the fewest stages lose an actor that they
    need, and then the least work.
    """
    stage = stages[number]
    counts = Counter(seat.stage for seat in seats)
    best: tuple[tuple[int, int, int], list[Seat]] | None = None
    for node in nodes:
        if not placement.allows(node, stage.gpus > 0):
            continue
        may_go = [
            seat
            for seat in seats
            if seat.node == node.id and not seat.loads and seat.stage != number
            and (harder_too or counts[seat.stage] > least(stages[seat.stage]) or _easier(stages[seat.stage], stage))
        ]  # fmt: skip
        chosen = _cleared(stage, stages, free.get(node.id, (0.0, 0.0, 0.0)), may_go, counts)
        if chosen is None:
            continue
        if not chosen:
            return []
        needed = sum(counts[seat.stage] <= least(stages[seat.stage]) for seat in chosen)
        price = (needed, sum(seat.tasks for seat in chosen), len(chosen))
        if best is None or price < best[0]:
            best = price, chosen
    return best[1] if best else []


def _easier(one: Stage, other: Stage) -> bool:
    return hardness(one) < hardness(other)


def _cleared(
    stage: Stage, stages: Sequence[Stage], free: Amounts, may_go: Sequence[Seat], counts: Mapping[int, int]
) -> list[Seat] | None:
    """Those of the seats of one node that make room for `stage`; None where even all of them do not."""
    lacks = [want - have for want, have in zip(amounts(stage), free, strict=True)]
    chosen: list[Seat] = []
    left, stay = dict(counts), list(may_go)
    while any(lack > SLACK for lack in lacks):
        useful = [seat for seat in stay if _helps(stages[seat.stage], lacks)]
        if not useful:
            return None

        def price(seat: Seat) -> tuple[bool, int, Amounts, int]:
            its = stages[seat.stage]
            return left[seat.stage] <= least(its), seat.tasks, hardness(its), seat.stage

        seat = min(useful, key=price)
        stay.remove(seat)
        left[seat.stage] -= 1
        chosen.append(seat)
        lacks = [lack - gives for lack, gives in zip(lacks, amounts(stages[seat.stage]), strict=True)]
    return chosen


def _helps(stage: Stage, lacks: Sequence[float]) -> bool:
    return any(lack > SLACK and gives > 0 for lack, gives in zip(lacks, amounts(stage), strict=True))


class Evictor:
    """Looks now and then after the stages of one execution after the other.

    `tell` is told, in words, who gives way to whom. `count` is the number of actors that did.
    """

    def __init__(self, stages: Sequence[Stage], placement: Placement, tell: Callable[[str], None]) -> None:
        self._stages, self._placement, self._tell = tuple(stages), placement, tell
        self._since: dict[int, float] = {}
        self._swaps = SWAPS
        self.count = 0

    def forget(self) -> None:
        """Another execution begins."""
        self._since.clear()
        self._swaps = SWAPS

    def look(self, executor: Any) -> None:
        """Make room where a stage has waited for `GRACE` seconds, or for `COMING` where nodes are on their way."""
        pools = [op for op in (executor._topology or {}) if isinstance(op, ActorPoolMapOperator)]
        lacking = [
            number
            for number, (stage, op) in enumerate(zip(self._stages, pools, strict=False))
            if not op.has_completed() and _alive(op) < least(stage) and _asked(op)
        ]
        now = monotonic()
        self._since = {number: self._since.get(number, now) for number in lacking}
        longest = max((now - since for since in self._since.values()), default=0.0)
        if longest < GRACE or (longest < COMING and nodes_coming()):
            return
        nodes = _steady_nodes()
        if waiting(self._stages, nodes, self._placement):
            return
        free = _free()
        seats = seated(_asked_for(pools), self._stages, nodes, free)
        have = Counter(seat.stage for seat in seats)
        without = [
            number
            for number, since in self._since.items()
            if now - since >= GRACE and have[number] < least(self._stages[number])
        ]
        without.sort(key=lambda number: hardness(self._stages[number]), reverse=True)
        for harder_too in (False, True) if self._swaps else (False,):
            for number in without:
                asked = (number, self._stages, nodes, free, seats, self._placement)
                if chosen := victims(*asked, harder_too=harder_too):
                    self._swaps -= harder_too
                    self._evict(number, chosen)
                    return

    def _evict(self, number: int, chosen: Sequence[Seat]) -> None:
        names = ", ".join(sorted({self._stages[seat.stage].name for seat in chosen}))
        who = (
            f"{len(chosen)} actors of {names} give way and start"
            if len(chosen) > 1
            else f"an actor of {names} gives way and starts"
        )
        self._tell(f"stage {self._stages[number].name} finds no place: {who} again elsewhere")
        self._since.clear()
        for seat in chosen:
            self.count += 1
            ray.kill(seat.actor, no_restart=False)


def _alive(op: ActorPoolMapOperator) -> int:
    pool = op._actor_pool
    return pool.num_running_actors() - pool.num_restarting_actors()


def _asked(op: ActorPoolMapOperator) -> bool:
    """Whether actors of the stage wait for Ray."""
    return bool(op._actor_pool.num_pending_actors() + op._actor_pool.num_restarting_actors())


def seated(
    asked: Sequence[Seat], stages: Sequence[Stage], nodes: Sequence[Node], free: Mapping[str, Amounts]
) -> list[Seat]:
    """Those of the actors `asked` for that have their place; the others wait for one.

    Of an actor that does not run yet Ray tells the node that was asked for it, whether or not that node has room. It
    has its place there if something that nobody else accounts for has taken as much.
    """
    found = [seat for seat in asked if not seat.loads]
    taken = {
        node.id: [whole - left for whole, left in zip(_whole(node), free.get(node.id, _whole(node)), strict=True)]
        for node in nodes
    }
    for seat in sorted(asked, key=lambda seat: seat.loads):
        if seat.node not in taken:
            continue
        left = [have - want for have, want in zip(taken[seat.node], amounts(stages[seat.stage]), strict=True)]
        if not seat.loads:
            taken[seat.node] = left
        elif all(each >= -SLACK for each in left):
            taken[seat.node] = left
            found.append(seat)
    return found


def _whole(node: Node) -> Amounts:
    return node.cpus, node.gpus, node.memory_mb


def _asked_for(pools: Sequence[ActorPoolMapOperator]) -> list[Seat]:
    """The actors of all pools as Ray accounts for them."""
    from ray._private.state import actors

    known = actors(job_id=ray.JobID.from_hex(ray.get_runtime_context().get_job_id()))
    seats = []
    for number, op in enumerate(pools):
        pool: Any = op._actor_pool
        running = dict(pool._running_actors)
        for actor in list(pool._actor_to_logical_id):
            found = known.get(actor._actor_id.hex(), {})
            works = found.get("State") == "ALIVE" and actor in running
            tasks = running[actor].num_tasks_in_flight if works else 0
            if found and found["State"] != "DEAD":
                seats.append(
                    Seat(actor=actor, stage=number, node=found["Address"]["NodeID"], tasks=tasks, loads=not works)
                )
    return seats


def _steady_nodes() -> list[Node]:
    """The nodes that are there and will not be taken away soon."""
    from ray._private.state import state

    leaving = state.get_draining_nodes()
    return [node for node in present_nodes() if node.id not in leaving]


def _free() -> dict[str, Amounts]:
    from ray._private.state import available_resources_per_node

    return {
        node: (have.get("CPU", 0.0), have.get("GPU", 0.0), have.get("memory", 0.0) / MIB)
        for node, have in available_resources_per_node().items()
    }
