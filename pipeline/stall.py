"""Why a run stands still, in words: read from Ray Data's executor, the cluster and the actors' heartbeats.

Ray 2.60 has no public way to ask an execution for its queues and pools; what is read here is that of
`ray.data._internal.execution` (`streaming_executor_state.py`, `actor_pool_map_operator.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.data._internal.execution.operators.actor_pool_map_operator import ActorPoolMapOperator

from pipeline.chain import Stage
from pipeline.heartbeat import LOADING, Beat
from pipeline.nodes import MIB, present_nodes
from pipeline.placement import Placement

RESOURCES = {"CPU": "CPU", "GPU": "GPU", "memory": "MiB of memory"}
CRASHES = 3
"""Times that Ray has started a stage's actors again, after which they are held to die at their start."""

ASKED = 16
"""Actors of a stage whose restarts are looked up, each with a request to the head node."""


@dataclass(frozen=True, kw_only=True)
class StageFacts:
    """A stage as the executor sees it. Blocks count for `queued` (before it) and `held` (after it).

    `start_deaths` are exceptions in a row while actors load; `restarts`, looked up where no actor is alive, are
    processes of its actors that ended and were started again by Ray. `where` are the ids of the nodes that it may
    be on.
    """

    name: str
    wants: Mapping[str, float]
    where: frozenset[str]
    finished: bool
    alive: int
    pending: int
    restarting: int
    start_deaths: int
    restarts: int
    tasks: int
    queued: int
    held: int
    pressed: bool
    beats: tuple[Beat, ...] = ()

    @property
    def starting(self) -> bool:
        """Whether an actor has its place and its process is on the way up: no word of it can have come yet."""
        return bool(not self.finished and not self.alive and self.pending and not self.restarts and self.room)

    @property
    def room(self) -> bool:
        """Whether a node has free what an actor wants."""
        return any(
            all(n.get(r, 0) + 1e-9 >= amount for r, amount in self.wants.items() if amount) for n in _free(self.where)
        )

    @property
    def busy(self) -> bool:
        """Whether it has anything to do."""
        return bool(self.tasks or self.queued)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All stages in their order, and what only grows while there is progress, by name."""

    stages: tuple[StageFacts, ...]
    done: Mapping[str, float]


def look(executor: Any, stages: Sequence[Stage], beats: Mapping[str, Beat], placement: Placement) -> Facts:
    """The state of an execution."""
    nodes = present_nodes()
    done: dict[str, float] = {"nodes": len(nodes)}
    found = []
    pools = [item for item in (executor._topology or {}).items() if isinstance(item[0], ActorPoolMapOperator)]
    for number, (op, _) in enumerate((executor._topology or {}).items()):
        metrics = op.metrics
        done[f"tasks of {number}"] = metrics.num_tasks_finished
        done[f"blocks of {number}"] = metrics.num_task_outputs_generated
        done[f"taken of {number}"] = metrics.num_outputs_taken
    for stage, (op, state) in zip(stages, pools, strict=False):
        pool = op._actor_pool
        restarting = pool.num_restarting_actors()
        alive = pool.num_running_actors() - restarting
        done[f"actors of {stage.name}"] = alive
        mine = tuple(beat for beat in beats.values() if beat.stage == stage.name)
        found.append(
            StageFacts(
                name=stage.name,
                wants={"CPU": stage.cpus, "GPU": stage.gpus, "memory": stage.memory_mb * MIB},
                where=frozenset(node.id for node in nodes if placement.allows(node, stage.gpus > 0)),
                finished=op.has_completed(),
                alive=alive,
                pending=pool.num_pending_actors(),
                restarting=restarting,
                start_deaths=op._consecutive_actor_init_deaths,
                restarts=0 if alive else _restarts(list(pool._actor_to_logical_id)[:ASKED]),
                tasks=op.num_active_tasks(),
                queued=state.total_enqueued_input_blocks(),
                held=state.total_enqueued_output_blocks(),
                pressed=op._in_task_output_backpressure or op._in_task_submission_backpressure,
                beats=mine,
            )
        )
    return Facts(stages=tuple(found), done=done)


def explain(facts: Facts) -> list[str]:
    """The stage that is stuck and why, then what there is to say of the others.

    It is the last one that has something to do: those before it may only wait for it.
    """
    open_stages = [stage for stage in facts.stages if not stage.finished]
    if not open_stages:
        return ["no stage has anything left to do, and Ray Data does not end"]
    busy = [stage for stage in open_stages if stage.busy]
    stuck = busy[-1] if busy else next((stage for stage in open_stages if not stage.alive), open_stages[0])
    lines = [f"stage {stuck.name} {_why(stuck)}"]
    lines += [f"stage {stage.name} {_why(stage)}" for stage in open_stages if stage is not stuck and _stands(stage)]
    return lines + autoscaler_lines()


def _stands(stage: StageFacts) -> bool:
    return stage.busy or not stage.alive


def _why(stage: StageFacts) -> str:
    if not stage.alive:
        return _why_no_actor(stage)
    if stage.tasks:
        working = sorted((beat for beat in stage.beats if beat.at), key=lambda beat: (beat.silent > 0, -beat.since))
        count = f"{stage.tasks} tasks run" if stage.tasks > 1 else "one task runs"
        if stage.pressed and not working:
            return f"is held back: {stage.held} blocks wait for the stages after it ({_store()})"
        if not working:
            return f"is stuck: {count} and its actors do not say at what"
        told = "; ".join(map(_told, working[: min(3, stage.tasks)]))
        return f"is stuck: {count}, the longest: {told}"
    if stage.pressed:
        return f"is held back: {stage.held} blocks wait for the stages after it ({_store()})"
    return f"is given no work: {stage.queued} blocks wait, {stage.alive} actors are idle"


def _why_no_actor(stage: StageFacts) -> str:
    waits = f"waits for an actor ({stage.queued} blocks wait for it)"
    if stage.start_deaths or stage.restarts >= CRASHES:
        count = max(stage.start_deaths, stage.restarts)
        return (
            f"{waits}: its actors die at their start, {count} times so far; Ray's session log of its workers says why"
        )
    if stage.restarting or stage.restarts:
        return f"{waits}: its actors died and are being started again; {_resources(stage)}"
    loading = [beat for beat in stage.beats if beat.at == LOADING and not beat.silent]
    if loading:
        return f"{waits}: one is {_told(loading[0])}"
    return f"{waits}: {_resources(stage)}"


def _told(beat: Beat) -> str:
    silent = f"; silent for {beat.silent:,.0f} s" if beat.silent else ""
    return f"{beat.at} for {beat.since + beat.silent:,.0f} s ({beat.where}; {beat.actor}{silent})"


def _resources(stage: StageFacts) -> str:
    """What an actor needs beside what is free, and whether any node could ever give it."""
    total, free = _by_node(stage.where), _free(stage.where)
    needed = {name: amount for name, amount in stage.wants.items() if amount}
    sums = {name: (sum(n.get(name, 0) for n in free), sum(n.get(name, 0) for n in total)) for name in needed}
    words = ", ".join(
        f"{_amount(name, amount)} (free {_amount(name, sums[name][0], unit=False)} of "
        f"{_amount(name, sums[name][1], unit=False)})"
        for name, amount in needed.items()
    )
    text = f"an actor wants {words or 'nothing that could be missing'}"
    if not any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in total):
        return f"{text}; no node that it may be on has as much"
    if stage.room:
        return f"{text}; a node has room, but the actor does not come up: Ray's session log of its worker says why"
    return f"{text}; other work holds them"


def _restarts(actors: Sequence[Any]) -> int:
    """Times that Ray has started these actors again."""
    from ray._private.state import actors as ask

    return sum(int(ask(actor._actor_id.hex()).get("NumRestarts", 0)) for actor in actors)


def _by_node(where: Collection[str]) -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"] and node["NodeID"] in where]


def _free(where: Collection[str]) -> list[Mapping[str, float]]:
    from ray._private.state import available_resources_per_node

    return [free for node, free in available_resources_per_node().items() if node in where]


def _amount(name: str, value: float, unit: bool = True) -> str:
    number = f"{value / MIB:,.0f}" if name == "memory" else f"{value:g}"
    return f"{number} {RESOURCES[name]}" if unit else number


def _store() -> str:
    with suppress(Exception):
        total = ray.cluster_resources().get("object_store_memory", 0.0)
        free = ray.available_resources().get("object_store_memory", 0.0)
        return f"object store: {(total - free) / MIB:,.0f} of {total / MIB:,.0f} MiB in use"
    return "object store: not known"


def nodes_coming() -> int:
    """Nodes that the autoscaler has asked for and that are not there yet; 0 without an autoscaler."""
    return _autoscaler()[0]


def autoscaler_lines() -> list[str]:
    """What the autoscaler waits for, or could not get."""
    coming, failed = _autoscaler()
    lines = [f"the autoscaler waits for {coming} nodes"] if coming else []
    return lines + ([f"the autoscaler could not get a node: {failed[:300]}"] if failed else [])


def _autoscaler() -> tuple[int, str]:
    from ray._private.ray_constants import DEBUG_AUTOSCALING_ERROR, DEBUG_AUTOSCALING_STATUS
    from ray.experimental import internal_kv

    with suppress(Exception):
        from ray.autoscaler.v2.sdk import get_cluster_status
        from ray.autoscaler.v2.utils import is_autoscaler_v2

        if is_autoscaler_v2():
            status = get_cluster_status(ray.get_runtime_context().gcs_address, timeout=5)
            failed = "; ".join(str(launch.details or launch) for launch in status.failed_launches[-2:])
            return len(status.pending_nodes) + sum(launch.count for launch in status.pending_launches), failed
    with suppress(Exception):
        told = internal_kv._internal_kv_get(DEBUG_AUTOSCALING_STATUS)
        report = json.loads(told)["autoscaler_report"] if told else {}
        coming = len(report.get("pending_nodes") or ()) + sum((report.get("pending_launches") or {}).values())
        failed = internal_kv._internal_kv_get(DEBUG_AUTOSCALING_ERROR)
        return coming, failed.decode() if failed else ""
    return 0, ""
