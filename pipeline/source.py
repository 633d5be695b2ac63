"""Feeds the graph: one block per video, from nearly free read tasks, a few partitions at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from ray.data import DataContext
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from pipeline.worker import Task
from store.manifest import read_partition
from store.objects import ObjectStore

TASK_BYTES = 1_000
"""Rough size of a task's row, for Ray's estimates."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Videos of one partition to feed. `known` holds what earlier work left of a video, by video_id."""

    partition: int
    n_videos: int
    skip: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def tasks(self, store: ObjectStore) -> Iterator[Task]:
        """The tasks, in manifest order; reads the partition's manifest."""
        for entry in read_partition(store, self.partition):
            if entry.video_id in self.skip or (self.only is not None and entry.video_id not in self.only):
                continue
            video = {
                "video_id": entry.video_id,
                "uri": entry.uri,
                "size": entry.size,
                "etag": entry.etag,
                "extra": entry.extra,
            }
            known = {"have": {}, **self.known.get(entry.video_id, {})}
            yield Task(partition=self.partition, video=video, **known)


def to_row(task: Task) -> dict[str, str]:
    """A task as the one-column row that travels through Ray."""
    facts = {
        "partition": task.partition,
        "video": task.video,
        "take": task.take,
        "have": [[index, *span] for index, span in task.have.items()],
        "strikes": task.strikes,
        "alone": task.alone,
    }
    return {"task": json.dumps(facts)}


def from_row(row: Mapping[str, str]) -> Task:
    """Read back what `to_row` wrote."""
    facts = json.loads(row["task"])
    facts["have"] = {index: (first, end) for index, first, end in facts["have"]}
    return Task(**facts)


class VideoSource(Datasource):
    """One read task per partition, which yields its videos one block each."""

    def __init__(self, store: ObjectStore, batches: Sequence[Batch]) -> None:
        super().__init__()
        self._store = store
        self._batches = tuple(batches)

    def estimate_inmemory_data_size(self) -> int:
        return TASK_BYTES * sum(batch.n_videos for batch in self._batches)

    def get_read_tasks(
        self,
        parallelism: int,
        per_task_row_limit: int | None = None,
        data_context: DataContext | None = None,
    ) -> list[ReadTask]:
        return [
            ReadTask(
                _reader(self._store, batch),
                BlockMetadata(
                    num_rows=batch.n_videos, size_bytes=TASK_BYTES * batch.n_videos, input_files=None, exec_stats=None
                ),
                schema=pa.schema([("task", pa.string())]),
            )
            for batch in self._batches
        ]


def _reader(store: ObjectStore, batch: Batch) -> Callable[[], Iterator[pa.Table]]:
    def read() -> Iterator[pa.Table]:
        for task in batch.tasks(store):
            yield pa.Table.from_pylist([to_row(task)])

    return read
