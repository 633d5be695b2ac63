from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.receipt import TAKES, VIDEO_LEVEL, Receipt
from pipeline.writer import ShardOptions, ShardWriter
from store.local import LocalStore
from store.markers import OperatorTally
from store.schema import clip_schema
from store.shards import list_shards, read_footer, read_shard
from tests.pipeline.small_chain import clip_row, video_row

FOOTER = {"chain": "abc", "package_version": "1", "schema_version": "1"}
ERROR = {"operator": "score", "kind": "model", "message": "no"}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def stamped(row: dict[str, Any], partition: int = 0, take: int = 0) -> dict[str, Any]:
    return {**row, "partition": partition, "take": take}


def writer(store: LocalStore, *, keep_media: bool = False, **options: Any) -> ShardWriter:
    tallies = {"split": OperatorTally(clips=1, seconds=2.0)}
    return ShardWriter(store, clip_schema((), keep_media), FOOTER, ShardOptions(**options), lambda: tallies)


def stored(store: LocalStore, receipts: Sequence[Receipt], kind: str) -> list[dict[str, Any]]:
    shards = {shard.entry.key: shard.entry for receipt in receipts for shard in receipt.shards}
    return [row for entry in shards.values() if entry.kind == kind for row in read_shard(store, entry).to_pylist()]


def film(video_id: str, n_clips: int, **columns: Any) -> list[dict[str, Any]]:
    rows = [clip_row(video_id, index, **columns) for index in range(n_clips)]
    return [stamped(row) for row in (*rows, video_row(video_id, n_clips))]


def test_everything_is_stored_and_described(store: LocalStore):
    rows = [*film("v", 3), stamped(clip_row("w", 0, error=ERROR)), stamped(video_row("w", 1))]
    (receipt,) = writer(store).write(rows)
    assert [row["clip_index"] for row in stored(store, [receipt], "clips")] == [0, 1, 2]
    assert [row["error"]["kind"] for row in stored(store, [receipt], "failed")] == ["model"]
    assert [row["n_clips"] for row in stored(store, [receipt], "videos")] == [3, 1]
    assert receipt.operators["split"].seconds == 2.0
    assert {shard.entry.key for shard in receipt.shards} == {info.key for info in list_shards(store, 0)}
    ledger = Ledger(0, ["v", "w"])
    ledger.add_receipt(receipt)
    assert ledger.complete()
    assert ledger.video_counts() == {"done": 1, "partial": 1, "failed": 0}


def test_a_shard_is_closed_when_it_has_its_rows_and_receipts_repeat_what_came_before(store: LocalStore):
    receipts = list(writer(store, rows=2).write(film("v", 5)))
    assert [sum(shard.entry.rows for shard in receipt.shards) for receipt in receipts] == [2, 4, 6, 6]
    for before, after in pairwise(receipts):
        assert after.shards[: len(before.shards)] == before.shards
    assert len({receipt.task for receipt in receipts}) == 1
    ledger = Ledger(0, ["v"])
    ledger.add_receipt(receipts[-1])  # the others never came
    assert ledger.complete()


def test_a_shard_is_closed_when_its_oldest_row_is_old(store: LocalStore):
    receipts = writer(store, seconds=0).write(iter(film("v", 2)))
    assert sum(shard.entry.rows for shard in next(receipts).shards) == 1
    assert len(list(receipts)) == 3


@pytest.mark.parametrize(("keep_media", "closed_early"), [(True, True), (False, False)])
def test_a_shard_is_closed_by_its_media_where_they_are_written(
    store: LocalStore, keep_media: bool, closed_early: bool
):
    rows = film("v", 4, keyframes=[bytes(600), bytes(600)], audio=bytes(800))
    receipts = list(writer(store, keep_media=keep_media, media_bytes=4000).write(rows))
    assert (len(receipts) == 3) == closed_early
    columns = stored(store, receipts, "clips")[0]
    assert ("audio" in columns) == keep_media


def test_clips_are_stored_before_the_record_that_counts_them(store: LocalStore):
    order: list[str] = []
    put = store.put

    def noted(key: str, data: bytes) -> str:
        order.append(key.split("/")[0])
        return put(key, data)

    store.put = noted
    list(writer(store).write([*film("v", 2), stamped(clip_row("v", 2, error=ERROR))]))
    assert order == ["clips", "failed", "videos"]


