from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from operators.errors import ConfigurationError
from pipeline.nodes import Limits, Node, limits_of, monitor_configuration, said_by_hand

CLUSTER_FILE = """
cluster_name: films
max_workers: 10
head_node_type: head
available_node_types:
  head: {resources: {CPU: 0}, node_config: {}}
  decoders: {resources: {CPU: 16, memory: 34359738368}, labels: {rushes/role: decode}, max_workers: 8, node_config: {}}
  models: {resources: {CPU: 8, GPU: 1}, labels: {rushes/role: models}, max_workers: 40, node_config: {}}
"""

HEAD = Node(cpus=0, head=True, kind="head", id="h")


def test_a_cluster_file_says_which_nodes_may_come():
    limits = limits_of(CLUSTER_FILE)
    assert limits.workers == 10
    assert limits.kinds == (
        (Node(cpus=16, memory_mb=32768, role="decode", kind="decoders"), 8),
        (Node(cpus=8, gpus=1, memory_mb=math.inf, role="models", kind="models"), 10),
    )


def test_the_largest_cluster_has_what_is_there_and_what_may_come_up_to_the_joint_limit():
    limits = limits_of(CLUSTER_FILE)
    largest = limits.largest([HEAD])
    assert largest[0] is HEAD
    assert Counter(node.kind for node in largest) == {"head": 1, "decoders": 5, "models": 5}
    there = [HEAD, *(Node(cpus=16, kind="decoders", id=str(number)) for number in range(8))]
    assert Counter(node.kind for node in limits.largest(there)) == {"head": 1, "decoders": 8, "models": 2}
    unnamed = [HEAD, *(Node(cpus=16, role="decode", id=str(number)) for number in range(8))]
    assert Counter(node.kind for node in limits.largest(unnamed)) == {"head": 1, "": 8, "models": 2}
    stranger = Node(cpus=4, id="s")
    assert sum(node.kind != "head" for node in limits.largest([HEAD, stranger])) == 10


def test_a_cluster_without_an_autoscaler_stays_as_it_is():
    assert limits_of("") == Limits(kinds=(), workers=0)
    assert limits_of("").largest([HEAD]) == (HEAD,)


@pytest.mark.parametrize("text", ["[]", "a: [", "available_node_types: {a: {max_workers: many}}", "max_workers: 3"])
def test_a_file_that_says_nothing_of_nodes_is_refused_with_the_way_out(text: str):
    with pytest.raises(ConfigurationError, match=r"run\.max_cpus=N"):
        limits_of(text)


def test_a_person_may_say_how_far_the_cluster_grows():
    there = [HEAD, Node(cpus=4, id="c"), Node(cpus=8, gpus=1, id="g")]
    *same, cpus, gpus = said_by_hand(there, 20, 3)
    assert same == there
    assert (cpus.cpus, cpus.gpus, gpus.gpus) == (16, 0, 2)
    assert said_by_hand(there, 2, None) == tuple(there)


@pytest.fixture
def monitor(tmp_path: Path):
    """Starts processes with the command line of Ray's monitor, and ends them."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> None:
        script = tmp_path / "monitor.py"
        script.write_text("import time\nprint('up', flush=True)\ntime.sleep(600)\n")
        process = subprocess.Popen(
            [sys.executable, str(script), *options], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_head_knows_the_file_of_its_own_autoscaler(monitor, tmp_path: Path):
    (tmp_path / "cluster.yaml").write_text(CLUSTER_FILE)
    monitor("--gcs-address=10.0.0.1:1", "--autoscaling-config=other.yaml")
    monitor("--gcs-address=10.0.0.1:2", "--autoscaling-config=cluster.yaml")
    monitor("--gcs-address=10.0.0.1:3")
    assert monitor_configuration("2") == CLUSTER_FILE
    assert monitor_configuration("3") == ""
    assert monitor_configuration("4") is None
    assert monitor_configuration("1") is None
