"""Where the actors of real runs are: five Ray nodes on this machine, with logical CPUs and GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.pipeline.placed_runs import VIDEOS

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What became of the runs. In a process of its own: this one may be connected to another Ray."""
    command = [sys.executable, "-m", "tests.pipeline.placed_runs", str(tmp_path_factory.mktemp("placed"))]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=550, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_decoding_stays_off_gpu_nodes_and_the_head_runs_nothing(cases: dict[str, Any]):
    where = cases["auto"]["where"]
    assert where["decode"] == ["cpu0", "cpu1"]
    assert set(where["finish"]) <= {"cpu0", "cpu1"}
    assert set(where["model"]) <= {"gpu0", "gpu1"}


def test_decoding_may_be_let_onto_gpu_nodes_but_not_onto_the_head(cases: dict[str, Any]):
    where = cases["shared"]["where"]
    assert {"gpu0", "gpu1"} & set(where["decode"])
    assert "head" not in {node for operator, nodes in where.items() if operator != "read" for node in nodes}


@pytest.mark.parametrize("case", ["auto", "shared", "one_box"])
def test_what_to_do_is_read_beside_the_driver_where_no_cable_can_cut_it_off(cases: dict[str, Any], case: str):
    assert cases[case]["where"]["read"] == ["head"]


def test_one_box_uses_the_head_too(cases: dict[str, Any]):
    assert "head" in cases["one_box"]["where"]["decode"]


@pytest.mark.parametrize("case", ["auto", "shared", "one_box"])
def test_the_rows_are_the_same_wherever_they_were_made(cases: dict[str, Any], case: str):
    assert cases[case]["exit_code"] == 0
    assert len(cases[case]["captions"]) == 2 * VIDEOS
    assert all(clip == caption for clip, caption in cases[case]["captions"].items())


def test_what_only_the_head_could_hold_is_refused_with_the_setting_that_allows_it(cases: dict[str, Any]):
    refused = cases["too_much"]["refused"]
    assert "stages with a GPU need 2.5 GPUs at least: 5 × 0.5 (model); nodes with a GPU, never the head have 2" in (
        refused
    )
    assert "--set run.placement=one_box" in refused
    assert cases["too_much"]["where"] == {}


def test_a_stage_that_wants_a_whole_gpu_gets_one_though_others_were_spread_over_all_of_them(cases: dict[str, Any]):
    spread = cases["spread"]
    assert spread["exit_code"] == 0
    assert len(spread["captions"]) == 2 * VIDEOS
    assert all(clip == caption for clip, caption in spread["captions"].items())
    assert spread["where"]["whole"] in (["gpu0"], ["gpu1"])
    assert any("stage whole finds no place" in note for note in spread["notes"])
    assert not [note for note in spread["notes"] if "no progress" in note]


def test_the_plan_says_what_the_cluster_gives_each_stage_and_starts_nothing(cases: dict[str, Any]):
    told = cases["plan"]
    assert told["without"] == []
    assert told["lines"] == [
        "cluster: 1 × head (4 CPUs, 1 GPUs); 4 × other (8 CPUs, 2 GPUs)",
        "placement: separate",
        "  decode: 3 actors at first, at most 3; nodes without a GPU, never the head",
        "  model: 1 actors at first, at most 4; nodes with a GPU, never the head",
        "  finish: 1 actors at first, at most 6; nodes without a GPU, never the head",
    ]
    assert told["where"] == {}
    assert not told["output"]
