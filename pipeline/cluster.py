"""Ray for the length of a run: connect to a cluster, or start one of our own on this machine."""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.packing import local_gpu_memory

QUIET = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment of our own Ray: our progress instead of Ray's, no usage reports."""

OWN = {"RAY_AUTH_MODE": "disabled", "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Environment of an instance of our own. Ray's core prints an error line for every actor pool of Ray
Data (ray-project/ray#53727), whatever the pool does; set the level to "info" to look into a crash."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Libraries in an actor use one thread: an actor is scheduled as one CPU."""


PROBE_SECONDS = 60
"""Time for the nodes to say how large their GPUs are."""


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the cluster has now, as Ray's logical resources; memory in MiB."""

    cpus: float
    gpus: float
    memory_mb: float


@contextmanager
def cluster(address: str | None, cpus: int | None) -> Iterator[Capacity]:
    """Ray, initialised; shut down afterwards, which ends our own instance and leaves a cluster running.

    Where this process has called `ray.init` already, that is used and left as it is.

    `address` is that of a running cluster ("auto", "ray://…"); None takes `RAY_ADDRESS`, else starts an
    instance on the loopback interface with `cpus` logical CPUs (None: this machine's). Our own instance
    listens on this machine alone and has no dashboard, so it needs no token; a cluster's authentication
    is its operator's (`RAY_AUTH_MODE`).
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        for name, value in OWN.items():
            os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield _capacity()
        return
    own = {"num_cpus": cpus, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    with _stderr_on_failure(), _own_sigterm():
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": ONE_THREAD},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({} if address else own),
        )
    try:
        yield _capacity()
    finally:
        ray.shutdown()


def _capacity() -> Capacity:
    import ray

    have = ray.cluster_resources()
    return Capacity(
        cpus=have.get("CPU", 0.0), gpus=have.get("GPU", 0.0), memory_mb=have.get("memory", 0.0) / (1 << 20)
    )


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Leave the handler of SIGTERM as it was: Ray's own ends the process without a word."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _stderr_on_failure() -> Iterator[None]:
    """Hold back what is written to file descriptor 2, and show it only where the block raises.

    Ray's core announces there that it obeys `RAY_BACKEND_LOG_LEVEL`.
    """
    sys.stderr.flush()
    real = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def gpu_memory() -> float | None:
    """Memory in MiB of the cluster's smallest GPU, asked of every node that has one; None where none answers."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    ask = ray.remote(num_cpus=0)(local_gpu_memory)
    told = [
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote() for node in nodes
    ]
    try:
        found = [memory for memory in ray.get(told, timeout=PROBE_SECONDS) if memory is not None]
    except RayError:
        return None
    return min(found, default=None)
