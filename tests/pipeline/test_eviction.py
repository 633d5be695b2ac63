"""Who gives way to whom; that it happens on a real cluster is in `test_graph`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from pipeline.chain import Stage
from pipeline.eviction import Amounts, Seat, amounts, hardness, seated, victims
from pipeline.nodes import Node
from pipeline.placement import Placement
from pipeline.pools import least, waiting

APART = Placement(mode="separate")
HEAD = Node(cpus=4, gpus=1, memory_mb=8000, head=True, id="head")
SHARE, WHOLE = ("share", 0.5, 0.3), ("whole", 0.5, 1.0)


def stages(*wants: tuple[str, float, float], actors: Sequence[int] = ()) -> list[Stage]:
    counts = actors or [1] * len(wants)
    return [
        Stage(operators=(), cpus=cpus, gpus=gpus, memory_mb=0, batch=1, actors=(least, None))
        for (_, cpus, gpus), least in zip(wants, counts, strict=True)
    ]


def gpu_nodes(number: int) -> list[Node]:
    return [HEAD, *(Node(cpus=2, gpus=1, memory_mb=8000, id=f"gpu{each}") for each in range(number))]


def seat(stage: int, node: str, tasks: int = 0, loads: bool = False) -> Seat:
    return Seat(actor=None, stage=stage, node=node, tasks=tasks, loads=loads)


def free_beside(seats: Sequence[Seat], chain: Sequence[Stage], nodes: Sequence[Node]) -> dict[str, Amounts]:
    left = {node.id: [node.cpus, node.gpus, node.memory_mb] for node in nodes}
    for each in seats:
        left[each.node] = [have - want for have, want in zip(left[each.node], amounts(chain[each.stage]), strict=True)]
    return {node: (have[0], have[1], have[2]) for node, have in left.items()}


def gives_way(
    number: int, chain: Sequence[Stage], nodes: Sequence[Node], seats: Sequence[Seat], harder_too: bool = False
) -> list[Seat]:
    free = free_beside(seats, chain, nodes)
    return victims(number, chain, nodes, free, seats, APART, harder_too=harder_too)


def test_the_easier_of_two_that_were_spread_gives_way():
    chain, nodes = stages(SHARE, SHARE, WHOLE), gpu_nodes(2)
    spread = [seat(0, "gpu0"), seat(1, "gpu1")]
    assert gives_way(2, chain, nodes, spread) == [seat(0, "gpu0")]


def test_the_one_with_less_to_do_gives_way():
    chain, nodes = stages(SHARE, SHARE, WHOLE), gpu_nodes(2)
    assert gives_way(2, chain, nodes, [seat(0, "gpu0", 2), seat(1, "gpu1", 1)]) == [seat(1, "gpu1", 1)]


def test_an_actor_that_its_stage_can_spare_goes_before_one_that_it_cannot():
    chain, nodes = stages(SHARE, SHARE, WHOLE), gpu_nodes(2)
    seats = [seat(0, "gpu0", 2), seat(0, "gpu1", 2), seat(1, "gpu1", 0)]
    assert gives_way(2, chain, nodes, seats) == [seat(0, "gpu0", 2)]


def test_nobody_gives_way_where_there_is_room_or_where_it_would_not_help():
    chain = stages(SHARE, WHOLE)
    assert gives_way(1, chain, gpu_nodes(2), [seat(0, "gpu0")]) == []
    assert gives_way(1, chain, gpu_nodes(0), []) == []
    foreign = {"gpu0": (2.0, 0.5, 8000.0), "head": (4.0, 1.0, 8000.0)}
    assert victims(1, chain, gpu_nodes(1), foreign, [seat(0, "gpu0")], APART) == []


def test_a_harder_stage_keeps_its_last_actor_and_one_that_loads_is_left_alone():
    chain = stages(WHOLE, SHARE)
    assert gives_way(1, chain, gpu_nodes(1), [seat(0, "gpu0")]) == []
    chain = stages(SHARE, WHOLE)
    assert gives_way(1, chain, gpu_nodes(1), [seat(0, "gpu0", loads=True)]) == []


def test_a_harder_stage_spares_what_it_has_more_than_it_needs():
    chain = stages(WHOLE, SHARE)
    assert gives_way(1, chain, gpu_nodes(2), [seat(0, "gpu0", 1), seat(0, "gpu1")]) == [seat(0, "gpu1")]


def test_an_actor_that_waits_has_no_place_though_ray_names_a_node():
    chain, nodes = stages(SHARE, WHOLE), gpu_nodes(1)
    running, waits = seat(0, "gpu0", 1), seat(1, "gpu0", loads=True)
    assert seated([waits, running], chain, nodes, free_beside([running], chain, nodes)) == [running]


def test_an_actor_that_loads_has_its_place():
    chain, nodes = stages(SHARE, SHARE, WHOLE), gpu_nodes(2)
    running, loading, gone = seat(0, "gpu0", 1), seat(2, "gpu1", loads=True), seat(1, "lost", loads=True)
    free = free_beside([running, loading], chain, nodes)
    assert seated([loading, running, gone], chain, nodes, free) == [running, loading]


def a_chain_that_fits(dice: random.Random) -> tuple[list[Stage], list[Node]]:
    """Two to six stages, and one to five nodes that have room for the minimum of each by the pools' own plan."""
    while True:
        number = dice.randint(2, 6)
        wants = [("", dice.choice((0.5, 1.0, 2.0)), dice.choice((0.0, 0.3, 0.5, 1.0))) for _ in range(number)]
        chain = stages(*wants, actors=[dice.randint(1, 2) for _ in range(number)])
        machines = [dice.choice(((2.0, 0.0), (4.0, 0.0), (4.0, 1.0), (4.0, 2.0))) for _ in range(dice.randint(1, 5))]
        nodes = [HEAD, *(Node(cpus=c, gpus=g, memory_mb=8000, id=f"n{each}") for each, (c, g) in enumerate(machines))]
        if not waiting(chain, nodes, APART):
            return chain, nodes


