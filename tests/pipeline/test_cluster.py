from __future__ import annotations

import os
import subprocess
import sys

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


def test_a_ray_of_our_own_lets_nobody_in_who_lacks_its_token():
    code = (
        "import os, subprocess, sys, ray\n"
        "from pipeline.cluster import cluster\n"
        "with cluster(None, 1):\n"
        "    @ray.remote\n"
        "    def inside():\n"
        "        return 7\n"
        "    assert ray.get(inside.remote()) == 7\n"
        "    address = ray.get_runtime_context().gcs_address\n"
        "    for more in ({'RAY_AUTH_MODE': 'disabled'}, {'RAY_AUTH_MODE': 'token', 'RAY_AUTH_TOKEN': 'a' * 64}):\n"
        "        stranger = {k: v for k, v in os.environ.items() if not k.startswith('RAY_')} | more\n"
        "        ask = f'import ray; ray.init({address!r}, log_to_driver=False); print(len(ray.nodes()), \"nodes\")'\n"
        "        done = subprocess.run([sys.executable, '-c', ask], env=stranger, capture_output=True, text=True)\n"
        "        assert done.returncode != 0 and 'nodes' not in done.stdout, done\n"
        "    print('kept out')\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=400)
    assert done.stdout.strip().endswith("kept out"), done.stderr[-2000:]
