"""Verifying a run: every named shard is there and whole, and its rows are what the marker counts.

Both equations of "complete" are worked out anew from the shards: videos = done + partial + failed, and
for every video record, clips 0 … n−1 are each kept, dropped or failed, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from operators.errors import StorageError
from store.layout import RUN, SUCCESS, ShardKind, manifest_key, marker_key
from store.markers import Marker, ShardEntry, latest_generations, read_marker, read_success
from store.objects import ObjectMissing, ObjectStore
from store.overlay import lay, settle
from store.run_record import RunRecord, read_run
from store.schema import VERDICT_SCHEMA, VIDEO_SCHEMA, clip_schema
from store.shards import damage, decode, without
from store.threads import ahead

PARTITIONS_AHEAD = 8

_CLIP = clip_schema((), keep_media=False)
_READ: Mapping[ShardKind, pa.Schema] = {
    "clips": pa.schema([_CLIP.field(name) for name in VERDICT_SCHEMA.names]),
    "failed": pa.schema([_CLIP.field(name) for name in ("clip_id", "video_id", "clip_index", "error")]),
    "videos": pa.schema([VIDEO_SCHEMA.field(name) for name in ("video_id", "status", "n_clips", "error")]),
    "verdicts": VERDICT_SCHEMA,
}


@dataclass(frozen=True)
class Finding:
    """Something wrong. `partition` is None for what concerns the whole run; `key` names the object."""

    partition: int | None
    key: str
    problem: str


def verify(store: ObjectStore) -> Iterator[Finding]:
    """Everything wrong with the latest generation of every committed partition, in order of partitions.

    Partitions that are not committed are no finding. Raises `StorageError` only where the store does not
    answer at all.
    """
    generations = latest_generations(store)
    try:
        run = read_run(store)
    except StorageError as problem:
        run = None
        yield Finding(None, RUN, str(problem))
    else:
        if run is None:
            yield Finding(None, RUN, "missing")
    yield from _check_success(store, generations, run)
    seen: dict[str, int] = {}
    items = generations.items()
    for checked in ahead(lambda item: _check_partition(store, *item, run), items, PARTITIONS_AHEAD, PARTITIONS_AHEAD):
        yield from checked.findings
        for video_id in checked.video_ids:
            first = seen.setdefault(video_id, checked.partition)
            if first != checked.partition:
                yield checked.about(manifest_key(checked.partition), f"video {video_id} is in partition {first} too")


@dataclass
class _Checked:
    """One partition under examination."""

    partition: int
    findings: list[Finding] = field(default_factory=list)
    video_ids: tuple[str, ...] = ()

    def about(self, key: str, problem: str) -> Finding:
        return Finding(self.partition, key, problem)

    def note(self, key: str, problem: str) -> None:
        self.findings.append(self.about(key, problem))


def _check_success(store: ObjectStore, generations: Mapping[int, int], run: RunRecord | None) -> Iterator[Finding]:
    try:
        named = read_success(store)
    except StorageError as problem:
        yield Finding(None, SUCCESS, str(problem))
        return
    if named is None:
        return
    for partition, generation in named.items():
        if generations.get(partition, 0) < generation:
            yield Finding(partition, marker_key(partition, generation), f"missing, and named by {SUCCESS}")
    if run is not None and len(named) not in _complete_sizes(run):
        yield Finding(None, SUCCESS, f"names {len(named)} of {run.n_partitions} partitions")


def _complete_sizes(run: RunRecord) -> set[int]:
    """Partitions of the run, now and before each append: what was complete then stays readable while it grows."""
    return {run.n_partitions, *(append.first_partition for append in run.appended)}


def _check_partition(store: ObjectStore, partition: int, generation: int, run: RunRecord | None) -> _Checked:
    checked = _Checked(partition)
    key = marker_key(partition, generation)
    try:
        marker = read_marker(store, partition, generation)
    except StorageError as problem:
        checked.note(key, str(problem))
        return checked
    if run is not None and marker.fingerprint != run.fingerprint:
        checked.note(key, f"committed by another chain: {marker.fingerprint}, not {run.fingerprint}")
    if run is not None and partition >= run.n_partitions:
        checked.note(key, f"the run has only {run.n_partitions} partitions")
    tables: dict[str, list[pa.Table]] = {kind: [schema.empty_table()] for kind, schema in _READ.items()}
    for entry in marker.shards:
        table = _check_shard(store, entry, checked)
        if table is not None:
            tables[entry.kind].append(table)
    if not checked.findings:
        _check_rows(store, marker, {kind: pa.concat_tables(parts) for kind, parts in tables.items()}, checked)
    return checked


def _check_shard(store: ObjectStore, entry: ShardEntry, checked: _Checked) -> pa.Table | None:
    try:
        data = store.get(entry.key)
        if problem := damage(entry, data):
            checked.note(entry.key, problem)
            return None
        schema = _READ[entry.kind]
        table = decode(entry.key, data, schema.names)
        if table.num_rows != entry.rows:
            checked.note(entry.key, f"holds {table.num_rows} rows; its marker says {entry.rows}")
            return None
        return without(table.select(schema.names).cast(schema), entry.exclude)
    except ObjectMissing:
        checked.note(entry.key, "missing")
    except StorageError as problem:
        checked.note(entry.key, str(problem))
    except (KeyError, pa.ArrowException) as problem:
        checked.note(entry.key, f"its columns are not those of the schema: {problem}")
    return None


def _check_rows(store: ObjectStore, marker: Marker, tables: Mapping[str, pa.Table], checked: _Checked) -> None:
    key = marker_key(marker.partition, marker.generation)
    clips = lay(tables["clips"], tables["verdicts"]).to_pylist()
    failed = tables["failed"].to_pylist()
    lost = [row for row in failed if row["clip_index"] is not None]
    videos = settle(tables["videos"], tables["failed"]).to_pylist()
    for problem in (
        *_twice("clip", [row["clip_id"] for row in (*clips, *lost)]),
        *_twice("video", [row["video_id"] for row in videos]),
        *_unlike_their_ids((*clips, *lost)),
        *_incomplete(videos, (*clips, *lost)),
        *_unexplained(videos, failed),
        *_miscounted(marker, _counts(videos, clips, lost, failed)),
    ):
        checked.note(key, problem)
    _check_manifest(store, marker, videos, checked)


def _twice(what: str, ids: list[str | None]) -> Iterator[str]:
    doubled = [name for name, count in Counter(ids).items() if count > 1]
    if doubled:
        yield f"{len(doubled)} {what}s are there more than once, such as {doubled[0]}"


def _unlike_their_ids(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        if row["clip_index"] is None or row["clip_id"] != f"{row['video_id']}_{row['clip_index']:07d}":
            yield f"clip_id {row['clip_id']} is not that of clip {row['clip_index']} of video {row['video_id']}"
            return


def _incomplete(videos: list[dict[str, Any]], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    found: dict[str, set[int]] = {row["video_id"]: set() for row in videos}
    strangers: Counter[str] = Counter()
    for row in rows:
        if row["video_id"] in found:
            found[row["video_id"]].add(row["clip_index"])
        else:
            strangers[row["video_id"]] += 1
    for video_id, count in strangers.items():
        yield f"video {video_id} has {count} clips but no video record"
    for row in videos:
        indices, expected = found[row["video_id"]], set(range(row["n_clips"] or 0))
        if missing := expected - indices:
            yield f"video {row['video_id']}: clips {ranges(missing)} of {row['n_clips']} are missing"
        if beyond := indices - expected:
            yield f"video {row['video_id']}: clips {ranges(beyond)} are beyond its {row['n_clips']}"


def _unexplained(videos: list[dict[str, Any]], failed: list[dict[str, Any]]) -> Iterator[str]:
    if any(row["error"] is None for row in failed):
        yield "failed/ has rows without an error"
    told = {row["video_id"] for row in failed}
    for row in videos:
        if row["status"] not in ("done", "partial", "failed"):
            yield f"video {row['video_id']} has the status {row['status']!r}"
        elif row["status"] != "done" and row["video_id"] not in told:
            yield f"video {row['video_id']} is {row['status']} without a row in failed/"


def _counts(
    videos: list[dict[str, Any]],
    clips: list[dict[str, Any]],
    lost: list[dict[str, Any]],
    failed: list[dict[str, Any]],
) -> dict[str, Counter[Any]]:
    dropped = sum(row["drop_reason"] is not None for row in clips)
    return {
        "videos": Counter(row["status"] for row in videos),
        "clips": Counter({"kept": len(clips) - dropped, "dropped": dropped, "failed": len(lost)}),
        "tiers": Counter(row["tier"] for row in clips if row["tier"]),
        "drop_reasons": Counter(row["drop_reason"] for row in clips if row["drop_reason"]),
        "hq_drop_reasons": Counter(row["hq_drop_reason"] for row in clips if row["hq_drop_reason"]),
        "failures": Counter((row["error"]["operator"], row["error"]["kind"]) for row in failed if row["error"]),
    }


def _miscounted(marker: Marker, counts: Mapping[str, Counter[Any]]) -> Iterator[str]:
    said: dict[str, Mapping[Any, int]] = {name: getattr(marker, name) for name in counts if name != "failures"}
    said["failures"] = {(tally.operator, tally.kind): tally.count for tally in marker.failures}
    for name, counted in counts.items():
        stated = Counter(said[name])
        for what in sorted({*stated, *counted}, key=str):
            if stated[what] != counted[what]:
                label = " ".join(map(str, what)) if isinstance(what, tuple) else what
                yield f"the marker counts {stated[what]} {name} {label}; its shards hold {counted[what]}"


def _check_manifest(store: ObjectStore, marker: Marker, videos: list[dict[str, Any]], checked: _Checked) -> None:
    key = manifest_key(marker.partition)
    try:
        table = pq.ParquetFile(pa.BufferReader(store.get(key))).read(columns=["video_id"])
        listed = table["video_id"].to_pylist()
    except ObjectMissing:
        checked.note(key, "missing")
        return
    except (pa.ArrowException, OSError, ValueError, KeyError, StorageError) as problem:
        checked.note(key, f"cannot be read: {problem}")
        return
    checked.video_ids = tuple(listed)
    there = {row["video_id"] for row in videos}
    for problem in _twice("video", listed):
        checked.note(key, problem)
    if missing := [video_id for video_id in listed if video_id not in there]:
        checked.note(key, f"{len(missing)} videos have no record, such as {missing[0]}")
    if strangers := sorted(there - set(listed)):
        checked.note(key, f"{len(strangers)} video records are of no listed video, such as {strangers[0]}")


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in words: {0, 1, 2, 5} is "0–2, 5"; after ten ranges, "…"."""
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    words = [str(first) if first == last else f"{first}–{last}" for first, last in parts]
    return ", ".join(words[:10]) + (", …" if len(words) > 10 else "")