def evictions_until_all_are_placed(dice: random.Random) -> int:
    """How many actors give way, where actors in any number and order were put on any nodes that had room."""
    chain, nodes = a_chain_that_fits(dice)
    wait = [number for number, stage in enumerate(chain) for _ in range(least(stage) + dice.randint(0, 2))]
    dice.shuffle(wait)
    seats: list[Seat] = []
    evictions = 0
    for _ in range(40):
        seats, wait = settled(seats, wait, chain, nodes, dice)
        lacking = [number for number, stage in enumerate(chain) if held(number, seats) < least(stage)]
        if not lacking:
            return evictions
        lacking.sort(key=lambda number: hardness(chain[number]), reverse=True)
        tries = ((number, harder_too) for harder_too in (False, True) for number in lacking)
        answers = ((number, gives_way(number, chain, nodes, seats, harder_too)) for number, harder_too in tries)
        number, chosen = next((answer for answer in answers if answer[1]), (-1, []))
        assert chosen, f"{lacking} find no place, and nobody gives way: {seats}"
        for each in chosen:
            seats.remove(each)
        evictions += len(chosen)
        wait.remove(number)
        wait = [number, *wait, *(each.stage for each in chosen)]
    raise AssertionError(f"after {evictions} evictions there is no place for {lacking}: {seats}")


def test_however_actors_were_put_every_stage_comes_to_its_place():
    evictions = [evictions_until_all_are_placed(random.Random(seed)) for seed in range(500)]
    assert sum(each > 0 for each in evictions) > 50, "without giving way these would have stood still"
    assert max(evictions) <= 12


def held(number: int, seats: Sequence[Seat]) -> int:
    return sum(each.stage == number for each in seats)


def settled(
    seats: Sequence[Seat], wait: Sequence[int], chain: Sequence[Stage], nodes: Sequence[Node], dice: random.Random
) -> tuple[list[Seat], list[int]]:
    """Ray's part: whoever waits, in turn, is put on any node that has room."""
    seats, left = list(seats), []
    for number in wait:
        free = free_beside(seats, chain, nodes)
        room = [
            node
            for node in nodes
            if APART.allows(node, chain[number].gpus > 0)
            and all(have + 1e-9 >= want for have, want in zip(free[node.id], amounts(chain[number]), strict=True))
        ]
        if room:
            seats.append(seat(number, dice.choice(room).id, dice.randint(0, 2)))
        else:
            left.append(number)
    return [replace(each, tasks=dice.randint(0, 2)) for each in seats], left
