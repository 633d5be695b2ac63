"""A Ray cluster on one machine: a head without CPUs and worker nodes, each a raylet with processes of its own.

    with OneMachine(folder, network, [Shape(2, 1), Shape(2, 0)], environment) as cluster:
        execute(Run(address=cluster.address, …))
        cluster.kill(cluster.nodes[0])
        cluster.add(Shape(2, 1))

Nodes are `ray start --block` processes in sessions of their own; only those are ended.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.chaos_processes import family, kill_tree, names
from benchmarks.soak_network import Host, Network

START_SECONDS = 180.0
"""Time for a node to come up; some seconds on an idle machine."""

STARTS = 3
OBJECT_STORE_BYTES = 120 << 20

ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
}
"""Of every process of the cluster. A silent node is dead to Ray after about 10 s here instead of its usual 30."""


@dataclass(frozen=True)
class Shape:
    """Logical resources of a node."""

    cpus: int
    gpus: int = 0


@dataclass(eq=False)
class Node:
    """One raylet and all that it started."""

    number: int
    shape: Shape
    host: Host
    process: subprocess.Popen[bytes]
    ray_id: str = field(default="")

    def processes(self) -> list[psutil.Process]:
        """Everything below the command that started the node."""
        return family(self.process.pid)

    def __str__(self) -> str:
        return f"node {self.number} ({self.shape.cpus} CPU, {self.shape.gpus} GPU)"


class OneMachine:
    """The cluster, while the `with` block lasts. `nodes` are the workers that this program has not killed."""

    def __init__(
        self, folder: Path, network: Network, shapes: Sequence[Shape], environment: Mapping[str, str] | None = None
    ) -> None:
        self._folder, self._network, self._shapes = folder, network, shapes
        self._environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), **ENVIRONMENT, **(environment or {})}
        self._count = 0
        self._head: subprocess.Popen[bytes] | None = None
        self.nodes: list[Node] = []
        self.address = f"{network.home}:{_free_port(network.home)}"

    def __enter__(self) -> OneMachine:
        try:
            port = self.address.rpartition(":")[2]
            home = Host(self._network.home)
            words = ["--head", f"--port={port}", "--include-dashboard=false", "--num-cpus=0", "--num-gpus=0"]
            self._head = self._start(home, words, "head")
            self._await_id(self._head, "head")
            for node in [self.begin(shape) for shape in self._shapes]:
                self.await_up(node)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Kill what is left."""
        for node in list(self.nodes):
            self.kill(node)
        if self._head is not None:
            kill_tree(self._head.pid)
            self._head.wait()

    def add(self, shape: Shape) -> Node:
        """A node that joins; returns once its raylet runs."""
        return self.await_up(self.begin(shape))

    def begin(self, shape: Shape) -> Node:
        """Start a node without waiting for it."""
        host = self._network.new_host()
        self._count += 1
        words = [f"--address={self.address}", f"--num-cpus={shape.cpus}", f"--num-gpus={shape.gpus}"]
        node = Node(self._count, shape, host, self._start(host, words, f"node-{self._count}"))
        self.nodes.append(node)
        return node

    def await_up(self, node: Node) -> Node:
        """Wait for a node that `begin` started; the node that is up in the end.

        Ray gives a raylet 30 s to start, which a busy machine may need: it is tried `STARTS` times.
        """
        for _ in range(STARTS - 1):
            try:
                node.ray_id = self._await_id(node.process, f"node-{node.number}")
                return node
            except RuntimeError:
                self.kill(node)
                node = self.begin(node.shape)
        node.ray_id = self._await_id(node.process, f"node-{node.number}")
        return node

    def kill(self, node: Node) -> None:
        """SIGKILL to the raylet and all its processes, as when a machine loses its power."""
        self.nodes.remove(node)
        kill_tree(node.process.pid)
        node.process.wait()
        self._network.remove(node.host)

    def drain(self, node: Node, seconds: int) -> None:
        """Tell Ray that the node will be gone in `seconds`, as a spot notice does. Does not kill it."""
        command = [_ray(), "drain-node", "--address", self.address, "--node-id", node.ray_id]
        command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "spot notice"]
        command += ["--deadline-remaining-seconds", str(seconds)]
        subprocess.run(command, env=self._environment, check=True, capture_output=True, timeout=120)

    def worker(self, pid: int) -> psutil.Process | None:
        """The process `pid`, where it belongs to one of the nodes."""
        for node in self.nodes:
            for process in node.processes():
                if process.pid == pid:
                    return process
        return None

    def node_of(self, pid: int) -> Node | None:
        """The node that the process `pid` belongs to."""
        return next((node for node in self.nodes if any(p.pid == pid for p in node.processes())), None)

    def _start(self, host: Host, words: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        command = [*host.prefix, _ray(), "start", "--block", f"--node-ip-address={host.address}", *words]
        # A temporary folder each: nodes that start at once in one would choose the same socket.
        command += [f"--temp-dir={self._folder / name}"]
        command += ["--disable-usage-stats", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        command += ["--min-worker-port=0", "--max-worker-port=0"]
        command += [f"--dashboard-agent-listen-port={_free_port(self._network.home)}"]
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _await_id(self, process: subprocess.Popen[bytes], name: str) -> str:
        """The id of the raylet below `process`, once `ray start` says that it runs."""
        log = self._folder / f"{name}.log"
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if process.poll() is not None:
                break
            if b"Ray runtime started" in log.read_bytes():
                for below in family(process.pid):
                    if names(below, "raylet/raylet") and (found := re.search(r"--node_id=(\w+)", _line(below))):
                        return found[1]
            time.sleep(0.2)
        raise RuntimeError(f"{name} did not start: {log.read_text(errors='replace')[-2000:]}")


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _ray() -> str:
    return str(Path(sys.executable).with_name("ray"))


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]
