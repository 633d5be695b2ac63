"""The nodes of a Ray cluster: those that it has, and those that its autoscaler may add."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from operators.errors import ConfigurationError

ROLE_LABEL = "rushes/role"
"""Ray label that says what a node is for: `DECODE` or `MODELS`. The cluster files in `deploy/` set it."""

DECODE, MODELS = "decode", "models"

KIND_LABEL = "ray.io/node-group"
"""Label in which Ray keeps the node type that an autoscaler started a node as."""

HEAD_RESOURCE = "node:__internal_head__"
"""Logical resource that only the head has."""

ASK_SECONDS = 60
"""Time for the head to say what its autoscaler is configured for."""

MOST_NODES = 20_000
"""Nodes of a largest cluster that are looked at; Ray's own limit lies far below."""

MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Node:
    """A machine of the cluster, or one that may be added; `id` is "" then.

    `cpus` and `gpus` are logical, `memory_mb` is in MiB (infinite where nobody says), `kind` the
    autoscaler's node type, `role` the value of `ROLE_LABEL` or "".
    """

    cpus: float
    gpus: float = 0.0
    memory_mb: float = math.inf
    role: str = ""
    kind: str = ""
    head: bool = False
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What an autoscaler may start: a node of each type with how many of it at most, and how many in all."""

    kinds: tuple[tuple[Node, int], ...]
    workers: int

    def largest(self, present: Sequence[Node]) -> tuple[Node, ...]:
        """`present`, and every node that may still be added.

        Where fewer are allowed in all than of all types together, the types take turns.
        """
        have = Counter(self._kind_of(node) for node in present if not node.head)
        room = max(0, min(MOST_NODES, self.workers) - sum(not node.head for node in present))
        rows = [itertools.repeat(node, max(0, most - have[node.kind])) for node, most in self.kinds]
        turns = (node for turn in itertools.zip_longest(*rows) for node in turn if node is not None)
        return (*present, *itertools.islice(turns, room))

    def _kind_of(self, node: Node) -> str:
        """The type of a node that is there; where it carries none, the one that looks like it."""
        alike = (kind.kind for kind, _ in self.kinds if (kind.cpus, kind.gpus, kind.role) == _looks(node))
        return node.kind or next(alike, "")


def _looks(node: Node) -> tuple[float, float, str]:
    return node.cpus, node.gpus, node.role


def present_nodes() -> tuple[Node, ...]:
    """The living nodes of the cluster that this process is connected to, the head first."""
    import ray

    nodes = (_node(found) for found in ray.nodes() if found["Alive"])
    return tuple(sorted(nodes, key=lambda node: (not node.head, node.role, node.kind, node.gpus, node.id)))


def _node(found: Mapping[str, Any]) -> Node:
    resources, labels = found["Resources"], found.get("Labels") or {}
    return Node(
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
        memory_mb=resources.get("memory", 0.0) / MIB,
        role=labels.get(ROLE_LABEL, ""),
        kind=labels.get(KIND_LABEL, ""),
        head=HEAD_RESOURCE in resources,
        id=found["NodeID"],
    )


def autoscaler_limits(nodes: Sequence[Node]) -> Limits | None:
    """What the cluster's autoscaler may start; None where that cannot be learned.

    Ray 2.60 tells nobody: only the head's monitor process knows the file that it was configured with. It
    is asked for on the head. On Kubernetes the autoscaler runs in a container of its own, which is out of
    reach. A cluster whose monitor has no such file does not grow.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.client import ray as client
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    head = next((node.id for node in nodes if node.head), None)
    if head is None:
        return None
    if not client.is_connected() and ray.get_runtime_context().get_node_id() == head:
        text = _on_the_head()
    else:
        there = NodeAffinitySchedulingStrategy(head, soft=False)
        asked = ray.remote(num_cpus=0)(_on_the_head).options(scheduling_strategy=there).remote()
        try:
            text = ray.get(asked, timeout=ASK_SECONDS)
        except RayError:
            return None
    return None if text is None else limits_of(text)


def _on_the_head() -> str | None:
    import ray

    return monitor_configuration(ray.get_runtime_context().gcs_address.rpartition(":")[2])


def monitor_configuration(gcs_port: str) -> str | None:
    """The text that configures the autoscaler of the Ray head on this machine whose GCS listens on `gcs_port`.

    "" where its monitor runs without an autoscaler, None where no monitor can be seen.
    """
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if not any(Path(word).name == "monitor.py" for word in words):
            continue
        options = dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)
        if options.get("gcs-address", "").rpartition(":")[2] != gcs_port:
            continue
        try:
            path = options.get("autoscaling-config")
            return Path(process.cwd(), Path(path).expanduser()).read_text(encoding="utf-8") if path else ""
        except (OSError, psutil.Error):
            return None
    return None


def limits_of(text: str) -> Limits:
    """The limits in a cluster file of Ray's autoscaler (`ray up`'s YAML); of "", those of no autoscaler.

    Raises `ConfigurationError` where the text is no such file.
    """
    if not text:
        return Limits(kinds=(), workers=0)
    try:
        config = yaml.safe_load(text)
        workers = config.get("max_workers")
        workers = MOST_NODES if workers is None else int(workers)
        return Limits(kinds=tuple(_kinds(config, workers)), workers=workers)
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as problem:
        raise ConfigurationError(
            f"the configuration of the cluster's autoscaler cannot be read ({type(problem).__name__}: {problem}); "
            "say how far it grows with --set run.max_cpus=N --set run.max_gpus=N"
        ) from None


def _kinds(config: Mapping[str, Any], workers: int) -> Iterator[tuple[Node, int]]:
    for kind, entry in config["available_node_types"].items():
        if kind == config.get("head_node_type"):
            continue
        resources = entry.get("resources") or {}
        node = Node(
            cpus=float(resources.get("CPU", 0)),
            gpus=float(resources.get("GPU", 0)),
            memory_mb=resources["memory"] / MIB if "memory" in resources else math.inf,
            role=(entry.get("labels") or {}).get(ROLE_LABEL, ""),
            kind=kind,
        )
        most = entry.get("max_workers")
        yield node, min(workers, workers if most is None else int(most))


def said_by_hand(present: Sequence[Node], max_cpus: int | None, max_gpus: int | None) -> tuple[Node, ...]:
    """`present`, and one node each for the CPUs and the GPUs that a person says may still come.

    A GPU is taken to come with as many CPUs and as much memory as its stages want.
    """
    workers = [node for node in present if not node.head]
    more_cpus = (max_cpus or 0) - sum(node.cpus for node in workers if not node.gpus)
    more_gpus = (max_gpus or 0) - sum(node.gpus for node in workers)
    coming = [Node(cpus=more_cpus)] if more_cpus > 0 else []
    if more_gpus > 0:
        coming.append(Node(cpus=math.inf, gpus=more_gpus))
    return (*present, *coming)
