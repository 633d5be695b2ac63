"""What a driver leaves of itself for those who ask what a run cost: its stages, its machines, its time."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from operators.contract import Operator
from operators.errors import StorageError
from pipeline.chain import Stage
from store.lease import Lease
from store.objects import ObjectStore
from store.run_record import package_version
from store.sessions import NodeRecord, Session, StageRecord, write_session

GPU_PREFIX = "accelerator_type:"
"""Ray's name for the resource that tells a node's model of GPU."""

OWN_LABELS = ("ray.io/node-id",)
"""Labels that differ from node to node and say nothing."""

logger = logging.getLogger(__name__)


@contextmanager
def recorded(store: ObjectStore, lease: Lease, job: str, stages: Sequence[Stage], started: float) -> Iterator[None]:
    """Record the session in `store` while the block runs, and how it ended. Ray must be initialised.

    `started` is in seconds since 1970. That a record could not be written ends no run.
    """
    session = Session(
        nonce=lease.nonce,
        epoch=lease.epoch,
        job=job,
        package_version=package_version(),
        started=started,
        stages=_stages(stages),
        nodes=_nodes(),
    )
    _write(store, session)
    ended: dict[str, Any] = {"outcome": "stopped"}
    try:
        yield
        ended = {"outcome": "done", "nodes": most(session.nodes, _nodes())}
    finally:
        # Where the block raised, Ray may be gone, and asking it for its nodes could take minutes.
        _write(store, session.model_copy(update={"ended": time(), **ended}))


def _write(store: ObjectStore, session: Session) -> None:
    try:
        write_session(store, session)
    except StorageError as problem:
        logger.warning("the record of this session could not be written: %s", problem)


def _stages(stages: Sequence[Stage]) -> tuple[StageRecord, ...]:
    return tuple(
        StageRecord(
            operators=tuple(operator.name for operator in stage.operators),
            cpus=stage.cpus,
            gpus=stage.gpus,
            memory_mb=stage.memory_mb,
            concurrency=stage.concurrency,
            endpoints={operator.name: url for operator in stage.operators if (url := _endpoint(operator))},
        )
        for stage in stages
    )


def _endpoint(operator: Operator) -> str:
    """The server that an operator asks instead of a model of its own, without login and query; "" for none."""
    parts = urlsplit(getattr(operator.settings, "endpoint", None) or "")
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


def _nodes() -> tuple[NodeRecord, ...]:
    """The nodes that are there, alike ones together."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    alive = [node for node in ray.nodes() if node["Alive"]]
    found = [node_record(node, cpu_model() if node["NodeID"] == here else "") for node in alive]
    counted = Counter(node.model_dump_json() for node in found)
    return tuple(
        NodeRecord.model_validate_json(told).model_copy(update={"count": count}) for told, count in counted.items()
    )


def most(before: Sequence[NodeRecord], after: Sequence[NodeRecord]) -> tuple[NodeRecord, ...]:
    """Of each kind of node the larger number: clusters grow and shrink."""
    counts: dict[str, NodeRecord] = {}
    for node in (*before, *after):
        kind = node.model_copy(update={"count": 1}).model_dump_json()
        if kind not in counts or counts[kind].count < node.count:
            counts[kind] = node
    return tuple(counts.values())


def node_record(node: Mapping[str, Any], cpu_model: str) -> NodeRecord:
    """One living entry of `ray.nodes()`."""
    have = node.get("Resources") or {}
    models = [name.removeprefix(GPU_PREFIX) for name in have if name.startswith(GPU_PREFIX)]
    labels = {name: value for name, value in (node.get("Labels") or {}).items() if name not in OWN_LABELS}
    return NodeRecord(
        count=1,
        cpus=have.get("CPU", 0.0),
        gpus=have.get("GPU", 0.0),
        memory_mb=int(have.get("memory", 0) / (1 << 20)),
        cpu_model=cpu_model,
        gpu_model=", ".join(sorted(models)),
        labels=labels,
    )


def cpu_model(facts: Path = Path("/proc/cpuinfo")) -> str:
    """The name of this machine's CPU under Linux, "" elsewhere."""
    try:
        lines = facts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
