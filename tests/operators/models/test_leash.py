"""Processes on a leash end with the one that started them, however it ends."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from operators.models.leash import Leash

ROOT = Path(__file__).parents[3]
PARENT = """
import multiprocessing, subprocess, sys, time
from operators.models.leash import Leash

def work(leash):
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    print(multiprocessing.current_process().pid, grandchild.pid, flush=True)
    time.sleep(120)

if __name__ == "__main__":
    multiprocessing.get_context("spawn").Process(target=work, args=(Leash(),)).start()
    time.sleep(120)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_their_children_end_with_a_killed_parent(tmp_path: Path, ending: signal.Signals):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert parent.stdout is not None
    family = [psutil.Process(int(number)) for number in parent.stdout.readline().split()]
    assert len(family) == 2
    parent.send_signal(ending)
    parent.wait(timeout=60)
    parent.stdout.close()
    assert psutil.wait_procs(family, timeout=60)[1] == []


def test_a_copy_in_the_same_process_watches_nobody():
    before = threading.active_count()
    assert copy.deepcopy(Leash()) == {}
    assert pickle.loads(pickle.dumps(Leash())) == {}
    assert threading.active_count() == before
