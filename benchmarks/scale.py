"""How the engine scales: the real graph with operators that sleep as measured, on 1 to 16 logical nodes.

    python -m benchmarks.scale                            a table of throughput against nodes, chain of `lite`
    python -m benchmarks.scale --like RUN --nodes 1,2,4   at the pace of a real run
    python -m benchmarks.scale --gpu-stages 1             a CPU stage, a GPU stage as bottleneck, a writing stage
    python -m benchmarks.full_collection --help           commit and resume of 285,518 videos

Nodes are raylets on this machine with logical CPUs and GPUs; every worker is a real process, every shard, receipt,
ledger and marker is real. Operators only sleep, so that two real cores can carry 16 nodes. The column "own CPU" says
how much of these cores the cluster used, "machine" how busy they were with everything: at 100 % they are what limits.
Weak scaling: every size gets work in proportion to its nodes, `--work` seconds for each worker of the bottleneck.
With `--gpu-stages`, a size is so many CPU nodes and as many GPU nodes. Efficiency is throughput per node over that
of the smallest size. "over ideal" is wall time, from the first video's start to the last commit, over the
bottleneck's sleep divided by its workers.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.many_nodes import many_nodes
from benchmarks.scale_run import Figures, Order, videos_for
from benchmarks.sleeping import CLIPS_PER_VIDEO, MEASURED, measured
from store.markers import read_markers
from store.objects import open_store

GPU_SECONDS = 0.8
"""Seconds a clip of the GPU stage with `--gpu-stages`, before `--faster`: more than a CPU needs for the cut."""

RUN_SECONDS = 900.0
"""Patience with one run beyond its ideal time."""

COLUMNS = (
    "nodes", "workers", "videos", "clips", "clips/s", "efficiency", "over ideal",
    "start s", "driver CPU s/M clips", "driver MB", "own CPU", "machine",
)  # fmt: skip


def measure(nodes: int, options: argparse.Namespace, seconds: Mapping[str, float]) -> Figures:
    """One size: start the cluster, run the chain in a driver of its own, take the cluster down.

    Raises `SystemExit` with the driver's last words where it fails.
    """
    gpus = options.gpus if options.gpu_stages else 0
    shapes = [(options.cpus, 0)] * nodes + [(0, gpus)] * (nodes if gpus else 0)
    with (
        tempfile.TemporaryDirectory(prefix="rushes-scale-", dir=options.folder) as name,
        many_nodes(shapes) as address,
    ):
        folder = Path(name)
        order = Order(
            address=address,
            input=str(folder / "list.csv"),
            output=str(folder / "out"),
            nodes=nodes,
            cpus=options.cpus,
            gpus=gpus,
            clips=options.clips,
            seconds=dict(seconds),
            gpu_stages=options.gpu_stages,
            partition_size=options.partition_size,
        )
        names = videos_for(options.work, order)
        rows = "".join(f"{name},s3://trailers/{name}.mp4\n" for name in names)
        Path(order.input).write_text(f"video_id,uri\n{rows}")
        command = [sys.executable, "-m", "benchmarks.scale_run", json.dumps(asdict(order))]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS + 4 * options.work)
        if done.returncode:
            raise SystemExit(f"the run on {nodes} nodes failed:\n{done.stderr[-3000:]}")
        return Figures(**json.loads(done.stdout))


def efficiencies(figures: Sequence[Figures]) -> list[float]:
    """Throughput per node of each size over that of the first."""
    first = figures[0].clips_per_second / figures[0].nodes
    return [each.clips_per_second / each.nodes / first for each in figures]


def table(figures: Sequence[Figures]) -> list[str]:
    """The figures as the lines of a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for each, efficiency in zip(figures, efficiencies(figures), strict=True):
        cells = (
            each.nodes,
            "+".join(map(str, each.workers)),
            each.videos,
            f"{each.clips:,}",
            f"{each.clips_per_second:.1f}",
            f"{efficiency:.2f}",
            f"{each.over_ideal:.3f}",
            f"{each.start_seconds:.0f}",
            f"{each.driver_cpu_per_million_clips:,.0f}",
            f"{each.driver_mb:.0f}",
            f"{each.own_share:.0%}",
            f"{each.busy_share:.0%}",
        )
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def report(figures: Sequence[Figures], seconds: Mapping[str, float]) -> dict[str, Any]:
    """Everything as JSON values."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "seconds_a_clip": dict(seconds),
        "sizes": [
            {
                **asdict(each),
                "clips_per_second": each.clips_per_second,
                "efficiency": efficiency,
                "ideal_seconds": each.ideal_seconds,
                "over_ideal": each.over_ideal,
                "driver_cpu_per_million_clips": each.driver_cpu_per_million_clips,
            }
            for each, efficiency in zip(figures, efficiencies(figures), strict=True)
        ],
    }


def pace(options: argparse.Namespace) -> dict[str, float]:
    """Seconds a clip that the operators sleep: measured ones, made `--faster`."""
    if options.gpu_stages:
        seconds = {"shots": MEASURED["shots"], "model": GPU_SECONDS}
    elif options.like:
        seconds = measured(marker.operators for marker in read_markers(open_store(options.like)).values())
        if not seconds:
            raise SystemExit(f"{options.like} holds no committed run to take times from")
    else:
        seconds = dict(MEASURED)
    return {name: each / options.faster for name, each in seconds.items()}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", default="1,2,4,8,16", help="sizes, smallest first (default: 1,2,4,8,16)")
    parser.add_argument("--cpus", type=int, default=2, help="logical CPUs of a node (default: 2)")
    parser.add_argument("--gpus", type=int, default=1, help="logical GPUs of a GPU node (default: 1)")
    parser.add_argument("--work", type=float, default=150, help="seconds of sleep for each worker (default: 150)")
    parser.add_argument("--clips", type=float, default=CLIPS_PER_VIDEO, help="clips a video (default: 73.6)")
    parser.add_argument("--faster", type=float, default=20, help="sleep so much shorter than measured (default: 20)")
    parser.add_argument("--like", metavar="RUN", help="take the seconds a clip from the markers of this run")
    parser.add_argument("--gpu-stages", type=int, default=0, help="GPU stages in the chain (default: 0, lite)")
    parser.add_argument("--partition-size", type=int, default=16, help="videos in a partition (default: 16)")
    parser.add_argument("--folder", help="where to put the runs while they last (default: the temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every size and print the table, or JSON."""
    options = parser().parse_args(argv)
    seconds = pace(options)
    figures = []
    for nodes in map(int, options.nodes.split(",")):
        print(f"{nodes} nodes …", file=sys.stderr, flush=True)
        figures.append(measure(nodes, options, seconds))
        print(table(figures)[-1], file=sys.stderr, flush=True)
    print(json.dumps(report(figures, seconds), indent=2) if options.json else "\n".join(table(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
