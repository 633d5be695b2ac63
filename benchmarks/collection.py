"""A run of a whole collection as storage holds it, made quickly: real formats, and files that repeat each other.

The manifest, the run record and the markers are written by the code of the engine. Markers of all partitions repeat
one that was committed for real, under other names. Leftover shards of open partitions are written by the engine's
own writer; those of committed ones, which only a listing meets, are links to one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from benchmarks.sleeping import CLIPS_PER_VIDEO, chain_of, parts_of
from jobs.mmtrail import lite
from operators.contract import Operator
from pipeline.chain import fingerprint, lineages
from pipeline.commit import Committer
from pipeline.meter import Meter
from pipeline.opening import Run
from pipeline.receipt import Receipt
from pipeline.salvage import CHAIN, PACKAGE, SCHEMA
from pipeline.source import Batch
from pipeline.worker import VideoWorker, WorkOrder, new_writer
from pipeline.writer import ShardOptions
from store.layout import SHARD_KINDS, attempt_key, partition_prefix, shard_key
from store.lease import Lease
from store.markers import Marker, latest_generations, write_marker
from store.media import MediaOpener
from store.objects import ObjectStore, open_store
from store.run_record import package_version
from store.schema import SCHEMA_VERSION, clip_schema
from store.threads import in_threads


@dataclass(frozen=True, kw_only=True)
class Collection:
    """So many videos of `clips` clips on average, in partitions of `partition_size`, and where their run lies."""

    input: str
    output: str
    videos: int
    clips: float = CLIPS_PER_VIDEO
    partition_size: int = 64

    @property
    def partitions(self) -> int:
        """Partitions that the videos make."""
        return -(-self.videos // self.partition_size)

    def chain(self) -> list[Operator]:
        """The chain of `lite`, without any sleep."""
        return chain_of(parts_of(lite(), {}), self.clips)

    def run(self) -> Run:
        """What the command would ask for."""
        return Run(
            job="scale",
            input=self.input,
            output=self.output,
            chain=self.chain(),
            partition_size=self.partition_size,
            cpus=2,
        )

    def order(self, session: str = "s" * 32) -> WorkOrder:
        """What a worker of this run needs."""
        chain = self.chain()
        return WorkOrder(
            store=open_store(self.output),
            session=session,
            schema=clip_schema([operator.writes for operator in chain], False),
            footer={
                CHAIN: fingerprint(lineages(chain)),
                PACKAGE: package_version(),
                SCHEMA: str(SCHEMA_VERSION),
            },
            options=ShardOptions(),
            open_media=MediaOpener(None),
        )

    def write_list(self) -> None:
        """The input: a CSV with identifiers, URIs, sizes and ETags, as a listing of a bucket gives them."""
        with Path(self.input).open("w") as file:
            file.write("video_id,uri,size,etag\n")
            for number in range(self.videos):
                name = f"trailer-{number:07d}"
                file.write(f"{name},s3://trailers/{name[-3:]}/{name}.mp4,81234567,{number:032x}\n")


@contextmanager
def without_fsync() -> Iterator[None]:
    """Files are written as ever, and the disk is not waited for: for what is only made to be read."""
    with mock.patch.object(os, "fsync", lambda descriptor: None):
        yield


def receipts_of(collection: Collection, partition: int, videos: int | None = None) -> Iterator[Receipt]:
    """Do the first `videos` videos of a partition in this process, as a worker does: attempts, rows, shards."""
    order = collection.order()
    chain = collection.chain()
    worker = VideoWorker(order, chain)
    for number, task in enumerate(Batch(partition=partition, n_videos=collection.partition_size).tasks(order.store)):
        if number == videos:
            return
        meter = Meter(chain)
        yield from new_writer(order, meter).write(worker.rows(task, meter))


@contextmanager
def committing(collection: Collection) -> Iterator[Committer]:
    """A committer of the run, under its lease."""
    store = open_store(collection.output)
    with Lease.acquire(store) as lease:
        footer = collection.order().footer
        yield Committer(store, lease, footer[CHAIN], latest_generations(store), footer)


def commit_like(store: ObjectStore, model: Marker, partitions: Sequence[int]) -> None:
    """Write a marker for each of `partitions` that says what `model` says, of shards of its own."""

    def commit(partition: int) -> None:
        shards = tuple(
            shard.model_copy(update={"key": shard_key(shard.kind, partition, f"{partition:032x}")})
            for shard in model.shards
        )
        write_marker(store, model.model_copy(update={"partition": partition, "shards": shards}))

    in_threads(commit, partitions)


def forget(store: ObjectStore, partitions: Iterable[int]) -> None:
    """Remove everything that is stored of these partitions, markers too, but their manifest."""
    for partition in partitions:
        for kind in (*SHARD_KINDS, "attempts", "commits"):
            store.delete([info.key for info in store.list(partition_prefix(kind, partition))])


def litter(folder: Path, shard: bytes, partitions: Sequence[int], videos: int) -> int:
    """Fill committed partitions of a local output with what workers left: links to one shard, and to one attempt."""
    number = 0
    for partition in partitions:
        first = [_seed(folder / shard_key(kind, partition, f"{0:032x}-0000"), shard) for kind in ("clips", "videos")]
        first.append(_seed(folder / attempt_key(partition, f"{0:016x}"), b"{}"))
        for path in first:
            for copy in range(1, videos):
                os.link(path, path.with_name(path.name.replace("0" * 8, f"{copy:08x}", 1)))
        number += len(first) * videos
    return number


def _seed(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path
