"""Who gets how much of a GPU, and does it fit?

Ray hands out GPUs as numbers and enforces no memory: an actor that was given a quarter of a GPU may
fill all of it. Here a share is a promise about memory: an instance with `gpus=0.25` must do with a
quarter of the GPU's memory, whichever others Ray puts beside it. An engine that fills what it is given
(vLLM) asks for what the others leave: `gpus=None`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace

from operators.contract import Operator, Resources
from operators.errors import ChainError

LEAST_SHARE = 0.2
"""Share of a GPU under which an engine is better off with one of its own."""

GRAIN = 100
"""Shares are whole hundredths, so that their sum is exact enough for Ray."""

SMI_SECONDS = 20


def share_gpus(chain: Sequence[Operator], gpu_memory_mb: float | None = None) -> None:
    """Give every operator that asks for the rest of a GPU its share, and check that the others fit theirs.

    `gpu_memory_mb` is the memory of the smallest GPU in MiB; None where it is not known, and then
    memory is not checked. Sets `resources` of the operators in `chain`. Raises `ChainError` with the
    arithmetic where one does not fit.
    """
    for operator, resources in zip(chain, shares(chain), strict=True):
        operator.resources = resources
    if gpu_memory_mb is not None:
        check_memory(chain, gpu_memory_mb)


def shares(chain: Sequence[Operator]) -> list[Resources]:
    """The resources of each operator, with numbers in place of None.

    Engines split what the others leave of one GPU by the memory that they declare, evenly where one
    declares none; where a share would be under `LEAST_SHARE`, every engine gets a whole GPU.
    """
    needs = [operator.resources for operator in chain]
    engines = [number for number, need in enumerate(needs) if need.gpus is None]
    if not engines:
        return needs
    left = 1 - sum(need.gpus for need in needs if need.gpus is not None and need.gpus < 1)
    declared = [needs[number].gpu_memory_mb for number in engines]
    weights = declared if all(declared) else [1] * len(engines)
    split = [int(left * weight / sum(weights) * GRAIN + 1e-6) / GRAIN for weight in weights]
    if min(split) < LEAST_SHARE:
        split = [1.0] * len(engines)
    return [
        replace(need, gpus=split[engines.index(number)]) if number in engines else need
        for number, need in enumerate(needs)
    ]


def check_memory(chain: Sequence[Operator], gpu_memory_mb: float) -> None:
    """Raise `ChainError` unless every model fits its share of a GPU of `gpu_memory_mb` MiB."""
    short = [
        f"{operator.name} needs about {need.gpu_memory_mb:,} MiB and its {need.gpus:g} of a GPU has "
        f"{need.gpus * gpu_memory_mb:,.0f}: raise {operator.name}.gpus, or take a smaller model"
        for operator in chain
        if (need := operator.resources).gpus and need.gpu_memory_mb > need.gpus * gpu_memory_mb
    ]
    if short:
        raise ChainError(f"the models do not fit GPUs of {gpu_memory_mb:,.0f} MiB:\n  " + "\n  ".join(short))


def local_gpu_memory() -> float | None:
    """Memory in MiB of the smallest NVIDIA GPU of this machine; None where there is none to ask."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SMI_SECONDS, check=True).stdout
        return min(float(line) for line in told.split("\n") if line.strip())
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
