"""What the engine costs: the job on Ray with commits, against the same operators in plain processes.

    python -m benchmarks.pipeline --videos FOLDER --clips 200

Both sides use the same number of processes on the same machine, in the same run. The job's clock
starts when the first video starts and stops at the last commit; the plain processes' starts when all
of them have loaded their models. Start-up is measured on one tiny video, against a Ray Data job that
does nothing. Memory is read from the process table while the job runs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psutil

import store
from benchmarks.chaos import DECODER
from pipeline.cluster import ONE_THREAD
from store.markers import read_markers
from store.objects import open_store

EMPTY_JOB = """
import logging, os, ray
os.environ.setdefault("RAY_AUTH_MODE", "disabled")
ray.init(
    address="local",
    include_dashboard=False,
    log_to_driver=False,
    logging_level=logging.ERROR,
    _node_ip_address="127.0.0.1",
)
ray.data.DataContext.get_current().enable_progress_bars = False
class Nothing:
    def __call__(self, batch):
        return batch
pool = ray.data.ActorPoolStrategy(size={size})
ray.data.range(1).map_batches(Nothing, compute=pool, num_cpus=0.5).take_all()
"""


def plain(videos: Sequence[str], processes: int) -> tuple[float, int]:
    """Seconds and clips of the `lite` operators in plain processes, after they are set up."""
    os.environ.update(ONE_THREAD)  # as in Ray's workers
    context = multiprocessing.get_context("spawn")
    queue: Any = context.Queue()
    results: Any = context.Queue()
    barrier = context.Barrier(processes + 1)
    for video in videos:
        queue.put(video)
    for _ in range(processes):
        queue.put(None)
    workers = [context.Process(target=_plain_worker, args=(queue, results, barrier)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    barrier.wait()
    begun = time.monotonic()
    clips = sum(results.get() for _ in workers)
    seconds = time.monotonic() - begun
    for worker in workers:
        worker.join()
    return seconds, clips


def _plain_worker(queue: Any, results: Any, barrier: Barrier) -> None:
    from jobs.mmtrail import lite

    chain = [operator() for operator in lite()]
    for operator in chain:
        operator.setup()
    barrier.wait()
    clips = 0
    while (video := queue.get()) is not None:
        rows: Any = [{"record": "video_in", "video_id": "v", "uri": video, "size": None, "etag": None, "extra": None}]
        for operator in chain:
            rows = operator(rows)
        clips += sum(row["record"] == "clip" for row in rows)
    results.put(clips)


class Watch(threading.Thread):
    """Peak resident memory, in MB, of a process and of the decoding processes below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self.driver_mb = 0.0
        self.decoder_mb = 0.0

    def run(self) -> None:
        while not self._ended.wait(0.5):
            try:
                self.driver_mb = max(self.driver_mb, self._process.memory_info().rss / 1e6)
                for child in self._process.children(recursive=True):
                    if DECODER in " ".join(child.cmdline()):
                        self.decoder_mb = max(self.decoder_mb, child.memory_info().rss / 1e6)
            except psutil.Error:
                continue

    def stop(self) -> None:
        self._ended.set()
        self.join()


def job(videos: Path, output: Path) -> dict[str, float]:
    """Run the job; seconds from the first video's start to the last commit, clips, and peak memory."""
    command = [sys.executable, "-m", "jobs.mmtrail", "--input", str(videos), "--output", str(output)]
    begun = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = Watch(process.pid)
    watch.start()
    code = process.wait()
    ended = time.time()
    watch.stop()
    if code != 0:
        raise SystemExit(f"the job ended with exit code {code}; run it by hand: {' '.join(command)}")
    objects = open_store(str(output))
    markers = read_markers(objects).values()
    first = min(info.modified for info in objects.list("attempts/"))
    last = max(marker.committed for marker in markers)
    written = sum(shard.bytes for marker in markers for shard in marker.shards)
    clips = store.open(str(output)).count(dropped=True)
    return {
        "seconds": last - first,
        "clips": clips,
        "start_up_seconds": min(info.modified for info in objects.list("videos/")) - begun,
        "wall_seconds": ended - begun,
        "driver_peak_mb": round(watch.driver_mb, 1),
        "decoder_peak_mb": round(watch.decoder_mb, 1),
        "bytes_per_clip": round(written / max(clips, 1)),
    }


def empty_job(processes: int) -> float:
    """Seconds of a Ray Data job that passes one row through a pool of idle actors."""
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", EMPTY_JOB.format(size=processes)], check=True, capture_output=True, timeout=300
    )
    return time.monotonic() - begun


def gather(videos: Path, target_clips: int, folder: Path) -> list[str]:
    """Links to the videos under `folder`, repeated until a pass over them gives `target_clips` clips."""
    from operators.video.shots import SplitShots

    sources = sorted(path for path in videos.iterdir() if path.suffix.lower() in {".mp4", ".mkv", ".webm", ".mov"})
    clips = 0
    split = SplitShots()
    split.setup()
    for path in sources:
        row = {"record": "video_in", "video_id": "v", "uri": str(path), "size": None, "etag": None, "extra": None}
        clips += sum(found["record"] == "clip" for found in split([row]))
    rounds = -(-target_clips // max(clips, 1))
    links = []
    for number in range(rounds):
        for path in sources:
            link = folder / f"{number:03d}-{path.name}"
            os.link(path, link) if path.stat().st_dev == folder.stat().st_dev else link.write_bytes(path.read_bytes())
            links.append(str(link))
    return links


def tiny_video(path: Path) -> None:
    """One second of 64×64 pixels."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(10):
            picture = np.full((64, 64, 3), 20 * number, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=Path, default=Path("samples/videos"), help="a folder of videos")
    parser.add_argument("--clips", type=int, default=200, help="repeat the videos up to so many clips (default: 200)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the start-up measurement (default: 3)")
    options = parser.parse_args(argv)
    processes = os.cpu_count() or 1
    with tempfile.TemporaryDirectory(prefix="rushes-benchmark-") as name:
        folder = Path(name)
        tiny = folder / "tiny"
        tiny.mkdir()
        tiny_video(tiny / "tiny.mp4")
        start_ups = [
            (job(tiny, folder / f"tiny-{number}")["start_up_seconds"], empty_job(processes))
            for number in range(options.rounds)
        ]
        many = folder / "videos"
        many.mkdir()
        videos = gather(options.videos, options.clips, many) if options.clips else []
        engine = job(many, folder / "out") if videos else {}
        seconds, clips = plain(videos, processes) if videos else (0.0, 0)
    report: dict[str, Any] = {
        "machine": f"{platform.machine()}, {processes} CPUs, Python {platform.python_version()}",
        "start_up_seconds": round(statistics.median(ours for ours, _ in start_ups), 2),
        "empty_ray_data_seconds": round(statistics.median(empty for _, empty in start_ups), 2),
        "start_up_ratio": round(statistics.median(ours / empty for ours, empty in start_ups), 2),
    }
    if videos:
        report |= {
            "job": engine,
            "plain_seconds": round(seconds, 2),
            "clips": clips,
            "throughput_ratio": round((engine["clips"] / engine["seconds"]) / (clips / seconds), 3),
        }
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
