"""One run of a sleeping chain on a cluster, as a driver of its own, with what it cost.

Started by `benchmarks.scale` as a process with one argument, an `Order` in JSON; prints `Figures` in JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import psutil

from benchmarks.sleeping import Part, chain_of, clips_of, gpu_parts, parts_of
from jobs.mmtrail import lite
from pipeline.chain import compose
from pipeline.opening import Run
from pipeline.progress import Progress
from pipeline.run import execute
from store.markers import read_markers
from store.objects import open_store

LOOK_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to run. `seconds` are seconds a clip by operator; `gpu_stages` 0 means the chain of `lite`.

    `clips` is the mean of a video. With GPU stages, `seconds` names "shots" and "model", and `nodes` is that many
    nodes with `cpus` and as many with `gpus`.
    """

    address: str
    input: str
    output: str
    nodes: int
    cpus: float
    gpus: float
    clips: float
    seconds: dict[str, float]
    gpu_stages: int = 0
    partition_size: int = 16

    def parts(self) -> list[Part]:
        """The operators that the sleeping chain stands in for."""
        if self.gpu_stages:
            return gpu_parts(self.gpu_stages, self.seconds["shots"], self.seconds["model"])
        return parts_of(lite(), self.seconds)


@dataclass(kw_only=True)
class Figures:
    """What a run took. `work_seconds` is the sleep of each stage, `workers` its actors, the most that fit.

    `wall_seconds` is from the first video's start to the last commit, `start_seconds` from the command to the first
    video's start. CPU seconds, `busy_share` (of all of the machine's cores) and memory in MB are of the time between
    the first report of a finished video and the end; `clips_watched` is the number of clips that came in then.
    `own_share` is what of the cores this cluster's processes used, from raylets to workers and driver.
    """

    nodes: int
    videos: int = 0
    clips: int = 0
    workers: list[int] = field(default_factory=list)
    work_seconds: list[float] = field(default_factory=list)
    wall_seconds: float = 0.0
    start_seconds: float = 0.0
    driver_cpu_seconds: float = 0.0
    driver_mb: float = 0.0
    driver_mb_before: float = 0.0
    clips_watched: int = 0
    busy_share: float = 0.0
    own_share: float = 0.0

    @property
    def clips_per_second(self) -> float:
        """Committed clips over wall time."""
        return self.clips / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def ideal_seconds(self) -> float:
        """Work of the bottleneck over its workers."""
        return max(work / n for work, n in zip(self.work_seconds, self.workers, strict=True))

    @property
    def over_ideal(self) -> float:
        """Wall time over the ideal, start-up aside; the target is 1.1."""
        return self.wall_seconds / self.ideal_seconds

    @property
    def driver_cpu_per_million_clips(self) -> float:
        """CPU seconds of the driver process, all its threads, start-up aside."""
        return self.driver_cpu_seconds / self.clips_watched * 1e6 if self.clips_watched else 0.0


def workers_of(order: Order) -> list[int]:
    """Actors that each stage comes to: GPU stages share the GPUs, the first stage has the CPUs that others leave."""
    first, *others = compose(chain_of(order.parts(), order.clips))
    cpus = order.nodes * order.cpus - sum(stage.cpus for stage in others)
    on_gpu = sum(stage.gpus > 0 for stage in others)
    sizes = [max(1, int(order.nodes * order.gpus / on_gpu)) if stage.gpus else 1 for stage in others]
    return [max(1, int(cpus / first.cpus)), *sizes]


