"""Machines for a deadline: how many of each kind, for how long, and for how many dollars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.forecast import Estimate
from jobs.prices import Machine, Market, Prices
from operators.errors import ConfigurationError
from store.sessions import StageRecord

EFFICIENCY = 0.9
"""Share of their time that the bottleneck's machines work, between start-up and tail."""

BOOT_SECONDS = 300.0
"""From the order of a machine to its first task: start, image, Ray."""

SPOT_REPEATED = 0.05
"""Share of the work that spot machines do twice because they were taken away."""

USABLE_MEMORY = 0.7
"""Share of a machine's memory that actors get; Ray keeps the rest for its object store."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Machines by role, named in the price table, and how they are paid."""

    cpu: str
    gpu: str
    head: str
    market: Market


@dataclass(frozen=True, kw_only=True)
class Load:
    """The work of the whole collection.

    `cpu_seconds` are those of CPU stages, `gpu_seconds` those of GPU stages, which need `gpu_host_cpu_seconds`
    beside. `start_seconds` pass before the first result, `tail_seconds` while the last videos end.
    """

    cpu_seconds: Estimate
    gpu_seconds: Estimate
    gpu_host_cpu_seconds: Estimate
    stages: Sequence[StageRecord]
    start_seconds: float
    tail_seconds: float


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Machines that meet a deadline. `hours` are of the clock, all machines are paid for all of them.

    `bottleneck` is "cpu" or "gpu": what the other kind waits for. `dollars` is of machines alone; low and high
    are those of the work's interval.
    """

    days: float
    cpu_nodes: int
    gpu_nodes: int
    hours: float
    start_hours: float
    tail_hours: float
    bottleneck: str
    dollars: Estimate


def fleet(load: Load, choice: Choice, prices: Prices, days: float, efficiency: float) -> Fleet:
    """The fewest machines that are done within `days`.

    Raises `ConfigurationError` where no number of machines is: start-up and tail alone take longer.
    """
    cpu, gpu = prices.machine(choice.cpu), prices.machine(choice.gpu)
    again = 1 + (SPOT_REPEATED if choice.market == "spot" else 0)
    start, tail = BOOT_SECONDS + load.start_seconds, load.tail_seconds
    left = days * 86_400 - start - tail
    if left <= 0:
        raise ConfigurationError(
            f"--days {days:g}: starting takes {start / 3600:.2g} h and the longest video {tail / 3600:.2g} h, however "
            "many machines there are; allow more time"
        )
    cpu_work = load.cpu_seconds.value * again / (cpus_used(cpu, load.stages) * efficiency)
    gpu_work = 0.0
    if load.gpu_seconds.value:
        if not gpu.gpus:
            raise ConfigurationError(f"--machine gpu={choice.gpu}: it has no GPU in the price table")
        gpu_work = (
            again / efficiency * max(load.gpu_seconds.value / gpu.gpus, load.gpu_host_cpu_seconds.value / gpu.cpus)
        )
    cpu_nodes = max(1, math.ceil(cpu_work / left))
    gpu_nodes = max(_least_gpu_nodes(gpu, load.stages), math.ceil(gpu_work / left)) if gpu_work else 0
    cpu_time, gpu_time = cpu_work / cpu_nodes, gpu_work / gpu_nodes if gpu_nodes else 0.0
    hours = (start + max(cpu_time, gpu_time) + tail) / 3600
    per_hour = {
        "cpu": cpu_nodes * cpu.hourly(choice.market),
        "gpu": gpu_nodes * gpu.hourly(choice.market),
        "head": prices.machine(choice.head).on_demand,
    }
    return Fleet(
        days=days,
        cpu_nodes=cpu_nodes,
        gpu_nodes=gpu_nodes,
        hours=hours,
        start_hours=start / 3600,
        tail_hours=tail / 3600,
        bottleneck="gpu" if gpu_time > cpu_time else "cpu",
        dollars=_dollars(per_hour, hours, load),
    )


def cpus_used(machine: Machine, stages: Sequence[StageRecord]) -> float:
    """CPUs of a machine that actors of CPU stages can fill: all, or fewer where its memory ends first."""
    memory = machine.memory_gb * 1024 * USABLE_MEMORY
    limits = [memory / stage.memory_mb * stage.cpus for stage in stages if stage.memory_mb and not stage.gpus]
    return max(0.01, min([machine.cpus, *limits]))


def _least_gpu_nodes(machine: Machine, stages: Sequence[StageRecord]) -> int:
    """Machines that hold one actor of each GPU stage: without it the chain stands still."""
    return max(1, math.ceil(sum(stage.gpus for stage in stages) / machine.gpus - 1e-9))


def _dollars(per_hour: Mapping[str, float], hours: float, load: Load) -> Estimate:
    def bound(end: str) -> float:
        kinds = {"cpu": load.cpu_seconds, "gpu": load.gpu_seconds}
        scale = {kind: getattr(of, end) / of.value if of.value else 1.0 for kind, of in kinds.items()}
        return sum(rate * hours * scale.get(kind, 1.0) for kind, rate in per_hour.items())

    return Estimate(value=sum(per_hour.values()) * hours, low=bound("low"), high=bound("high"))
