"""Writes finished rows as shards and says so in receipts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

import pyarrow as pa

from operators.contract import Row, row_error
from pipeline.meter import added
from pipeline.receipt import TAKES, Contents, Receipt, describe
from pipeline.transit import HALT, media_bytes
from store.markers import OperatorTally
from store.objects import ObjectStore
from store.schema import VIDEO_SCHEMA, failed_row, fitting, to_table
from store.shards import write_shard
from store.tensors import tensor_bytes


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """When a shard is closed: at so many rows or bytes of media and tensors, or when its oldest row is so old."""

    rows: int = 1024
    media_bytes: int = 64 << 20
    seconds: float = 15.0


@dataclass
class _Open:
    """Rows of one partition that are not written yet, and what was written of it by this task."""

    since: float
    clips: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    videos: list[Row] = field(default_factory=list)
    tallies: list[Mapping[str, OperatorTally]] = field(default_factory=list)
    media_bytes: int = 0
    halted: str = ""
    written: list[Contents] = field(default_factory=list)

    def rows(self) -> int:
        return len(self.clips) + len(self.failed) + len(self.videos)


class ShardWriter:
    """Writes the rows of one task. Clips and failed rows are stored before the video record that counts them."""

    def __init__(
        self,
        store: ObjectStore,
        schema: pa.Schema,
        footer: Mapping[str, str],
        options: ShardOptions,
        tallies: Callable[[], Mapping[str, OperatorTally]],
    ) -> None:
        self._store = store
        self._schema = schema
        self._footer = footer
        self._options = options
        self._tallies = tallies
        self._task = uuid4().hex
        self._open: dict[int, _Open] = {}
        self._number = 0

    def write(self, rows: Iterable[Row]) -> Iterator[Receipt]:
        """Store `rows`; yield a receipt after each flush, and a last one for every partition met."""
        for row in rows:
            partition = self._take_in(row)
            state = self._open[partition]
            full = state.rows() >= self._options.rows or state.media_bytes >= self._options.media_bytes
            if full or state.halted or monotonic() - state.since >= self._options.seconds:
                yield self._flush(partition)
        for partition in sorted(self._open):
            yield self._flush(partition)

    def _take_in(self, row: Row) -> int:
        partition = row["partition"]
        state = self._open.setdefault(partition, _Open(since=monotonic()))
        if state.rows() == 0:
            state.since = monotonic()
        for tallies in row.get("tallies", ()):
            state.tallies.append({name: OperatorTally(**tally) for name, tally in tallies.items()})
        if row["record"] == "video":
            video = _fitted(row)
            state.videos.append(video)
            if video.get("error"):
                state.failed.append(video)
        elif row["record"] == HALT:
            state.halted = row["message"]
        elif row["record"] == "clip":
            (state.failed if row.get("error") else state.clips).append(row)
            state.media_bytes += media_bytes(row) if self._keeps_media() else tensor_bytes(row)
        return partition

    def _keeps_media(self) -> bool:
        return "keyframes" in self._schema.names

    def _flush(self, partition: int) -> Receipt:
        state = self._open[partition]
        takes = _void_earlier_takes(state)
        clips, misfits = fitting(state.clips, self._schema)
        bad = {id(row) for row, _ in misfits}
        rows = [row for row in state.clips if id(row) not in bad]
        failed = [*state.failed]
        failed += [{**row, "error": row_error("schema", problem)} for row, problem in misfits]
        failed = [failed_row(row, row["error"], self._schema) for row in failed]
        self._put("clips", partition, rows, clips, takes)
        self._put("failed", partition, failed, to_table(failed, self._schema), takes)
        self._put("videos", partition, state.videos, to_table(state.videos, VIDEO_SCHEMA), takes)
        state.clips, state.failed, state.videos, state.media_bytes = [], [], [], 0
        return Receipt(
            task=self._task,
            partition=partition,
            shards=tuple(state.written),
            operators=added(*state.tallies, self._tallies()),
            halted=state.halted,
        )

    def _put(self, kind: str, partition: int, rows: list[Row], table: pa.Table, takes: Mapping[str, int]) -> None:
        if not rows:
            return
        here = {row["video_id"] for row in rows}
        takes = {video_id: take for video_id, take in takes.items() if take and video_id in here}
        name = f"{self._task}-{self._number:04d}"
        self._number += 1
        footer = {**self._footer, TAKES: json.dumps(takes, sort_keys=True)}
        entry = write_shard(self._store, kind, partition, name, table, footer)
        self._open[partition].written.append(describe(entry, rows, takes))


def _void_earlier_takes(state: _Open) -> dict[str, int]:
    """The take of each video; rows of a video from before it was begun anew are taken out."""
    takes: dict[str, int] = {}
    for row in (*state.clips, *state.failed, *state.videos):
        takes[row["video_id"]] = max(row.get("take") or 0, takes.get(row["video_id"], 0))
    for rows in (state.clips, state.failed, state.videos):
        rows[:] = [row for row in rows if (row.get("take") or 0) == takes[row["video_id"]]]
    return takes


def _fitted(video: Row) -> Row:
    """The record itself, or what of it fits its columns, with the reason as its error."""
    _, misfits = fitting([video], VIDEO_SCHEMA)
    if not misfits:
        return video
    status = "partial" if video["n_clips"] else "failed"
    kept = failed_row(video, video.get("error") or row_error("schema", misfits[0][1]), VIDEO_SCHEMA)
    return {**kept, "status": status, "take": video.get("take", 0)}