class _Watch:
    """Listens to the run's progress and reads what the driver, the cluster and the machine have used."""

    def __init__(self, figures: Figures) -> None:
        self._figures, self._process = figures, psutil.Process()
        self._cluster = _ClusterSeconds(os.getppid())
        self._cpu = self._machine = None
        self._clips, self._own = 0, 0.0

    def __call__(self, progress: Progress) -> None:
        clips = progress.clips_kept + progress.clips_dropped + progress.clips_failed
        if progress.phase not in ("running", "done") or not clips:
            return
        memory = round(self._process.memory_info().rss / 1e6, 1)
        if self._cpu is None or self._machine is None:
            self._clips, self._cpu, self._machine = clips, time.process_time(), psutil.cpu_times()
            self._own = self._cluster.spent(always=True)
            self._figures.driver_mb_before = memory
        self._cluster.spent()
        self._figures.driver_mb = max(self._figures.driver_mb, memory)
        self._figures.clips_watched = clips - self._clips

    def end(self) -> None:
        """Work out the differences."""
        if self._cpu is None or self._machine is None:
            return  # it was over before anything was seen
        self._figures.driver_cpu_seconds = time.process_time() - self._cpu
        now = psutil.cpu_times()
        passed = sum(now) - sum(self._machine) - (now.guest - self._machine.guest)
        if not passed:
            return
        idle = now.idle - self._machine.idle + now.iowait - self._machine.iowait
        self._figures.busy_share = round(1 - idle / passed, 3)
        self._figures.own_share = round((self._cluster.spent(always=True) - self._own) / passed, 3)


class _ClusterSeconds:
    """CPU seconds of all processes below one, also of those that have ended, as of when they were last looked at."""

    def __init__(self, root: int) -> None:
        self._root = psutil.Process(root)
        self._seen: dict[tuple[int, float], float] = {}
        self._looked = 0.0

    def spent(self, *, always: bool = False) -> float:
        """The sum. Looks at most every `LOOK_SECONDS` unless `always`: a look takes tens of milliseconds."""
        if always or time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            for process in self._root.children(recursive=True):
                with suppress(psutil.Error):
                    times = process.cpu_times()
                    self._seen[process.pid, process.create_time()] = times.user + times.system
        return sum(self._seen.values())


def drive(order: Order) -> Figures:
    """Do the run in this process. Raises what `pipeline.run.execute` raises, `SystemExit` where videos are left."""
    begun = time.time()
    chain = chain_of(order.parts(), order.clips)
    stages = compose(chain)
    figures = Figures(nodes=order.nodes, workers=workers_of(order))
    watch = _Watch(figures)
    run = Run(
        job="scale",
        input=order.input,
        output=order.output,
        chain=chain,
        partition_size=order.partition_size,
        address=order.address,
    )
    summary = execute(run, watch)
    watch(summary.progress)
    watch.end()
    if summary.exit_code:
        raise SystemExit(f"partitions {summary.uncommitted} were not committed")
    store = open_store(order.output)
    markers = read_markers(store).values()
    figures.videos = sum(sum(marker.videos.values()) for marker in markers)
    figures.clips = sum(sum(marker.clips.values()) for marker in markers)
    first = min(info.modified for info in store.list("attempts/"))
    figures.wall_seconds = round(max(marker.committed for marker in markers) - first, 2)
    figures.start_seconds = round(first - begun, 2)
    seconds = {part.name: part.seconds for part in order.parts()}
    figures.work_seconds = [
        round(figures.clips * sum(seconds[operator.name] for operator in stage.operators), 2) for stage in stages
    ]
    return figures


def videos_for(work: float, order: Order) -> list[str]:
    """Names of videos whose clips keep each worker of the bottleneck busy for `work` seconds."""
    seconds = {part.name: part.seconds for part in order.parts()}
    stages = compose(chain_of(order.parts(), order.clips))
    a_clip = max(
        sum(seconds[operator.name] for operator in stage.operators) / n
        for stage, n in zip(stages, workers_of(order), strict=True)
    )
    names: list[str] = []
    clips = 0
    while clips * a_clip < work:
        names.append(f"trailer-{len(names):07d}")
        clips += clips_of(names[-1], order.clips)
    return names


def main(argv: Sequence[str]) -> int:
    """Print the figures of one run."""
    order = Order(**json.loads(argv[0]))
    real = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print
    figures = drive(order)
    os.write(real, json.dumps(asdict(figures)).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
