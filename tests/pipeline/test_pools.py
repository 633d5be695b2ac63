from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract import Operator, Resources
from operators.errors import ChainError
from pipeline.chain import Stage, compose
from pipeline.nodes import Node
from pipeline.placement import Placement
from pipeline.pools import Pool, Room, pools, waiting
from tests.pipeline.small_chain import made_operator

ANYWHERE, APART = Placement(mode="one_box"), Placement(mode="separate")
HEAD = Node(cpus=0, head=True, id="head")


def _with(name: str, **resources) -> Operator:
    return made_operator(name, resources=Resources(**resources))


def _stage(cpus: float, gpus: float = 0, actors: tuple[int, int | None] = (1, None)) -> Stage:
    return Stage(operators=(), cpus=cpus, gpus=gpus, memory_mb=0, batch=1, actors=actors)


def _starts(stages: Sequence[Stage], cpus: float, gpus: float, memory_mb: float = math.inf) -> list[int]:
    box = [Node(cpus=cpus, gpus=gpus, memory_mb=memory_mb)]
    return [pool.start for pool in pools(stages, box, box, ANYWHERE)]


@pytest.mark.parametrize(
    ("stages", "cpus", "gpus", "sizes"),
    [
        ([_stage(1)], 8, 0, [8]),
        ([_stage(1, actors=(1, 3))], 8, 0, [3]),
        ([_stage(1), _stage(1, 1, (2, 4)), _stage(0.25)], 8, 2, [5, 2, 1]),
        ([_stage(0.1)], 0.3, 0, [3]),
        ([_stage(2, 1)], 16, 2, [2]),
        ([_stage(1), _stage(1)], 2, 0, [1, 1]),
    ],
)
def test_the_first_stage_takes_what_the_others_leave(stages: list[Stage], cpus: float, gpus: float, sizes: list[int]):
    assert _starts(stages, cpus, gpus) == sizes


def test_memory_bounds_the_pools_too():
    stages = compose([_with("a", memory_mb=900), _with("g", gpus=1, memory_mb=4000)])
    assert _starts(stages, 16, 1, memory_mb=8000) == [4, 1, 1]
    with pytest.raises(ChainError, match=r"needs 4900 MiB of memory at least: 1 × 900 \(a\) \+ 1 × 4000 \(g\)"):
        _starts(stages, 16, 1, memory_mb=4800)


def test_a_chain_that_does_not_fit_the_cluster_is_refused_with_the_arithmetic_and_the_way_out():
    stages = compose([_with("a"), _with("g", gpus=1, cpus=2, actors=(2, None))])
    with pytest.raises(
        ChainError, match=r"needs 5\.25 CPUs at least: 1 × 1 \(a\) \+ 2 × 2 \(g\) \+ 1 × 0\.25 \(write\)"
    ):
        _starts(stages, 4, 8)
    with pytest.raises(ChainError, match=r"needs 2 GPUs at least: 2 × 1 \(g\); the cluster has 1\n(.|\n)*max_gpus=N"):
        _starts(stages, 16, 1)


def test_each_kind_of_stage_must_fit_the_nodes_that_are_for_it():
    stages = compose([_with("a", actors=(4, None)), _with("g", gpus=1)])
    nodes = [HEAD, Node(cpus=2, id="c"), Node(cpus=8, gpus=1, id="g")]
    with pytest.raises(ChainError, match=r"stages without a GPU need 4\.25 CPUs at least: .* have 2\n") as refusal:
        pools(stages, nodes, nodes, APART)
    assert "--set run.placement=shared" in str(refusal.value)
    assert pools(stages, nodes, nodes, Placement(mode="shared"))[0].start == 8


def test_the_head_may_be_the_way_out():
    stages = compose([_with("a", actors=(3, None))])
    nodes = [Node(cpus=4, head=True, id="h"), Node(cpus=2, id="c")]
    with pytest.raises(ChainError, match=r"run\.placement=one_box"):
        pools(stages, nodes, nodes, APART)


def test_an_actor_larger_than_every_node_is_refused():
    stages = compose([_with("a", cpus=6)])
    nodes = [Node(cpus=4, id=str(number)) for number in range(5)]
    with pytest.raises(ChainError, match=r"no node has room for 1 × 6 CPU \(a\)"):
        pools(stages, nodes, nodes, APART)


def test_a_cluster_that_grows_from_its_head_starts_with_the_minima_and_ends_where_it_is_full():
    stages = compose([_with("a"), _with("g", gpus=0.5, cpus=1), _with("b", cpus=0.5)])
    coming = [*(Node(cpus=4) for _ in range(3)), Node(cpus=4, gpus=1), Node(cpus=4, gpus=1)]
    sizes = pools(stages, [HEAD], [HEAD, *coming], APART)
    assert sizes == [Pool(start=1, most=11), Pool(start=1, most=4), Pool(start=1, most=22)]
    assert [stage.name for stage, _ in waiting(stages, [HEAD], APART)] == ["g", "a", "b"]
    assert [stage.name for stage, _ in waiting(stages, [HEAD, coming[0]], APART)] == ["g"]
    assert not waiting(stages, [HEAD, coming[0], coming[3]], APART)


def test_nodes_that_are_there_are_used_at_once_and_those_to_come_later():
    stages = compose([_with("a"), _with("g", gpus=1)])
    there = [HEAD, Node(cpus=4), Node(cpus=2, gpus=1)]
    first, models, writer = pools(stages, there, [*there, Node(cpus=4), Node(cpus=2, gpus=1)], APART)
    assert (first, models) == (Pool(start=3, most=7), Pool(start=1, most=2))
    assert writer.start == 1


def test_nobody_knows_how_far_the_cluster_grows():
    box = [Node(cpus=4)]
    first, second = pools(
        compose([_with("a"), _with("g", gpus=0, cpus=0.5)])[:1] * 2, box, box, ANYWHERE, bounded=False
    )
    assert (first.most, second.most) == (None, None)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0, 0.25, 0.5, 1])), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2)), min_size=1, max_size=6),
)
def test_whatever_is_not_refused_fits_with_every_pool_at_its_maximum_alone(
    wants: list[tuple[int, float]], shapes: list[tuple[int, int]]
):
    stages = [_stage(cpus, gpus) for cpus, gpus in wants]
    nodes = [Node(cpus=cpus, gpus=gpus) for cpus, gpus in shapes]
    try:
        sizes = pools(stages, nodes, nodes, APART)
    except ChainError:
        return
    for number, pool in enumerate(sizes):
        room = Room(nodes, APART)
        assert not waiting(stages, nodes, APART)
        hardest = sorted(range(len(stages)), key=lambda n: (stages[n].gpus, stages[n].cpus), reverse=True)
        assert [room.put(stages[n], 1) for n in hardest] == [0] * len(stages)
        assert pool.most is not None
        assert room.put(stages[number], pool.most - 1) == 0
        assert pool.start <= pool.most
