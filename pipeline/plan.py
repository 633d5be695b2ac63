"""The plan of a run: its chain checked and composed, and the schema that it would write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.chain import Stage, check, compose
from pipeline.cluster import cluster
from pipeline.opening import Run
from pipeline.packing import local_gpu_memory, share_gpus
from pipeline.placement import Mode, words
from pipeline.pools import pools, waiting
from store.models import S3Models
from store.schema import clip_schema


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run would do: its stages, and the schema that it would write."""

    stages: Sequence[Stage]
    schema: pa.Schema

    def lines(self, placement: Mode = "auto") -> list[str]:
        """The plan for people, a line per stage and operator."""
        lines = []
        for number, stage in enumerate(self.stages, 1):
            needs = f"{stage.cpus:g} CPU" + (f", {stage.gpus:g} GPU" if stage.gpus else "")
            memory = f", {stage.memory_mb:,} MiB" if stage.memory_mb else ""
            at_once = f", {stage.concurrency} batches at once" if stage.concurrency > 1 else ""
            most = "as many as fit" if stage.actors[1] is None else f"at most {stage.actors[1]}"
            lines.append(f"stage {number}: {needs}{memory}{at_once} an actor, at least {stage.actors[0]}, {most}")
            lines.append(f"  runs {words(placement, stage.gpus > 0)}")
            for operator in stage.operators:
                writes = ", ".join(operator.writes.names) or "nothing"
                lines.append(f"  {operator.name:<9} {operator.fingerprint()}  → {writes}")
                if revision := operator.revision():
                    lines.append(f"  {'':<9} {revision}")
        lines.append(f"written: {len(self.schema)} columns in clips/ and failed/, one record a video in videos/")
        return lines


def plan(run: Run) -> Plan:
    """Check the chain and compose it. Raises `ChainError` or `ConfigurationError`; starts nothing."""
    for operator in run.chain:
        operator.model_store = S3Models()
    check(run.chain)
    share_gpus(run.chain, None if run.address else local_gpu_memory())
    schema = clip_schema([operator.writes for operator in run.chain], run.keep_media)
    return Plan(stages=compose(run.chain), schema=schema)


def cluster_lines(planned: Plan, run: Run) -> list[str]:
    """What the running cluster that `run` names has for the plan; nothing where it names none.

    Raises `ChainError` where not even the largest cluster holds the chain. Connects, and starts nothing.
    """
    if not (run.address or os.environ.get("RAY_ADDRESS")):
        return []
    with cluster(run.address, run.cpus, run.wishes) as capacity:
        sizes = pools(planned.stages, capacity.nodes, capacity.largest, capacity.placement, bounded=capacity.bounded)
        lines = capacity.lines()
        for stage, pool in zip(planned.stages, sizes, strict=True):
            most = "as many as Ray finds room for" if pool.most is None else f"at most {pool.most:,}"
            where = capacity.placement.words(stage.gpus > 0)
            lines.append(f"  {stage.name}: {pool.start:,} actors at first, {most}; {where}")
        if waiting(planned.stages, capacity.nodes, capacity.placement):
            lines.append("  the run would wait for nodes first")
        return lines
