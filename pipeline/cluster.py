"""Ray for the length of a run: connect to a cluster, or start one of our own on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.nodes import Limits, Node, autoscaler_limits, present_nodes, said_by_hand
from pipeline.packing import local_gpu_memory
from pipeline.placement import Mode, Placement, place

QUIET = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment of our own Ray: our progress instead of Ray's, no usage reports."""

OWN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_BACKEND_LOG_LEVEL": "fatal"}
"""Environment of an instance of our own. Ray 2.60 listens on every interface, whatever address it is given, and
whoever reaches it can run any code: the token, another one for each process, is what keeps others out.
Ray's core prints an error line for every actor pool of Ray Data (ray-project/ray#53727), whatever the pool does;
set the level to "info" to look into a crash."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""Libraries in an actor use one thread: an actor is scheduled as one CPU."""


PROBE_SECONDS = 60
"""Time for the nodes to say how large their GPUs are."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person says of the cluster: where stages may run, and how far it grows where Ray cannot tell."""

    placement: Mode = "auto"
    max_cpus: int | None = None
    max_gpus: int | None = None


NO_WISHES = Wishes()


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What the cluster has now (`nodes`) and may grow to (`largest`, they among it).

    `bounded` is False where nobody could say how far it grows; `largest` is what it has, then.
    """

    nodes: tuple[Node, ...]
    largest: tuple[Node, ...]
    bounded: bool
    placement: Placement
    wishes: Wishes
    limits: Limits | None

    def renewed(self) -> Capacity:
        """The same with the nodes that the cluster has now."""
        return capacity_of(present_nodes(), self.wishes, self.limits)

    def lines(self) -> list[str]:
        """For people: the nodes, and the placement that follows from them."""
        grows = f"; it may grow to {_in_words(self.largest)}" if len(self.largest) > len(self.nodes) else ""
        unsure = "" if self.bounded else "; how far it grows cannot be learned (run.max_cpus and run.max_gpus tell)"
        return [f"cluster: {_in_words(self.nodes)}{grows}{unsure}", f"placement: {self.placement.mode}"]


def capacity_of(nodes: tuple[Node, ...], wishes: Wishes, limits: Limits | None) -> Capacity:
    """What `nodes` may grow to, by the word of a person, else by the autoscaler's."""
    if wishes.max_cpus is not None or wishes.max_gpus is not None:
        largest = said_by_hand(nodes, wishes.max_cpus, wishes.max_gpus)
        bounded = True
    else:
        largest = nodes if limits is None else limits.largest(nodes)
        bounded = limits is not None
    placement = place(wishes.placement, nodes, largest)
    return Capacity(nodes=nodes, largest=largest, bounded=bounded, placement=placement, wishes=wishes, limits=limits)


def _in_words(nodes: Sequence[Node]) -> str:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault("head" if node.head else node.role or node.kind or "other", []).append(node)
    return "; ".join(
        f"{len(group)} × {name} ({sum(node.cpus for node in group):g} CPUs, {sum(node.gpus for node in group):g} GPUs)"
        for name, group in groups.items()
    )


@contextmanager
def cluster(address: str | None, cpus: int | None, wishes: Wishes = NO_WISHES) -> Iterator[Capacity]:
    """Ray, initialised; shut down afterwards, which ends our own instance and leaves a cluster running.

    Where this process has called `ray.init` already, that is used and left as it is.

    `address` is that of a running cluster ("auto", "ray://…"); None takes `RAY_ADDRESS`, else starts an
    instance with `cpus` logical CPUs (None: this machine's), without a dashboard and behind a token that only this
    process and its children know. A cluster's authentication is its operator's (`RAY_AUTH_MODE`).
    """
    address = address or os.environ.get("RAY_ADDRESS") or None
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if address is None:
        take_own_environment()
    import ray

    if ray.is_initialized():
        yield _capacity(wishes)
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
        yield _capacity(wishes)
    finally:
        ray.shutdown()


def _capacity(wishes: Wishes) -> Capacity:
    nodes = present_nodes()
    return capacity_of(nodes, wishes, autoscaler_limits(nodes))


def take_own_environment() -> None:
    """Put `OWN` into the environment, and have Ray's core read it again: it does so only when it is imported."""
    for name, value in OWN.items():
        os.environ.setdefault(name, value)
    from ray._raylet import AuthenticationTokenLoader, Config  # pyright: ignore[reportAttributeAccessIssue]

    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


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
