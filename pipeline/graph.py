"""The Ray Data graph: videos in, receipts out. One stage for adjacent CPU operators, one per GPU pool."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import pyarrow as pa
from ray import get_runtime_context
from ray.data import ActorPoolStrategy, DataContext, Dataset, ExecutionOptions, read_datasource

from operators.contract import Row
from operators.errors import EngineError, StorageError
from pipeline.chain import Stage
from pipeline.cluster import Capacity
from pipeline.heartbeat import LOADING, Heart
from pipeline.meter import Meter
from pipeline.occupancy import Occupancy
from pipeline.placement import NODE_ID_LABEL
from pipeline.pools import Pool, pools
from pipeline.receipt import Receipt
from pipeline.source import Batch, VideoSource, from_row
from pipeline.transit import HALT, from_block, to_blocks, transit_schema, with_tallies
from pipeline.watchdog import Watchdog
from pipeline.worker import ClipWorker, VideoWorker, WorkOrder, new_writer

OPEN_PARTITIONS = 2
"""Read tasks at once; each feeds one partition, so that few partitions are open at a time."""

TASKS_IN_FLIGHT = 2
"""Videos given to an actor: one that runs and the next one, so that none waits behind a long film."""

MOST_ACTORS = 10_000
"""Size that a pool never reaches: it grows with a cluster of which nobody says how far it grows."""

RAY_RETRIES = 1
"""Times that Ray itself repeats the task of a dead actor; after that the driver decides."""

START_DEATHS = 3
"""Actors in a row that may die while they load models, before the run fails."""

BLOCKS_AHEAD = 32
"""Blocks, each a clip, that an actor may be ahead of the driver. With Ray's two it waits for the driver between clips:
a GPU stage of 0.04 s a clip then came to 8.4 clips a second, and to 19.3 with these (`benchmarks.scale`)."""

MIB = 1 << 20
RECEIPT_SCHEMA = pa.schema([("receipt", pa.string())])


class VideoStage:
    """Ray actor of the first stage."""

    def __init__(self, order: WorkOrder, stage: Stage, passes: pa.Schema | None) -> None:
        self._order, self._stage, self._passes, self._occupancy = order, stage, passes, Occupancy()
        self._heart = Heart(order.session, order.beat_seconds, stage.name)
        with self._heart.at(LOADING):
            self._worker = VideoWorker(order, stage.operators)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for row in batch.to_pylist():
            task = from_row(row)
            meter = Meter(self._stage.operators, self._occupancy, shared=self._stage.concurrency > 1)
            rows = self._heart.counted(_halting(self._worker.rows(task, meter), task.partition))
            with self._heart.at(f"video {task.video['video_id']}"):
                yield from _output(self._order, self._passes, rows, meter, task.partition)


class ClipStage:
    """Ray actor of a later stage."""

    def __init__(self, order: WorkOrder, stage: Stage, passes: pa.Schema | None) -> None:
        self._order, self._stage, self._passes, self._occupancy = order, stage, passes, Occupancy()
        self._heart = Heart(order.session, order.beat_seconds, stage.name)
        with self._heart.at(LOADING):
            self._worker = ClipWorker(stage.operators)

    def __call__(self, batch: pa.Table) -> Iterator[pa.Table]:
        for partition, group in groupby(from_block(batch), key=itemgetter("partition")):
            meter = Meter(self._stage.operators, self._occupancy, shared=self._stage.concurrency > 1)
            rows = list(group)
            with self._heart.at(_named(rows)):
                rows = self._heart.counted(_halting(self._worker.rows(rows, meter), partition))
                yield from _output(self._order, self._passes, rows, meter, partition)


def _named(rows: Sequence[Row]) -> str:
    """The videos of a batch, in words."""
    videos = dict.fromkeys(str(row.get("video_id")) for row in rows)
    return f"clips of video {', '.join(list(videos)[:3])}{', …' if len(videos) > 3 else ''}"


def _output(
    order: WorkOrder, passes: pa.Schema | None, rows: Iterable[Row], meter: Meter, partition: int
) -> Iterator[pa.Table]:
    """What a stage hands on: blocks of `passes` for the next stage, or receipts where there is none.

    Where the output cannot be written, because a disk is full or S3 stays away, the last receipt ends the run.
    """
    if passes is not None:
        yield from to_blocks(with_tallies(rows, meter), passes)
        return
    try:
        for receipt in new_writer(order, meter).write(rows):
            yield _table(receipt)
    except StorageError as problem:
        yield _table(Receipt(task="", partition=partition, operators={}, halted=str(problem)))


def _halting(rows: Iterable[Row], partition: int) -> Iterator[Row]:
    """`rows`; where an engine or the storage is down, a row that ends the run in place of those that are not there.

    A task that raised would be tried again, and its videos convicted of what is not their fault.
    """
    try:
        yield from rows
    except (EngineError, StorageError) as problem:
        yield {"record": HALT, "partition": partition, "message": str(problem)}


def receipts(
    order: WorkOrder,
    stages: Sequence[Stage],
    batches: Sequence[Batch],
    capacity: Capacity,
    watchdog: Watchdog,
    *,
    errored_blocks: int,
    alone: bool = False,
) -> Iterator[Receipt]:
    """Run the graph over `batches` and yield receipts as they arrive.

    `errored_blocks` is the fuse: more lost blocks than that raise. `alone` gives each stage one actor
    and does not let Ray repeat a task. Raises `EngineError` where `watchdog` finds that nothing moves.
    """
    context = _context(errored_blocks)
    watchdog.introduce(context)
    with DataContext.current(context):
        dataset = _dataset(order, stages, batches, capacity, alone)
    for table in watchdog.guarded(dataset):
        for row in table.to_pylist():
            yield Receipt.from_row(row)


def _dataset(
    order: WorkOrder, stages: Sequence[Stage], batches: Sequence[Batch], capacity: Capacity, alone: bool
) -> Dataset:
    capacity = capacity.renewed()
    sizes = _sizes(stages, capacity, sum(batch.n_videos for batch in batches), alone)
    dataset = read_datasource(
        VideoSource(order.store, batches),
        override_num_blocks=len(batches),
        num_cpus=0,
        # Beside the driver: Ray waits seven minutes for a task on a node that was cut off the network
        # (RAY_grpc_client_keepalive_time_ms), though it has long given up the node and its actors.
        label_selector={NODE_ID_LABEL: get_runtime_context().get_node_id()},
        concurrency=1 if alone else min(OPEN_PARTITIONS, len(batches)),
    )
    for number, (stage, pool) in enumerate(zip(stages, sizes, strict=True)):
        later = [operator for following in stages[number + 1 :] for operator in following.operators]
        passes = None if number == len(stages) - 1 else transit_schema(order.schema, later)
        dataset = _mapped(
            dataset,
            VideoStage if number == 0 else ClipStage,
            fn_constructor_args=(order, stage, passes),
            compute=ActorPoolStrategy(
                min_size=pool.start,
                max_size=MOST_ACTORS if pool.most is None else pool.most,
                initial_size=pool.start,
                max_tasks_in_flight_per_actor=1 if alone else TASKS_IN_FLIGHT * stage.concurrency,
                max_concurrent_calls_per_actor=1 if alone else stage.concurrency,
                enable_true_multi_threading=stage.concurrency > 1,
            ),
            batch_size=1 if number == 0 else stage.batch,
            batch_format="pyarrow",
            num_cpus=stage.cpus,
            num_gpus=stage.gpus or None,
            # Said also where it is nothing: Ray Data would ask for as much as a block that it has seen, which is a
            # few bytes here, and no node type that is configured without memory has even those.
            memory=stage.memory_mb * MIB,
            label_selector=capacity.placement.selector(capacity.nodes, stage.gpus > 0) or None,
            max_task_retries=0 if alone else RAY_RETRIES,
        )
    return dataset


def _sizes(stages: Sequence[Stage], capacity: Capacity, videos: int, alone: bool) -> list[Pool]:
    """Pools of the stages; the first is never larger than there are videos for it."""
    first, *others = pools(stages, capacity.nodes, capacity.largest, capacity.placement, bounded=capacity.bounded)
    if alone:
        return [Pool(start=1, most=1)] * len(stages)
    most = videos if first.most is None else min(first.most, videos)
    return [Pool(start=min(first.start, videos), most=most), *others]


def _mapped(dataset: Dataset, function: type, **options: Any) -> Dataset:
    """`map_batches`, with the one option that Ray 2.60 takes only in a way that it calls deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        return dataset.map_batches(function, **options)


def _context(errored_blocks: int) -> DataContext:
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.max_errored_blocks = errored_blocks
    context.max_consecutive_actor_init_deaths = START_DEATHS
    context.execution_options = ExecutionOptions(preserve_order=False)
    # One row a block: Ray hands a task's output on when a block is full, and neither receipts nor clips may
    # wait for the end of a film. With larger blocks all videos of a partition would also go to one actor.
    context.target_max_block_size = 1
    context._max_num_blocks_in_streaming_gen_buffer = BLOCKS_AHEAD
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="The minimum number of concurrent actors")  # fewer videos came than told
    return context


def _table(receipt: Receipt) -> pa.Table:
    return pa.Table.from_pylist([receipt.to_row()], schema=RECEIPT_SCHEMA)
