from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.compact import compact
from pipeline.receipt import TAKES
from store.local import LocalStore
from store.markers import ShardEntry
from store.objects import ObjectStore
from store.schema import VIDEO_SCHEMA, clip_schema, to_table
from store.shards import read_footer, read_shard, write_shard
from tests.pipeline.small_chain import clip_row, video_row

CLIPS = clip_schema((), keep_media=False)
FOOTER = {"chain": "abc"}
ORDER = {"z": 0, "a": 1}


@pytest.fixture
def entries(tmp_path: Path) -> tuple[ObjectStore, list[ShardEntry]]:
    store = LocalStore(str(tmp_path))

    def write(kind: str, name: str, rows: list[dict], exclude: tuple[int, ...] = ()) -> ShardEntry:
        table = to_table(rows, VIDEO_SCHEMA if kind == "videos" else CLIPS)
        return write_shard(store, kind, 0, name, table, FOOTER).model_copy(update={"exclude": exclude})

    error = {"operator": "score", "kind": "model", "message": "no"}
    return store, [
        write("clips", "1", [clip_row("a", 1), clip_row("z", 2), clip_row("z", 0)], exclude=(2,)),
        write("clips", "2", [clip_row("z", 10), clip_row("a", 0), clip_row("z", 0)]),
        write("failed", "3", [clip_row("z", 1, error=error), {"video_id": "z", "error": error}]),
        write("videos", "4", [video_row("a", 2), video_row("z", 3)]),
    ]


def test_each_kind_becomes_one_shard_in_manifest_order(entries: tuple[ObjectStore, list[ShardEntry]]):
    store, small = entries
    merged = {entry.kind: entry for entry in compact(store, 0, small, ORDER, FOOTER, {"z": 2})}
    assert {kind: (entry.rows, entry.exclude) for kind, entry in merged.items()} == {
        "clips": (5, ()),
        "failed": (2, ()),
        "videos": (2, ()),
    }
    rows = {kind: read_shard(store, entry).to_pylist() for kind, entry in merged.items()}
    assert [(row["video_id"], row["clip_index"]) for row in rows["clips"]] == [
        ("z", 0), ("z", 2), ("z", 10), ("a", 0), ("a", 1),
    ]  # fmt: skip
    assert [row["clip_index"] for row in rows["failed"]] == [None, 1]
    assert [row["video_id"] for row in rows["videos"]] == ["z", "a"]
    facts = read_footer(store, merged["clips"].key, merged["clips"].bytes)
    assert facts["chain"] == "abc"
    assert json.loads(facts[TAKES]) == {"z": 2}


def test_large_partitions_stay_as_they_were_written(
    entries: tuple[ObjectStore, list[ShardEntry]], monkeypatch: pytest.MonkeyPatch
):
    store, small = entries
    monkeypatch.setattr("pipeline.compact.LARGEST", sum(entry.bytes for entry in small) - 1)
    before = [info.key for info in store.list()]
    assert compact(store, 0, small, ORDER, FOOTER, {}) == tuple(small)
    assert [info.key for info in store.list()] == before


def test_a_partition_of_videos_without_clips_has_records_only(tmp_path: Path):
    store = LocalStore(str(tmp_path))
    table = to_table([video_row("a", 0)], VIDEO_SCHEMA)
    entry = write_shard(store, "videos", 0, "1", table, FOOTER)
    (merged,) = compact(store, 0, [entry], ORDER, FOOTER, {})
    assert (merged.kind, merged.rows) == ("videos", 1)
