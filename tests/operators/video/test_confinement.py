"""What the decoding process can no longer do, tried in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import json, os, resource, signal, socket, subprocess, sys, threading
import cv2, av
from operators.video.confinement import confine

fences = confine()

def tried(action):
    try:
        action()
    except OSError as problem:
        return type(problem).__name__
    return "done"

film, folder = sys.argv[1:]
def read():
    with av.open("file:" + film) as container:
        assert next(container.decode(video=0)).width
found = {
    "read a film": tried(read),
    "start a thread": tried(lambda: threading.Thread(target=int).start()),
    "tcp": tried(lambda: socket.socket()),
    "udp": tried(lambda: socket.socket(type=socket.SOCK_DGRAM)),
    "unix": tried(lambda: socket.socket(socket.AF_UNIX)),
    "program": tried(lambda: subprocess.run(["/bin/sh", "-c", "true"])),
    "write": tried(lambda: open(folder + "/new", "w")),
    "append": tried(lambda: open(film, "ab")),
    "remove": tried(lambda: os.unlink(film)),
    "make a folder": tried(lambda: os.mkdir(folder + "/sub")),
    "link": tried(lambda: os.symlink(film, folder + "/link")),
    "read the parent's environment": tried(lambda: open(f"/proc/{os.getppid()}/environ").read()),
    "read the parent's memory": tried(lambda: open(f"/proc/{os.getppid()}/mem", "rb")),
    "signal the parent": tried(lambda: os.kill(os.getppid(), signal.SIGCONT)),
}
names = ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NOFILE")
limits = {name: resource.getrlimit(getattr(resource, name)) for name in names}
print(json.dumps([fences, found, limits]))
"""


@pytest.fixture(scope="module")
def tried(lasting_films, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict, dict]:
    film = lasting_films.make(lasting_films.scenes([5], 64, 64), "confined.mp4")
    folder = tmp_path_factory.mktemp("confined")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(film), str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert film.exists() and list(folder.iterdir()) == []
    return tuple(json.loads(done.stdout))


def test_limits_stand_on_every_system(tried) -> None:
    fences, _, limits = tried
    assert "rlimits" in fences
    assert limits["RLIMIT_CORE"] == [0, 0]
    assert limits["RLIMIT_FSIZE"] == [1 << 20, 1 << 20] and limits["RLIMIT_NOFILE"] == [64, 64]


def test_films_are_read_and_threads_started(tried) -> None:
    assert tried[1]["read a film"] == tried[1]["start a thread"] == "done"


def test_no_socket_and_no_program(tried) -> None:
    fences, found, _ = tried
    if "seccomp" not in fences:
        pytest.skip("this kernel has no seccomp filters")
    assert {name: found[name] for name in ("tcp", "udp", "unix", "program")} == dict.fromkeys(
        ("tcp", "udp", "unix", "program"), "PermissionError"
    )


def test_no_file_is_written_and_no_other_process_looked_into(tried) -> None:
    fences, found, _ = tried
    if "landlock" not in fences:
        pytest.skip("this kernel has no Landlock")
    names = ("write", "append", "remove", "make a folder", "link", "read the parent's environment")
    assert {name: found[name] for name in names} == dict.fromkeys(names, "PermissionError")
    assert found["read the parent's memory"] == "PermissionError"
