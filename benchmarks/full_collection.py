"""What a collection of 285,518 videos costs the driver: manifest, commits, and the start of a run that goes on.

    python -m benchmarks.full_collection                       the collection, in a temporary folder
    python -m benchmarks.full_collection --videos 2855180      ten times as many
    python -m benchmarks.full_collection --s3                  on an S3 server on loopback (moto), with its requests

Manifest, run record, markers, receipts and commits go through the engine's own code. `--sample` partitions are
done and committed for real, in this process, and timed; commits are one after the other, so their time grows with
their number. The other markers repeat a real one. Then the run is started by a driver of its own, with real Ray,
and stopped when the first video is done, in three states: with nothing committed, with all partitions but
`--open` committed and `--left` videos of each of these left behind as shards (to salvage), with all but one committed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.collection import Collection, commit_like, committing, forget, litter, receipts_of, without_fsync
from benchmarks.resume_run import Start, peak_mb
from benchmarks.sleeping import VIDEOS
from pipeline.opening import open_run
from pipeline.receipt import Receipt
from store.manifest import read_input
from store.markers import Marker
from store.objects import open_store
from store.status import begun_partitions

START_SECONDS = 3_600.0
"""Patience with one start."""


class Clock:
    """Wall and CPU seconds of this process, by what was done."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.cpu: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add what passes in the block to `name`."""
        wall, cpu = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            self.wall[name] = self.wall.get(name, 0.0) + time.monotonic() - wall
            self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu


def commits(collection: Collection, sample: int) -> tuple[dict[str, Any], Marker]:
    """Do and commit the first `sample` partitions; the driver's share in that, and one of the markers."""
    clock = Clock()
    markers: list[Marker] = []
    n_receipts = received = 0
    with committing(collection) as committer:
        for partition in range(sample):
            rows = [receipt.to_row() for receipt in receipts_of(collection, partition)]
            n_receipts += len(rows)
            received += sum(len(row["receipt"]) for row in rows)
            with clock.time("ledgers"):
                ledger = committer.ledger(partition)
            with clock.time("receipts"):
                for row in rows:
                    ledger.add_receipt(Receipt.from_row(row))
            with clock.time("commits"):
                markers.append(committer.commit(partition))
    clips = sum(sum(marker.clips.values()) for marker in markers)
    return {
        "partitions": sample,
        "clips": clips,
        "receipts": n_receipts,
        "bytes_a_receipt": received // n_receipts,
        "receipts_per_cpu_second": round(n_receipts / clock.cpu["receipts"]),
        "commit_seconds": round(clock.wall["commits"] / sample, 3),
        "commit_cpu_seconds": round(clock.cpu["commits"] / sample, 3),
        "cpu_seconds_per_million_clips": round(sum(clock.cpu.values()) / clips * 1e6, 1),
        "all_commits_hours": round(sum(clock.wall.values()) / sample * collection.partitions / 3600, 2),
        "all_commits_cpu_hours": round(sum(clock.cpu.values()) / sample * collection.partitions / 3600, 2),
    }, markers[0]


def start(collection: Collection) -> Start:
    """Start the run in a driver of its own. Raises `SystemExit` with its last words where it fails."""
    command = [sys.executable, "-m", "benchmarks.resume_run", json.dumps(asdict(collection))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS)
    if not done.stdout:
        raise SystemExit(f"the run could not be started:\n{done.stderr[-3000:]}")
    return Start(**json.loads(done.stdout))


def measure(collection: Collection, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures of one collection."""
    sample, left_open = options.sample, options.open
    clock = Clock()
    store = open_store(collection.output)
    say("the list of videos")
    collection.write_list()
    before = peak_mb()
    with clock.time("read"):
        read_input(collection.input)
    manifest_mb = peak_mb() - before
    say("the manifest and the run record")
    with without_fsync(), clock.time("open"):
        open_run(collection.run(), store)
    say("a start with nothing committed")
    fresh = start(collection)
    forget(store, begun_partitions(store))
    say(f"{sample} partitions, done and committed")
    costs, model = commits(collection, sample)
    last = collection.partitions - left_open
    say(f"{last - sample} markers, {left_open} open partitions with shards")
    with without_fsync():
        commit_like(store, model, range(sample, last))
        for partition in range(last, collection.partitions):
            for _ in receipts_of(collection, partition, options.left):
                pass
    files = 0
    if options.littered:
        say("the small shards that commits leave behind")
        shard = store.get(model.shards[0].key)[:4096]
        files = litter(Path(collection.output), shard, range(sample, last), collection.partition_size)
    say(f"a start with {left_open} open partitions")
    salvaged = start(collection)
    forget(store, range(last, collection.partitions))
    with without_fsync():
        commit_like(store, model, range(last, collection.partitions - 1))
    say("a start with one partition left")
    resumed = start(collection)
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}",
        "videos": collection.videos,
        "partitions": collection.partitions,
        "read_list_seconds": round(clock.wall["read"], 2),
        "manifest_seconds": round(clock.wall["open"] - clock.wall["read"], 2),
        "read_list_mb": round(manifest_mb),
        "small_files_left": files,
        "shards_to_salvage": 2 * options.left * left_open,
        "commits": costs,
        "start_fresh": asdict(fresh),
        "start_salvaging": asdict(salvaged),
        "start_resuming": asdict(resumed),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=VIDEOS, help=f"videos of the collection (default: {VIDEOS:,})")
    parser.add_argument("--partition-size", type=int, default=64, help="videos in a partition (default: 64)")
    parser.add_argument("--sample", type=int, default=8, help="partitions that are done and timed (default: 8)")
    parser.add_argument("--open", type=int, default=200, help="partitions with leftover shards (default: 200)")
    parser.add_argument("--left", type=int, default=16, help="videos done in each of them (default: 16)")
    parser.add_argument("--littered", action="store_true", help="leave the small shards of committed partitions, too")
    parser.add_argument("--s3", action="store_true", help="write to an S3 server on loopback instead of a folder")
    parser.add_argument("--folder", help="where the run lies while it lasts (default: the temporary folder)")
    options = parser.parse_args(argv)
    if options.s3 and options.littered:
        parser.error("--littered makes links in a folder; leave out --s3")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rushes-scale-", dir=options.folder)))
        output = str(folder / "out")
        if options.s3:
            from tests.s3_servers import moto_server

            server = stack.enter_context(moto_server())
            os.environ.update(server.environment())
            output = f"s3://{server.new_bucket()}/out"
        collection = Collection(
            input=str(folder / "list.csv"),
            output=output,
            videos=options.videos,
            partition_size=options.partition_size,
        )
        figures = measure(
            collection,
            options,
            lambda text: print(f"{time.strftime('%H:%M:%S')} {text} …", file=sys.stderr, flush=True),
        )
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
