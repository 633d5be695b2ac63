from __future__ import annotations

from pipeline.cluster import Wishes, capacity_of
from pipeline.nodes import Limits, Node

HEAD = Node(cpus=0, head=True, id="head")
LIMITS = Limits(kinds=((Node(cpus=4, kind="c"), 2), (Node(cpus=2, gpus=1, kind="g"), 1)), workers=3)


def test_the_autoscaler_says_how_far_the_cluster_grows():
    capacity = capacity_of((HEAD,), Wishes(), LIMITS)
    assert capacity.bounded
    assert capacity.placement.mode == "separate"
    assert capacity.lines() == [
        "cluster: 1 × head (0 CPUs, 0 GPUs); it may grow to 1 × head (0 CPUs, 0 GPUs); 2 × c (8 CPUs, 0 GPUs); "
        "1 × g (2 CPUs, 1 GPUs)",
        "placement: separate",
    ]


def test_a_person_knows_better():
    capacity = capacity_of((HEAD,), Wishes(max_cpus=64, placement="shared"), LIMITS)
    assert capacity.bounded
    assert sum(node.cpus for node in capacity.largest) == 64
    assert capacity.placement.mode == "shared"


def test_where_nobody_knows_the_cluster_is_taken_as_it_is_and_the_plan_says_so():
    capacity = capacity_of((HEAD, Node(cpus=4, id="c")), Wishes(), None)
    assert not capacity.bounded
    assert capacity.largest == capacity.nodes
    assert "how far it grows cannot be learned" in capacity.lines()[0]
