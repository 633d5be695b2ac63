from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from benchmarks import chaos_processes
from benchmarks.chaos_processes import family, kill_tree, names

PARENT = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); "


def test_a_tree_is_killed_whole() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT + "time.sleep(99)"])
    until = time.monotonic() + 30
    while not (below := family(process.pid)):
        assert time.monotonic() < until
    assert names(below[0], "time.sleep(99)")
    kill_tree(process)
    assert process.returncode == -9
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in below)


def test_the_number_of_a_process_that_ended_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    def looked_up(pid: int) -> list[psutil.Process]:
        raise AssertionError("this number may be a stranger's")

    monkeypatch.setattr(chaos_processes, "family", looked_up)
    kill_tree(process)
