"""A Ray cluster on this machine whose autoscaler starts and stops real nodes with logical resources.

Ray's own autoscaler (v2) with its fake multi-node provider: each node is a raylet of its own with the CPUs
and GPUs that its type claims. Only what was started here is ended.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

HEAD_ID = "f" * 51 + "00000"
"""Id that the provider expects of the head."""

START_SECONDS = 240
"""Time for the head to come up; a busy machine needs more than a minute."""

STORE_BYTES = 100 << 20
"""Object store of each node."""


@contextmanager
def autoscaling_cluster(kinds: Mapping[str, Mapping[str, Any]], idle_seconds: float) -> Iterator[str]:
    """The address of a cluster of a head without CPUs that grows by nodes of `kinds`.

    `kinds` are `available_node_types` of a Ray cluster file. A node without work for `idle_seconds` is ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="ra-", dir="/tmp"))  # paths of sockets have at most 107 bytes
    ports = _free_ports(4)
    try:
        address = f"{_own_address()}:{ports[0]}"
        configuration = folder / "cluster.json"
        configuration.write_text(json.dumps(_configuration(kinds, idle_seconds, address)))
        with (folder / "head.log").open("wb") as log:
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
                    *("--num-cpus=0", "--num-gpus=0", f"--object-store-memory={STORE_BYTES}"),
                    *(f"--port={ports[0]}", f"--ray-client-server-port={ports[1]}"),
                    *(f"--dashboard-port={ports[2]}", f"--dashboard-agent-listen-port={ports[3]}"),
                    *("--include-dashboard=false", "--disable-usage-stats", f"--temp-dir={folder}"),
                    f"--autoscaling-config={configuration}",
                ],
                env=_environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _await(ports[0], folder)
        yield address
    finally:
        _end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "RAY_AUTH_MODE": "disabled",
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
    }


def _configuration(kinds: Mapping[str, Mapping[str, Any]], idle_seconds: float, address: str) -> dict[str, Any]:
    workers = {name: {"min_workers": 0, "node_config": {}, **kind} for name, kind in kinds.items()}
    return {
        "cluster_name": "fake",
        "max_workers": sum(kind["max_workers"] for kind in workers.values()),
        "idle_timeout_minutes": idle_seconds / 60,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": address,
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
            "disable_node_updaters": True,
        },
        "auth": {},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            **workers,
        },
        "upscaling_speed": 1.0,
        **{name: [] for name in ("setup_commands", "head_setup_commands", "worker_setup_commands")},
        **{name: [] for name in ("initialization_commands", "head_start_ray_commands", "worker_start_ray_commands")},
        **{name: {} for name in ("file_mounts", "docker")},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }


def _own_address() -> str:
    from ray.util import get_node_ip_address

    return get_node_ip_address()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _await(port: int, folder: Path) -> None:
    """Until the head has printed that it runs."""
    begun = time.monotonic()
    while time.monotonic() - begun < START_SECONDS:
        if "Ray runtime started" in (folder / "head.log").read_text(errors="replace"):
            return
        time.sleep(0.5)
    raise TimeoutError(f"Ray's head did not start on port {port}:\n{(folder / 'head.log').read_text()[-2000:]}")


def _end(folder: Path) -> None:
    """End every process of this cluster: all name its folder in their command line."""
    for _ in range(3):
        ours = [process for process in psutil.process_iter() if process.pid != os.getpid() and _names(process, folder)]
        for process in ours:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(ours, timeout=20)
        if not ours:
            return


def _names(process: psutil.Process, folder: Path) -> bool:
    try:
        return str(folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
