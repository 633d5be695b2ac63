"""One case measured: rounds in which the operator and its limit take turns, and medians over them."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chat_cases import CaptionCase, FusionCase
from benchmarks.gpu_watch import GpuWatch, peak_flops
from benchmarks.model_cases import AestheticsCase, Case, FramesCase, MusicCase, SpeechCase, TagsCase
from benchmarks.model_rows import clip_rows
from benchmarks.model_weights import Size
from operators.models.checkpoint import import_transformers

CASES: dict[str, type[Case]] = {
    "aesthetics": AestheticsCase,
    "frames": FramesCase,
    "caption": CaptionCase,
    "tags": TagsCase,
    "music": MusicCase,
    "speech": SpeechCase,
    "fusion": FusionCase,
}
"""In the order of the chain."""


LEAST_SECONDS = 2.0
"""Of a round: shorter passes are repeated, for the driver's slow samples and against a busy machine's noise."""


@dataclass(frozen=True)
class Pass:
    """One pass over the clips, a mean of several where they are short.

    Wall and CPU time in seconds, the engine's processes included; first and last reading of the clock.
    """

    wall: float
    cpu: float
    start: float
    end: float


def measure(
    name: str, *, size: Size, device: str, clips: int, rounds: int, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """The figures of one operator on `clips` clips; None where there is no GPU to measure."""
    watch = GpuWatch()
    before = _used(watch)
    case: Case | None = None
    import_transformers()  # quiet
    try:
        with tempfile.TemporaryDirectory(prefix="rushes-models-") as folder:
            case = CASES[name](Path(folder), size, device, settings)
            rows = clip_rows(clips, spoken=case.spoken)
            case.start()
            case.annotate(rows)  # warms up: allocations, compiled kernels, caches of the disk
            peak = _used(watch)
            case.prepare(rows)
            case.limit()
            passes = _rounds(case, {"operator": lambda: case.annotate(rows), "limit": case.limit}, rounds)
            flops = case.flops()
        figures = _figures(case, passes, clips, flops, watch)
        memory = None if device != "cuda" or peak is None or before is None else round(peak - before)
        return {"operator": name, **figures, "gpu_memory_mb": memory}
    finally:
        if case is not None:
            case.close()
        watch.close()


def _rounds(case: Case, works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Pass]]:
    repeats = {work: max(1, round(LEAST_SECONDS / _timed(case, run, 1).wall)) for work, run in works.items()}
    passes: dict[str, list[Pass]] = {work: [] for work in works}
    for number in range(rounds):
        for work in sorted(works, reverse=number % 2 == 0):
            gc.collect()
            passes[work].append(_timed(case, works[work], repeats[work]))
    return passes


def _figures(
    case: Case, passes: Mapping[str, list[Pass]], clips: int, flops: float, watch: GpuWatch
) -> dict[str, Any]:
    wall = {work: statistics.median(one.wall for one in found) for work, found in passes.items()}
    cpu = {work: statistics.median(one.cpu for one in found) for work, found in passes.items()}
    shares = [watch.busy(one.start, one.end) for one in passes["operator"]]
    busy = [share for share in shares if share is not None]
    return {
        "clips": clips,
        "batch": case.operator.resources.batch,
        "concurrency": case.operator.resources.concurrency,
        "precision": str(getattr(case.operator, "precision", "")).removeprefix("torch.") or None,
        "limit": case.limit_is,
        "clips_per_second": {work: round(clips / seconds, 3) for work, seconds in wall.items()},
        "ratio": round(wall["limit"] / wall["operator"], 3),
        "ratio_of_rounds": [
            round(ours_limit.wall / ours.wall, 3)
            for ours, ours_limit in zip(passes["operator"], passes["limit"], strict=True)
        ],
        "cpu_ms_per_clip": {work: round(1000 * seconds / clips, 2) for work, seconds in cpu.items()},
        "operator_seconds": round(wall["operator"], 3),
        "busy": round(statistics.median(busy), 3) if busy and _on_gpu(case) else None,
        "gflop_per_clip": round(flops / clips / 1e9, 3),
        "flops_utilisation": _utilisation(case, flops / wall["operator"]),
    }


def _utilisation(case: Case, rate: float) -> float | None:
    if not _on_gpu(case):
        return None
    import torch

    peak = peak_flops(torch.cuda.get_device_name(0))
    return round(rate / peak, 4) if peak else None


def _on_gpu(case: Case) -> bool:
    return case.device == "cuda"


def _used(watch: GpuWatch) -> float | None:
    time.sleep(0.5 if watch.there else 0)
    return watch.memory()


def _timed(case: Case, work: Callable[[], Any], repeats: int) -> Pass:
    wall = cpu = 0.0
    start = end = 0.0
    for number in range(repeats):
        case.fresh()
        spent, begun = _cpu_seconds(), time.monotonic()
        work()
        end = time.monotonic()
        wall, cpu = wall + end - begun, cpu + _cpu_seconds() - spent
        start = start if number else begun
    return Pass(wall / repeats, cpu / repeats, start, end)


def _cpu_seconds() -> float:
    """Of this process and of those that it started, such as engines."""
    spent = time.process_time()
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        spent += times.user + times.system
    return spent
