"""Small shards of a complete partition merged into one of each kind, in manifest order.

Workers write a shard per video and minute, so that little is lost when one dies. Readers want few,
sorted files. The merge happens once, when a partition is complete and before its marker names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from uuid import uuid4

import numpy as np
import pyarrow as pa

from pipeline.receipt import TAKES
from store.markers import ShardEntry
from store.objects import ObjectStore
from store.shards import read_shard, write_shard
from store.threads import in_threads

LARGEST = 128 << 20
"""Bytes of shards that the driver merges; runs that keep media stay as they were written."""


def compact(
    store: ObjectStore,
    partition: int,
    entries: Sequence[ShardEntry],
    order: Mapping[str, int],
    footer: Mapping[str, str],
    takes: Mapping[str, int],
) -> tuple[ShardEntry, ...]:
    """One shard of each kind with the rows that count, sorted by `order` of the video and clip index.

    `takes` says how often videos were begun anew, for a later run that finds rows of older takes beside.
    Shards of more than `LARGEST` bytes together are returned as they are.
    """
    if sum(entry.bytes for entry in entries) > LARGEST:
        return tuple(entries)
    footer = {**footer, TAKES: json.dumps(takes, sort_keys=True)}
    merged = []
    for kind in ("clips", "videos", "failed"):
        of_kind = [entry for entry in entries if entry.kind == kind]
        if of_kind:
            table = _sorted(pa.concat_tables(in_threads(lambda entry: read_shard(store, entry), of_kind)), order)
            merged.append(write_shard(store, kind, partition, uuid4().hex, table, footer))
    return tuple(merged)


def _sorted(table: pa.Table, order: Mapping[str, int]) -> pa.Table:
    videos = np.array([order[video_id] for video_id in table["video_id"].to_pylist()])
    clips = np.full(len(videos), -1)
    if "clip_index" in table.column_names:
        clips = np.array([-1 if index is None else index for index in table["clip_index"].to_pylist()])
    return table.take(pa.array(np.lexsort((clips, videos))))
