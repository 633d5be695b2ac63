"""The decoding process under kills, stops and limits, for real."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from operators.video.decoding import DecodingProcess
from operators.video.events import Clip, Ended, Event, Opened
from operators.video.limits import Limits
from operators.video.one_pass import PassOptions, watch
from operators.video.shots import SplitShots

OPTIONS = PassOptions()


@pytest.fixture(scope="session")
def film(lasting_films: Any) -> Path:
    """Twenty shots of large noisy keyframes, so that the pipe cannot hold what is to come."""
    rng = np.random.default_rng(2)
    stills = [rng.integers(0, 90, (720, 1280, 3)).astype(np.uint8) + 160 * (n % 2) for n in range(20)]
    pictures = [still.astype(np.uint8) for still in stills for _ in range(16)]
    return lasting_films.make(pictures, "noise.mp4", codec="mpeg4", options={"qscale": "2", "g": "16"}, fps=16)


def take(events: Any, count: int) -> list[Event]:
    """The first `count` clips, and what came before them."""
    taken: list[Event] = []
    for event in events:
        taken.append(event)
        if sum(isinstance(e, Clip) for e in taken) == count:
            return taken
    raise AssertionError(f"only {taken}")


def rest(events: Any) -> tuple[list[Clip], Ended]:
    *others, ended = list(events)
    assert isinstance(ended, Ended)
    return [event for event in others if isinstance(event, Clip)], ended


def test_the_child_tells_what_the_pass_tells_and_serves_again(film: Path) -> None:
    process = DecodingProcess(Limits())
    try:
        here = [event for event in watch(film, OPTIONS) if isinstance(event, Clip | Opened | Ended)]
        for _ in range(2):
            there = [event for event in process.watch(film, OPTIONS) if isinstance(event, Clip | Opened | Ended)]
            assert there == here
        assert process.pid is not None and process.peak_memory > 10 << 20
    finally:
        process.close()
    assert process.pid is None


def test_a_killed_child_costs_the_rest_of_that_video_only(film: Path) -> None:
    operator = SplitShots()
    rows = operator([{"video_id": name, "uri": str(film)} for name in "ab"])
    first = [next(rows), next(rows)]
    assert operator._process is not None and operator._process.pid is not None
    os.kill(operator._process.pid, signal.SIGKILL)
    remaining = list(rows)
    operator.close()
    record = next(row for row in remaining if row["record"] == "video")
    told = first + remaining[: remaining.index(record)]
    assert (record["status"], record["error"]["kind"]) == ("partial", "worker_died")
    assert "SIGKILL" in record["error"]["message"]
    assert record["n_clips"] == len(told) and [row["clip_index"] for row in told] == list(range(len(told)))
    assert remaining[-1]["status"] == "done" and remaining[-1]["n_clips"] == 20


def test_killed_between_videos(film: Path) -> None:
    process = DecodingProcess(Limits())
    try:
        rest(process.watch(film, OPTIONS))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.2)
        clips, ended = rest(process.watch(film, OPTIONS))
        assert len(clips) == 20 and ended.kind is None
    finally:
        process.close()


def test_a_child_that_hangs_times_out(film: Path) -> None:
    process = DecodingProcess(Limits())
    try:
        events = process.watch(film, OPTIONS)
        take(events, 1)
        process._limits = Limits(stall_seconds=4.0)  # not sooner: a busy machine may take as long to start the child
        assert process.pid is not None
        stopped = process.pid
        os.kill(stopped, signal.SIGSTOP)
        _, ended = rest(events)
        assert ended.kind == "timeout" and "4 s" in (ended.message or "")
        assert not psutil.pid_exists(stopped)
    finally:
        process.close()


def test_time_that_the_reader_takes_is_no_stall(film: Path) -> None:
    process = DecodingProcess(Limits())
    try:
        events = process.watch(film, OPTIONS)
        take(events, 1)
        process._limits = Limits(stall_seconds=4.0)
        time.sleep(5.0)
        clips, ended = rest(events)
        assert ended.kind is None and len(clips) == 19
    finally:
        process.close()


def test_cpu_time_is_limited(film: Path) -> None:
    process = DecodingProcess(Limits(cpu_seconds=0.2))
    try:
        _, ended = rest(process.watch(film, OPTIONS))
        assert ended.kind == "timeout" and "CPU" in (ended.message or "")
    finally:
        process.close()


def test_the_system_ends_a_child_whose_parent_is_not_looking(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = DecodingProcess(Limits())
    try:
        events = process.watch(film, OPTIONS)
        take(events, 1)
        child = psutil.Process(process.pid)
        monkeypatch.setattr(DecodingProcess, "_check", lambda *_: None)
        assert child.rlimit(psutil.RLIMIT_CPU)[0] >= 14400
        child.rlimit(psutil.RLIMIT_CPU, (0, child.rlimit(psutil.RLIMIT_CPU)[1]))
        _, ended = rest(events)
        assert ended.kind == "timeout" and "shots.cpu_seconds" in (ended.message or "")
    finally:
        process.close()


def test_time_by_the_clock_is_limited_by_what_comes_out(film: Path) -> None:
    process = DecodingProcess(Limits(wall_seconds=0.05, seconds_per_frame=0.0))
    try:
        clips, ended = rest(process.watch(film, OPTIONS))
        assert ended.kind == "timeout" and ended.clips == len(clips) < 20
        assert "shots.wall_seconds" in (ended.message or "") and "seconds_per_frame" in (ended.message or "")
    finally:
        process.close()
    process = DecodingProcess(Limits(wall_seconds=60, seconds_per_frame=10.0))
    try:
        clips, ended = rest(process.watch(film, OPTIONS))
        assert ended.kind is None and len(clips) == 20
    finally:
        process.close()


def test_output_is_limited(film: Path) -> None:
    process = DecodingProcess(Limits(output_mb=2))
    try:
        clips, ended = rest(process.watch(film, OPTIONS))
        told = sum(len(jpeg) for clip in clips for jpeg in clip.keyframes)
        assert (ended.kind, ended.clips) == ("refused", len(clips)) and told < 2 << 20
        assert "shots.output_mb" in (ended.message or "") and clips
    finally:
        process.close()


@pytest.mark.parametrize(("limit", "setting"), [({"max_pixels": 1280 * 719}, "max_pixels"), ({"max_streams": 1}, "")])
def test_pixels_and_streams_are_limited(film: Path, limit: dict[str, Any], setting: str) -> None:
    process = DecodingProcess(Limits(**limit))
    try:
        _, ended = rest(process.watch(film, OPTIONS))
        assert ended.kind == ("refused" if setting else None)
        assert f"shots.{setting}" in (ended.message or "shots.")
    finally:
        process.close()


def test_memory_is_limited(films: Any) -> None:
    big = films.make([films.scene(1, 3840, 2160)] * 20, options={"preset": "ultrafast"})
    small = films.make(films.scenes([20], 160, 96), "small.mp4")
    process = DecodingProcess(Limits(memory_mb=200))
    try:
        _, ended = rest(process.watch(big, OPTIONS))
        assert ended.kind == "out_of_memory", ended
        clips, ended = rest(process.watch(small, OPTIONS))
        assert len(clips) == 1 and ended.kind is None
    finally:
        process.close()


def test_the_child_waits_for_a_reader_who_is_busy(film: Path) -> None:
    process = DecodingProcess(Limits())
    try:
        events = process.watch(film, OPTIONS)
        take(events, 1)
        child = psutil.Process(process.pid)
        deadline = time.monotonic() + 30
        spent = -1.0
        while (now := sum(child.cpu_times()[:2])) != spent and time.monotonic() < deadline:
            spent = now
            time.sleep(0.5)
        assert now == spent
        clips, ended = rest(events)
        assert len(clips) == 19 and ended.kind is None
        assert sum(child.cpu_times()[:2]) > spent
    finally:
        process.close()


def test_the_child_holds_no_credentials(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    process = DecodingProcess(Limits())
    try:
        take(process.watch(film, OPTIONS), 1)
        events = process.watch(film, OPTIONS)
        take(events, 1)
        assert "AWS_SECRET_ACCESS_KEY" not in psutil.Process(process.pid).environ()
    finally:
        process.close()


def test_the_child_ends_with_its_parent(film: Path, tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path\n"
        "from operators.video.decoding import DecodingProcess, Limits\n"
        "from operators.video.one_pass import PassOptions\n"
        "process = DecodingProcess(Limits())\n"
        "events = process.watch(Path(sys.argv[1]), PassOptions())\n"
        "next(events); print(process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", program, str(film)],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    child = int(done.stdout)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_reader_who_leaves_ends_the_child(film: Path) -> None:
    process = DecodingProcess(Limits())
    events = process.watch(film, OPTIONS)
    take(events, 1)
    pid = process.pid
    assert pid is not None
    events.close()  # type: ignore[attr-defined]
    assert not psutil.pid_exists(pid) and process.pid is None


def test_it_travels_to_other_processes_as_its_limits() -> None:
    process = pickle.loads(pickle.dumps(DecodingProcess(Limits(memory_mb=700))))
    assert process._limits == Limits(memory_mb=700) and process.pid is None
