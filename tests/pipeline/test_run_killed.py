"""Exactly once: real kills, a driver that sleeps past its lease, and a second writer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.chaos import chaos, rows_of
from store.layout import LEASE
from store.markers import latest_generations
from store.objects import open_store
from store.verify import verify
from tests.pipeline.run_chain import write_film

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"


def start(videos: Path, output: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.pipeline.run_chain", str(videos), str(output), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for(what: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.2)


def end_family(process: subprocess.Popen[str]) -> None:
    """Kill a job that a failed test left behind, with what it started."""
    if process.poll() is None:
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in psutil.wait_procs(family, timeout=10)[1]:
            child.kill()
    process.communicate()


@pytest.fixture(scope="module")
def four_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name in "abcd":
        write_film(folder / f"{name}.mp4", [14, 16, 18, 14])
    return folder


def test_nothing_is_lost_doubled_or_annotated_twice_under_kills(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    for number in range(3):
        for name in ("portrait.mp4", "launch_pad.mp4"):
            shutil.copy(SAMPLES / name, videos / f"{number}-{name}")
    report = chaos(videos, kills=4, seed=3, folder=tmp_path, mean_seconds=4.0)
    assert sum(report.kills.values()) == 4
    assert report.clean, report
    assert report.clips == 9


def test_a_driver_that_wakes_up_after_it_was_taken_over_changes_nothing(four_films: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    attempts = output / "attempts"
    # A busy machine may lose a shorter lease by itself.
    first = start(four_films, output, "--pause", "0.5", "--term", "16")
    second = None
    try:
        wait_for(lambda: any(attempts.rglob("*.json")) or first.poll() is not None)
        assert first.poll() is None, first.communicate()
        os.kill(first.pid, signal.SIGSTOP)
        second = start(four_films, output, "--pause", "0.5")
        _, complaint = second.communicate(timeout=240)
        assert second.returncode == 0, complaint
        before = rows_of(str(output))
        os.kill(first.pid, signal.SIGCONT)
        _, complaint = first.communicate(timeout=120)
        assert first.returncode == 3
        assert "LeaseLost" in complaint or "CommitLost" in complaint
    finally:
        for process in filter(None, (first, second)):
            end_family(process)
    assert rows_of(str(output)) == before
    assert sum(key.startswith("clip:") for key in before) == 16
    assert "doubled" not in before
    assert set(latest_generations(open_store(output)).values()) == {1}
    assert list(verify(open_store(output))) == []


def test_a_second_writer_is_refused_and_told_who_writes(four_films: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    first = start(four_films, output, "--pause", "1.0")
    try:
        wait_for((output / LEASE).exists)
        second = start(four_films, output)
        _, complaint = second.communicate(timeout=240)
        assert second.returncode == 3
        assert "RunLocked" in complaint
        assert str(first.pid) in complaint
    finally:
        end_family(first)
