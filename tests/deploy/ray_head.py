"""A Ray head of our own with its job server, for tests that submit jobs as a person does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

RAY = Path(sys.executable).with_name("ray")
TRIES = 3
"""Ray gives a raylet 30 s to start, which a busy machine may not keep."""

SECONDS = 120
STOP_SECONDS = "60"
"""Time that a stopped driver gets, as in the cluster files: Ray's default is 3 s."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """`address` is that of the job server; `environment` is for the commands that talk to it."""

    address: str
    environment: dict[str, str]

    def ray(self, *words: str, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run `ray WORDS`, stdout and stderr together."""
        return subprocess.run(
            [str(RAY), *words], cwd=cwd, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=timeout, check=False,
        )  # fmt: skip


@contextmanager
def ray_head(cpus: int) -> Iterator[Head]:
    """A head with a job server and `cpus` logical CPUs; every process of it is ended afterwards."""
    for attempt in range(TRIES):
        folder = Path(tempfile.mkdtemp(prefix="rh", dir="/tmp"))  # short: paths of sockets have 107 bytes at most
        process, head = _start(cpus, folder)
        try:
            if _answers(process, head):
                yield head
                return
        finally:
            _end(process)
            said = (folder / "head.log").read_text()
            shutil.rmtree(folder, ignore_errors=True)
        if attempt == TRIES - 1:
            raise RuntimeError(f"Ray's head did not start:\n{said}")


def _start(cpus: int, folder: Path) -> tuple[subprocess.Popen[bytes], Head]:
    names = (
        "port", "dashboard-port", "ray-client-server-port", "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port", "metrics-export-port", "runtime-env-agent-port",
    )  # fmt: skip
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    command = [str(RAY), "start", "--head", "--block", f"--num-cpus={cpus}", f"--temp-dir={folder}"]
    command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", "--disable-usage-stats"]
    command += [f"--{name}={port}" for name, port in ports.items()]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "PATH": f"{RAY.parent}{os.pathsep}{os.environ['PATH']}",  # a job's `python` is the nodes', as in the image
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": str(folder),
        "RAY_JOB_STOP_WAIT_TIME_S": STOP_SECONDS,
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    return process, Head(address=f"http://127.0.0.1:{ports['dashboard-port']}", environment=environment)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _answers(process: subprocess.Popen[bytes], head: Head) -> bool:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{head.address}/api/jobs/", timeout=10) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.2)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the head and all its descendants: nothing of it is wanted any more, and Ray would drain it first."""
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=30)
    process.wait()
