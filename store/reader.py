"""Reading a run, finished or not: through its markers, without excluded rows, with verdicts applied.

import store

data = store.open("out/")
for table in data.clips(columns=["clip_id", "merge_caption"], tier="hq"):
    ...
frame = data.to_table(["clip_id", "caption"]).to_pandas()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from operators.errors import ConfigurationError
from store.layout import ShardKind
from store.markers import Marker, ShardEntry, read_markers
from store.objects import ObjectStore, open_store
from store.overlay import VERDICT_COLUMNS, lay, settle
from store.run_record import RunRecord, read_run
from store.schema import VERDICT_SCHEMA, VIDEO_SCHEMA, clip_schema
from store.shards import read_shard
from store.threads import ahead

READ_AHEAD = 4  # shards in memory beside the one in hand; with media kept, a shard is some 64 MiB


@dataclass(frozen=True, kw_only=True)
class ShardPath:
    """A shard for another engine to read: its URL, and the numbers of the rows to skip."""

    url: str
    partition: int
    rows: int
    exclude: tuple[int, ...]


class Dataset:
    """The committed rows of a run, as they were when it was opened. Later commits do not change it."""

    def __init__(self, store: ObjectStore, run: RunRecord, markers: Mapping[int, Marker]) -> None:
        self.store = store
        self.run = run
        self.markers = dict(sorted(markers.items()))

    def clips(
        self, columns: Sequence[str] | None = None, *, tier: str | None = None, dropped: bool = False
    ) -> Iterator[pa.Table]:
        """Clips by partition, a table per shard, in the order they were written; empty tables are left out.

        Args:
            columns: the columns to read, in this order; all by default.
            tier: only clips of this tier; by default all that were kept. Every hq clip is also worth the
                visual tier, but carries `hq` alone.
            dropped: also clips that no tier kept, with their `drop_reason`. Not together with `tier`.

        Raises `ConfigurationError` for an unknown column and `StorageError` for a damaged shard.
        """
        if tier is not None and dropped:
            raise ConfigurationError("dropped clips have no tier: ask for a tier or for dropped clips")

        def read(place: tuple[Marker, ShardEntry]) -> pa.Table:
            marker, entry = place
            table = self._shard(entry, columns, ("clip_id", *VERDICT_COLUMNS))
            table = lay(table, self._verdicts(marker))
            if tier is not None:
                table = table.filter(pc.field("tier") == tier)
            elif not dropped:
                table = table.filter(pc.field("drop_reason").is_null())
            return table if columns is None else table.select(list(columns))

        return (table for table in ahead(read, self._places("clips"), READ_AHEAD, READ_AHEAD) if table.num_rows)

    def videos(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Video records, a table per partition. A video that is done but lost a clip reads `partial`."""

        def read(marker: Marker) -> pa.Table:
            lost = [self._shard(entry, ("video_id", "clip_index")) for entry in _named(marker, "failed")]
            found = [self._shard(entry, columns, ("video_id", "status")) for entry in _named(marker, "videos")]
            table = pa.concat_tables(found) if found else VIDEO_SCHEMA.empty_table()
            table = settle(table, pa.concat_tables(lost)) if lost else table
            return table if columns is None else table.select(list(columns))

        tables = ahead(read, self.markers.values(), READ_AHEAD, READ_AHEAD)
        return (table for table in tables if table.num_rows)

    def failed(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Rows with an `error`: clips, and whole videos with a null `clip_id`; a table per shard."""
        places = self._places("failed")
        tables = ahead(lambda place: self._shard(place[1], columns), places, READ_AHEAD, READ_AHEAD)
        return (table for table in tables if table.num_rows)

    def to_table(
        self, columns: Sequence[str] | None = None, *, tier: str | None = None, dropped: bool = False
    ) -> pa.Table:
        """All of `clips` as one table in memory."""
        tables = list(self.clips(columns, tier=tier, dropped=dropped))
        if tables:
            return pa.concat_tables(tables)
        empty = clip_schema((), keep_media=False).empty_table()
        return empty if columns is None else empty.select([name for name in columns if name in empty.column_names])

    def count(self, *, tier: str | None = None, dropped: bool = False) -> int:
        """How many clips `clips` would give, from the markers alone."""
        if tier is not None and dropped:
            raise ConfigurationError("dropped clips have no tier: ask for a tier or for dropped clips")
        if tier is not None:
            return sum(marker.tiers.get(tier, 0) for marker in self.markers.values())
        states = ("kept", "dropped") if dropped else ("kept",)
        return sum(marker.clips.get(state, 0) for marker in self.markers.values() for state in states)

    def paths(self, kind: ShardKind = "clips") -> list[ShardPath]:
        """The shards of one kind for another engine, in partition order.

        That engine must skip the rows in `exclude`, filter dropped clips itself, and, where
        `paths("verdicts")` is not empty, replace tier and reasons by `clip_id`.
        """
        return [
            ShardPath(
                url=f"{self.store.url.rstrip('/')}/{entry.key}",
                partition=marker.partition,
                rows=entry.rows,
                exclude=entry.exclude,
            )
            for marker, entry in self._places(kind)
        ]

    def __repr__(self) -> str:
        return f"<{self.store.url}: {len(self.markers)} of {self.run.n_partitions} partitions, {self.count()} clips>"

    def _places(self, kind: ShardKind) -> list[tuple[Marker, ShardEntry]]:
        return [(marker, entry) for marker in self.markers.values() for entry in _named(marker, kind)]

    def _shard(self, entry: ShardEntry, columns: Sequence[str] | None, also: Sequence[str] = ()) -> pa.Table:
        wanted = None if columns is None else list(dict.fromkeys([*columns, *also]))
        table = read_shard(self.store, entry, wanted)
        for name in columns or ():
            if name not in table.column_names:
                raise ConfigurationError(_unknown(name, read_shard(self.store, entry).column_names))
        return table

    def _verdicts(self, marker: Marker) -> pa.Table:
        tables = [read_shard(self.store, entry) for entry in _named(marker, "verdicts")]
        return pa.concat_tables(tables) if tables else VERDICT_SCHEMA.empty_table()


def open(output: str | Path | ObjectStore) -> Dataset:
    """The committed rows of the run at a folder or `s3://bucket/prefix`.

    Raises `ConfigurationError` where there is no run and `StorageError` where it cannot be read.
    """
    store = output if isinstance(output, ObjectStore) else open_store(output)
    markers = read_markers(store)  # before the run, which may grow: every marker is then of its partitions
    run = read_run(store)
    if run is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    return Dataset(store, run, markers)


def _named(marker: Marker, kind: ShardKind) -> list[ShardEntry]:
    return [entry for entry in marker.shards if entry.kind == kind]


def _unknown(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, 1)
    return f"there is no column {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
