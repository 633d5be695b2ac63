"""Small runs with real storage and without Ray: a folder of videos, worked on in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from operators.contract import Operator, Row
from pipeline.chain import fingerprint, lineages
from pipeline.commit import Committer
from pipeline.meter import Meter
from pipeline.opening import Run, open_run
from pipeline.receipt import Receipt
from pipeline.reuse import Reuse
from pipeline.salvage import CHAIN, PACKAGE, SCHEMA
from pipeline.source import Batch
from pipeline.worker import VideoWorker, WorkOrder, new_writer
from pipeline.writer import ShardOptions
from store.lease import Lease
from store.markers import latest_generations
from store.objects import ObjectStore, open_store
from store.reader import open as open_run_output
from store.run_record import package_version
from store.schema import SCHEMA_VERSION, clip_schema
from tests.pipeline.small_chain import no_media


def make_videos(folder: Path, count: int) -> Path:
    """Files that are named like videos; the small chain opens none of them."""
    folder.mkdir()
    for number in range(count):
        (folder / f"film{number}.mp4").write_bytes(b"not really")
    return folder


def a_run(videos: Path, output: Path, operators: Sequence[Operator], **options: Any) -> Run:
    config = {operator.name: operator.settings.model_dump(mode="json") for operator in operators}
    return Run(job="small", input=str(videos), output=str(output), chain=operators, config=config, **options)


def footer_of(run: Run) -> dict[str, str]:
    chain = fingerprint(lineages(run.chain))
    return {CHAIN: chain, PACKAGE: package_version(), SCHEMA: str(SCHEMA_VERSION)}


def order_of(run: Run, store: ObjectStore, reuse: Reuse | None = None, session: str = "s" * 32) -> WorkOrder:
    return WorkOrder(
        store=store,
        session=session,
        schema=clip_schema([operator.writes for operator in run.chain], run.keep_media),
        footer=footer_of(run),
        options=ShardOptions(),
        open_media=no_media,
        reuse=reuse,
    )


def receipts_of(run: Run, order: WorkOrder, partition: int) -> Iterator[Receipt]:
    worker = VideoWorker(order, run.chain)
    for task in Batch(partition=partition, n_videos=run.partition_size).tasks(order.store):
        meter = Meter(run.chain)
        yield from new_writer(order, meter).write(worker.rows(task, meter))


@contextmanager
def committer_of(run: Run, store: ObjectStore) -> Iterator[Committer]:
    with Lease.acquire(store, term=30) as lease:
        footer = footer_of(run)
        yield Committer(store, lease, footer[CHAIN], latest_generations(store), footer)


def execute(run: Run) -> Reuse | None:
    """Do the whole run, and commit every partition."""
    store = open_store(run.output)
    record, reuse = open_run(run, store)
    with committer_of(run, store) as committer:
        for partition in range(record.n_partitions):
            for receipt in receipts_of(run, order_of(run, store, reuse), partition):
                committer.take(receipt)
        assert committer.committed == set(range(record.n_partitions))
    return reuse


def clips_in(output: Path) -> list[Row]:
    """All committed clips, in order."""
    dataset = open_run_output(str(output))
    rows = [row for table in dataset.clips(dropped=True) for row in table.to_pylist()]
    return sorted(rows, key=lambda row: row["clip_id"])
