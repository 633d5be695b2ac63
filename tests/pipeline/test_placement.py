from __future__ import annotations

import pytest

from pipeline.nodes import Node
from pipeline.placement import Mode, Placement, place, words

HEAD = Node(cpus=8, gpus=1, head=True, id="head")
PLAIN = Node(cpus=8, id="plain")
GPU = Node(cpus=8, gpus=1, id="gpu", kind="big")
DECODER = Node(cpus=8, role="decode", id="decoder")
MODELS = Node(cpus=8, gpus=1, role="models", id="models")
DECODER_WITH_GPU = Node(cpus=8, gpus=1, role="decode", id="both")


def test_a_machine_by_itself_does_everything():
    placement = place("auto", [HEAD], [HEAD])
    assert placement.mode == "one_box"
    assert placement.allows(HEAD, False)
    assert placement.allows(HEAD, True)
    assert placement.selector([HEAD], True) == {}


@pytest.mark.parametrize(
    ("present", "largest"),
    [
        ([HEAD, PLAIN], [HEAD, PLAIN]),
        ([HEAD], [HEAD, PLAIN, GPU]),
        ([Node(cpus=0, head=True, id="head")], [Node(cpus=0, head=True, id="head")]),
    ],
)
def test_a_cluster_keeps_its_stages_apart_and_its_head_free(present: list[Node], largest: list[Node]):
    placement = place("auto", present, largest)
    assert placement.mode == "separate"
    assert not placement.allows(HEAD, False)
    assert not placement.allows(HEAD, True)


@pytest.mark.parametrize(
    ("mode", "roles", "on_cpu", "on_gpu"),
    [
        ("separate", "", {"plain", "decoder", "both"} - {"both"}, {"gpu", "models"}),
        ("separate", "decode", {"decoder", "both"}, {"gpu", "models"}),
        ("separate", "decode models", {"decoder", "both"}, {"models"}),
        ("shared", "decode models", {"plain", "gpu", "decoder", "models", "both"}, {"gpu", "models"}),
        ("one_box", "", {"head", "plain", "gpu", "decoder", "models", "both"}, {"head", "gpu", "models", "both"}),
    ],
)
def test_who_may_run_where(mode: Mode, roles: str, on_cpu: set[str], on_gpu: set[str]):
    placement = Placement(mode=mode, roles=frozenset(roles.split()))
    nodes = [HEAD, PLAIN, GPU, DECODER, MODELS, DECODER_WITH_GPU]
    assert {node.id for node in nodes if placement.allows(node, False)} == on_cpu
    assert {node.id for node in nodes if placement.allows(node, True)} == on_gpu
    for gpu_stage in (False, True):
        selector = placement.selector(nodes, gpu_stage)
        kept = {node.id for node in nodes if _selects(selector, node) and (node.gpus or not gpu_stage)}
        assert kept == {node.id for node in nodes if placement.allows(node, gpu_stage)}


def _selects(selector: dict[str, str], node: Node) -> bool:
    """Ray's rule, for the labels that these nodes would carry."""
    labels = {"ray.io/node-id": node.id}
    if node.role:
        labels["rushes/role"] = node.role
    if node.kind:
        labels["ray.io/node-group"] = node.kind
    for key, condition in selector.items():
        listed = condition.lstrip("!").removeprefix("in(").removesuffix(")").split(",")
        if (labels.get(key) in listed) == condition.startswith("!"):
            return False
    return True


def test_gpu_nodes_that_join_later_are_told_by_their_gpu_and_by_their_type():
    selector = Placement(mode="separate").selector([HEAD, GPU, Node(cpus=8, gpus=1, kind="small")], False)
    assert selector["ray.io/node-group"] == "!in(big,small)"
    assert selector["ray.io/node-id"] == "!in(gpu,head)"
    refused = selector["ray.io/accelerator-type"].removeprefix("!in(").removesuffix(")").split(",")
    assert {"A10G", "T4", "H100", "AMD-Instinct-MI300X-OAM"} <= set(refused)
    assert not any(name.startswith(("TPU", "Apple", "M1")) for name in refused)


def test_the_plan_says_what_the_choice_depends_on():
    assert words("auto", False) == "on one machine: anywhere; on a cluster: nodes without a GPU, never the head"
    assert words("shared", False) == "any node but the head"
    assert Placement(mode="separate", roles=frozenset({"models"})).words(True) == "nodes labelled rushes/role=models"