def test_a_row_that_does_not_fit_becomes_a_failed_row_and_nothing_else_is_lost(store: LocalStore):
    rows = film("v", 4)
    rows[1]["sharpness"] = float("inf")
    rows[2]["caption"] = "\ud800"
    (receipt,) = writer(store).write(rows)
    assert [row["clip_index"] for row in stored(store, [receipt], "clips")] == [0, 3]
    failed = stored(store, [receipt], "failed")
    assert [row["clip_index"] for row in failed] == [1, 2]
    assert [row["error"]["operator"] for row in failed] == ["schema", "schema"]
    assert "sharpness" in failed[0]["error"]["message"]
    assert failed[0]["clip_start_end_idx"] == [100, 200]
    ledger = Ledger(0, ["v"])
    ledger.add_receipt(receipt)
    assert ledger.complete()
    assert ledger.clip_counts() == {"kept": 2, "dropped": 0, "failed": 2}


def test_a_record_that_does_not_fit_is_stored_as_far_as_it_does_with_the_reason(store: LocalStore):
    rows = film("v", 2)
    rows[-1] |= {"video_duration": float("inf"), "codec": "h264"}
    (receipt,) = writer(store).write(rows)
    (record,) = stored(store, [receipt], "videos")
    assert (record["status"], record["n_clips"], record["codec"]) == ("partial", 2, "h264")
    assert record["video_duration"] is None
    assert "video_duration" in record["error"]["message"]
    (failed,) = stored(store, [receipt], "failed")
    assert (failed["video_id"], failed["clip_index"], failed["error"]) == ("v", None, record["error"])
    ledger = Ledger(0, ["v"])
    ledger.add_receipt(receipt)
    assert ledger.complete()
    assert ledger.video_counts() == {"done": 0, "partial": 1, "failed": 0}


def test_a_failed_video_is_in_failed_and_in_videos(store: LocalStore):
    row = stamped(video_row("v", 0, status="failed", error=ERROR))
    (receipt,) = writer(store).write([row])
    (line,) = (line for shard in receipt.shards if shard.entry.kind == "failed" for line in shard.clips)
    assert line.index == VIDEO_LEVEL
    assert [video["status"] for video in stored(store, [receipt], "videos")] == ["failed"]


def test_partitions_of_a_block_are_kept_apart(store: LocalStore):
    rows = [stamped(clip_row(f"v{p}", 0), partition=p) for p in (5, 2, 5)]
    receipts = list(writer(store).write(rows))
    assert [receipt.partition for receipt in receipts] == [2, 5]
    assert [sum(shard.entry.rows for shard in receipt.shards) for receipt in receipts] == [1, 2]
    assert all(f"/{receipt.partition:05d}/" in s.entry.key for receipt in receipts for s in receipt.shards)


def test_the_cost_of_earlier_stages_is_added_in_its_own_partition(store: LocalStore):
    earlier = {"decode": {"clips": 4, "seconds": 1.5}}
    rows = [
        stamped({**clip_row("v", 0), "tallies": [earlier, earlier]}, partition=1),
        stamped(clip_row("w", 0), partition=2),
    ]
    first, second = writer(store).write(rows)
    assert {name: (tally.clips, tally.seconds) for name, tally in first.operators.items()} == {
        "decode": (8, 3.0),
        "split": (1, 2.0),
    }
    assert set(second.operators) == {"split"}


def test_a_suspect_is_not_written(store: LocalStore):
    (receipt,) = writer(store).write([{"record": "suspect", "video_id": "v", "partition": 1, "take": 0}])
    assert receipt.shards == ()


def test_footers_tell_the_chain_and_how_often_a_video_was_begun_anew(store: LocalStore):
    rows = [stamped(clip_row("v", 0), take=2), stamped(clip_row("w", 0)), stamped(video_row("w", 1))]
    (receipt,) = writer(store).write(rows)
    footers = {info.key.split("/")[0]: read_footer(store, info.key, info.size) for info in list_shards(store, 0)}
    assert json.loads(footers["clips"][TAKES]) == {"v": 2}
    assert json.loads(footers["videos"][TAKES]) == {}
    assert footers["clips"]["chain"] == "abc"
    assert [dict(shard.takes) for shard in receipt.shards] == [{"v": 2}, {}]


def test_rows_from_before_a_video_was_begun_anew_are_not_stored_beside_the_new_ones(store: LocalStore):
    old = [stamped(clip_row("v", index, clip_start_end_idx=[0, 7])) for index in range(3)]
    new = [stamped(row, take=1) for row in (clip_row("v", 0), clip_row("v", 1), video_row("v", 2))]
    other = stamped(clip_row("w", 0))
    (receipt,) = writer(store).write([*old, other, *new])
    assert [(row["video_id"], row["clip_start_end_idx"]) for row in stored(store, [receipt], "clips")] == [
        ("w", [0, 100]),
        ("v", [0, 100]),
        ("v", [100, 200]),
    ]


def test_no_rows_write_nothing(store: LocalStore):
    assert list(writer(store).write([])) == []
