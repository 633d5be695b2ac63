"""A run on a cluster that Ray's own autoscaler grows from its head alone, and shrinks again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.elastic import table

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """The run's report. In a process of its own: this one may be connected to another Ray."""
    command = [sys.executable, "-m", "benchmarks.elastic", "--json", "--until-full", "--videos", "64"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, env=environment)
    assert done.stdout, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_cluster_grows_from_its_head_to_its_maximum_and_back(report: dict[str, Any]):
    assert report["most"]["nodes"] == {"decoders": 2, "models": 2}
    assert not any(report["moments"][0]["nodes"].values())
    assert report["shrunk_seconds"] is not None
    assert not any(report["moments"][-1]["nodes"].values())


def test_the_pools_grow_with_it_as_far_as_the_other_stages_leave_room(report: dict[str, Any]):
    cut, look, tell = report["most"]["actors"].values()
    assert look == 2
    assert 2 <= cut <= 3
    assert tell >= 1


def test_every_clip_is_there_once_and_the_run_said_what_it_waited_for(report: dict[str, Any]):
    assert report["exit_code"] == 0
    assert report["problems"] == []
    assert any(note.startswith("waiting for nodes: room for 1 × 1 CPU and 1 GPU (look)") for note in report["notes"])


def test_the_table_has_a_line_for_every_change(report: dict[str, Any]):
    lines = table(report).splitlines()
    assert "decoders" in lines[3]
    assert lines[-1].split()[-2:] == ["64", "128"]
