"""What one Ray actor does: a video through the composed operators, in at most three fresh processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from uuid import uuid4

import pyarrow as pa

from operators.contract import OpenMedia, Operator, Row, row_error
from operators.errors import FATAL_KINDS, EngineError, RowError, StorageError
from pipeline.attempts import RESTARTED, STRIKES, Attempt, write_attempt
from pipeline.meter import Meter
from pipeline.reuse import Reuse
from pipeline.writer import ShardOptions, ShardWriter
from store.objects import ObjectStore

TRIES_IN_COMPANY = STRIKES - 1
"""Tries of a video beside others; the last one is alone."""


@dataclass(frozen=True, kw_only=True)
class WorkOrder:
    """Everything that an actor needs, pickled to it once.

    `session` is the lease's nonce, `epoch` its epoch; `beat_seconds` is how often it tells what it is at.
    """

    store: ObjectStore
    session: str
    epoch: int = 0
    schema: pa.Schema
    footer: dict[str, str]
    options: ShardOptions
    open_media: OpenMedia
    reuse: Reuse | None = None
    beat_seconds: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Task:
    """One video to do.

    `have` maps clip indices to the spans that storage holds already, `take` counts how often the
    video was begun anew, `strikes` its deaths so far; `alone` says that nothing else runs beside it.
    """

    partition: int
    video: Row
    take: int = 0
    have: dict[int, tuple[int, int]]
    strikes: int = 0
    alone: bool = False


class VideoWorker:
    """Runs the first stage: splits a video and annotates its clips, and survives its decoder's deaths."""

    def __init__(self, order: WorkOrder, operators: Sequence[Operator]) -> None:
        self._order = order
        self._operators = tuple(operators)
        for operator in self._operators:
            operator.open_media = order.open_media
            operator.setup()

    def rows(self, task: Task, meter: Meter) -> Iterator[Row]:
        """Clips of the video, then its record; or a row `record="suspect"` when only a lone try can tell."""
        have, take, strikes = dict(task.have), task.take, task.strikes
        for number in count(1):
            attempt = self._begin(task)
            given, begun_anew, death = bool(have), False, None
            for row in self._stamped(task, take, self._try(task, have, meter)):
                if row["record"] == "clip":
                    have[row["clip_index"]] = _span(row)
                    yield row
                elif row.get("restart") and given:
                    begun_anew = True
                elif row["record"] == "death" or _died(row):
                    death = row
                else:
                    yield row
            if begun_anew:
                self._write(task, replace(attempt, ended=RESTARTED))
                have, take = {}, take + 1
                continue
            if death is None:
                return
            strikes += 1
            error = death["error"]
            self._write(task, replace(attempt, ended=error["kind"], message=error["message"]))
            if strikes >= STRIKES and task.alone:
                yield {**verdict(task, error, have, take), **_facts(death)}
                return
            if task.alone or number >= TRIES_IN_COMPANY:
                yield {"record": "suspect", "video_id": task.video["video_id"], "partition": task.partition}
                return

    def _try(self, task: Task, have: dict[int, tuple[int, int]], meter: Meter) -> Iterator[Row]:
        split, *rest = self._operators
        reuse, place = self._order.reuse, (task.partition, task.video["video_id"])
        try:
            if reuse is not None and reuse.replays(*place):
                rows = _without(have, reuse.replay(*place))
            else:
                rows = meter.run([split], [{**task.video, "record": "video_in", "have": dict(have)}])
                rows = rows if reuse is None else reuse.restore(*place, rows)
            rows = meter.run(rest, rows)
            yield from rows if reuse is None else reuse.settled(rows)
        except (StorageError, EngineError):
            raise
        except Exception as problem:
            error = row_error("worker", problem)
            yield {"record": "death", "video_id": task.video["video_id"], "error": error}

    def _stamped(self, task: Task, take: int, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield {**row, "partition": task.partition, "take": take}

    def _begin(self, task: Task) -> Attempt:
        attempt = Attempt(
            video_id=task.video["video_id"],
            session=self._order.session,
            epoch=self._order.epoch,
            number=uuid4().hex[:12],
            alone=task.alone,
        )
        self._write(task, attempt)
        return attempt

    def _write(self, task: Task, attempt: Attempt) -> None:
        write_attempt(self._order.store, task.partition, attempt)


class ClipWorker:
    """Runs a later stage: clips through operators that need other resources."""

    def __init__(self, operators: Sequence[Operator]) -> None:
        self._operators = tuple(operators)
        for operator in self._operators:
            operator.setup()

    def rows(self, rows: Iterable[Row], meter: Meter) -> Iterator[Row]:
        """The rows, annotated; records that are not clips pass through."""
        return meter.run(self._operators, rows)


def new_writer(order: WorkOrder, meter: Meter) -> ShardWriter:
    """A writer for one task of the last stage."""
    return ShardWriter(order.store, order.schema, order.footer, order.options, meter.tallies)


def _died(row: Row) -> bool:
    error = row.get("error")
    return row["record"] == "video" and error is not None and error["kind"] in FATAL_KINDS


def _without(have: Mapping[int, tuple[int, int]], rows: Iterable[Row]) -> Iterator[Row]:
    stored = frozenset(have)
    return (row for row in rows if row["record"] != "clip" or row["clip_index"] not in stored)


def _facts(death: Row) -> Row:
    """What the decoder found out about a video before it died."""
    told = ("record", "status", "n_clips", "error")
    return {name: value for name, value in death.items() if name not in told and value is not None}


def _span(row: Row) -> tuple[int, int]:
    first, end = row["clip_start_end_idx"]
    return int(first), int(end)


def verdict(task: Task, error: RowError, have: Mapping[int, tuple[int, int]], take: int) -> Row:
    """The record of a video that took its process down too often: what came out before is kept."""
    n_clips = next(index for index in count() if index not in have)
    return {
        "record": "video",
        "video_id": task.video["video_id"],
        "video_path": task.video["uri"],
        "size": task.video["size"],
        "etag": task.video["etag"],
        "extra": task.video["extra"],
        "status": "partial" if n_clips else "failed",
        "n_clips": n_clips,
        "error": {**error, "message": f"{error['message']} ({STRIKES} attempts, the last one alone)"},
        "partition": task.partition,
        "take": take,
    }
