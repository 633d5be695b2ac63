from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.ledger import Ledger
from pipeline.receipt import Receipt
from pipeline.salvage import CHAIN, PACKAGE, SCHEMA, committed, salvage
from pipeline.writer import ShardOptions, ShardWriter
from store.local import LocalStore
from store.markers import Marker
from store.schema import clip_schema
from store.shards import list_shards
from tests.pipeline.small_chain import clip_row, video_row

FOOTER = {CHAIN: "abc", PACKAGE: "1.2", SCHEMA: "1"}
CLIPS = clip_schema((), keep_media=False)
ERROR = {"operator": "score", "kind": "model", "message": "no"}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def write(store: LocalStore, *rows: dict[str, Any], footer: dict[str, str] = FOOTER, take: int = 0) -> Receipt:
    stamped = [{**row, "partition": 0, "take": take} for row in rows]
    (receipt,) = ShardWriter(store, CLIPS, footer, ShardOptions(), dict).write(stamped)
    return receipt


def film(video_id: str, n_clips: int) -> list[dict[str, Any]]:
    return [*(clip_row(video_id, index) for index in range(n_clips)), video_row(video_id, n_clips)]


def marker_of(ledger: Ledger) -> Marker:
    return Marker(
        partition=0,
        generation=1,
        epoch=1,
        nonce="n",
        fingerprint="abc",
        shards=ledger.shards(),
        videos=ledger.video_counts(),
        clips=ledger.clip_counts(),
        tiers={},
        drop_reasons={},
        hq_drop_reasons={},
        failures=ledger.failures(),
        operators={},
        video_seconds=0,
        bytes_read=0,
        started=0,
        committed=0,
    )


def test_shards_that_were_left_behind_are_taken_over(store: LocalStore):
    write(store, *film("v", 2))
    write(store, clip_row("w", 0))
    ledger = Ledger(0, ["v", "w"])
    assert salvage(store, ledger, FOOTER) == 3
    assert ledger.missing() == ["w"]
    assert ledger.videos["w"].spans == {0: (0, 100)}


def test_what_a_receipt_says_and_what_is_read_back_are_the_same(store: LocalStore):
    receipt = write(store, *film("v", 2), clip_row("v", 2, error=ERROR), take=2)
    told, found = Ledger(0, ["v"]), Ledger(0, ["v"])
    told.add_receipt(receipt)
    salvage(store, found, FOOTER)
    assert found.videos == told.videos
    assert found.shards() == told.shards()


@pytest.mark.parametrize("name", [CHAIN, PACKAGE, SCHEMA])
def test_shards_of_something_else_are_left_alone(store: LocalStore, name: str):
    write(store, *film("v", 1), footer={**FOOTER, name: "other"})
    ledger = Ledger(0, ["v"])
    assert salvage(store, ledger, FOOTER) == 0
    assert ledger.missing() == ["v"]


@pytest.mark.parametrize("footer", [{"takes": "{"}, {"takes": "[1]"}, {"takes": '{"v": "x"}'}])
def test_shards_with_a_strange_footer_are_left_alone(store: LocalStore, footer: dict[str, str]):
    from store.schema import to_table
    from store.shards import write_shard

    write_shard(store, "clips", 0, "odd", to_table([clip_row("v", 0)], CLIPS), {**FOOTER, **footer})
    ledger = Ledger(0, ["v"])
    assert salvage(store, ledger, FOOTER) == 0


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_files_that_are_not_whole_are_left_alone(store: LocalStore, keep: int):
    write(store, *film("v", 1))
    for info in list(list_shards(store, 0)):
        store.put(info.key, store.get(info.key)[:keep])
    ledger = Ledger(0, ["v"])
    assert salvage(store, ledger, FOOTER) == 0


def test_foreign_files_beside_the_shards_are_left_alone(store: LocalStore):
    store.put("clips/00000/notes.txt", b"hello")
    store.put("clips/00000/hello.parquet", b"PAR1 but not really PAR1")
    assert salvage(store, Ledger(0, ["v"]), FOOTER) == 0


def test_failures_that_are_to_be_done_again_are_not_taken_over(store: LocalStore):
    write(store, clip_row("v", 0), clip_row("v", 1, error=ERROR), video_row("v", 2, status="partial", error=ERROR))
    write(store, clip_row("w", 0, error=ERROR), video_row("w", 1))
    ledger = Ledger(0, ["v", "w"])
    salvage(store, ledger, FOOTER, lambda video_id: video_id == "v")
    assert ledger.missing() == ["v"]
    assert ledger.videos["v"].spans == {0: (0, 100)}
    assert ledger.videos["v"].record is None
    assert ledger.video_counts()["partial"] == 1


def test_a_committed_partition_is_opened_again_without_its_failures(store: LocalStore):
    before = Ledger(0, ["v", "w"])
    before.add_receipt(write(store, *film("v", 2), clip_row("w", 0), clip_row("w", 0)))
    before.add_receipt(write(store, clip_row("w", 1, error=ERROR), video_row("w", 2)))
    assert before.complete()
    ledger = Ledger(0, ["v", "w"])
    committed(store, ledger, marker_of(before), lambda video_id: video_id == "w")
    assert ledger.missing() == ["w"]
    assert (ledger.settled, before.settled) == (1, -1)
    assert ledger.videos["w"].spans == {0: (0, 100)}
    assert salvage(store, ledger, FOOTER, lambda video_id: video_id == "w") == 0  # all of them are known
    ledger.add_receipt(write(store, clip_row("w", 1), video_row("w", 2)))
    assert ledger.complete()
    assert ledger.clip_counts() == {"kept": 4, "dropped": 0, "failed": 0}
    keys = {shard.key: shard.exclude for shard in ledger.shards()}
    assert sum(shard.rows - len(shard.exclude) for shard in ledger.shards()) == 4 + 2
    assert (3,) in keys.values()  # the clip that came twice


def test_a_committed_partition_keeps_its_take_so_that_older_rows_stay_void(store: LocalStore):
    old = write(store, clip_row("v", 0, clip_start_end_idx=[0, 7]), clip_row("v", 1, clip_start_end_idx=[7, 9]))
    new = write(store, clip_row("v", 0), clip_row("v", 1, error=ERROR), video_row("v", 2), take=1)
    before = Ledger(0, ["v"])
    for receipt in (old, new):
        before.add_receipt(receipt)
    marker = marker_of(before)
    assert {entry.key for entry in marker.shards} == {shard.entry.key for shard in new.shards}
    ledger = Ledger(0, ["v"])
    committed(store, ledger, marker, lambda _: True)
    salvage(store, ledger, FOOTER, lambda _: True)
    assert ledger.videos["v"].take == 1
    assert ledger.videos["v"].spans == {0: (0, 100)}
