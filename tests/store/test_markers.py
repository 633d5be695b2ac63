"""Commits that count once, and markers that cannot be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from operators.errors import LeaseLost, StorageError
from store import markers
from store.layout import SUCCESS, clips_key, marker_key
from store.local import LocalStore
from store.markers import Marker, OperatorTally, ShardEntry


def entry(partition: int = 3, name: str = "a", **changes: Any) -> ShardEntry:
    facts = {"kind": "clips", "key": clips_key(partition, name), "rows": 5, "bytes": 9, "sha256": "0" * 64}
    return ShardEntry(**{**facts, **changes})


def marker(partition: int = 3, generation: int = 1, **changes: Any) -> Marker:
    facts: dict[str, Any] = {
        "partition": partition,
        "generation": generation,
        "epoch": 4,
        "nonce": "mine",
        "fingerprint": "f",
        "shards": (entry(partition),),
        "videos": {"done": 1, "partial": 0, "failed": 0},
        "clips": {"kept": 4, "dropped": 1, "failed": 0},
        "tiers": {"visual": 4},
        "drop_reasons": {"too_short": 1},
        "hq_drop_reasons": {"too_short": 5},
        "failures": (),
        "operators": {"shots": {"clips": 5, "seconds": 1.5}},
        "video_seconds": 60.0,
        "bytes_read": 1000,
        "started": 1.0,
        "committed": 2.0,
    }
    return Marker.model_validate({**facts, **changes})


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.markers.time.sleep", lambda seconds: None)


class Unclear(LocalStore):
    """A store whose create-only writes of markers time out: `lands` of them did land before."""

    def __init__(self, folder: Path, lands: list[bool]) -> None:
        super().__init__(folder)
        self.lands = lands
        self.asked = 0

    def create(self, key: str, data: bytes) -> bool:
        self.asked += 1
        if not self.lands:
            return super().create(key, data)
        if self.lands.pop(0):
            super().create(key, data)
        raise StorageError("no answer within 10 s")


def test_a_marker_is_read_as_written(store: LocalStore) -> None:
    written = marker(shards=(entry(exclude=(1, 4)),))
    markers.write_marker(store, written)
    assert markers.read_marker(store, 3, 1) == written
    assert markers.read_markers(store) == {3: written}


def test_a_lost_answer_counts_once(tmp_path: Path) -> None:
    store = Unclear(tmp_path, lands=[True])
    markers.write_marker(store, marker())
    assert store.asked == 1
    assert [item.key for item in store.list("commits/")] == [marker_key(3, 1)]


def test_a_put_that_never_arrived_is_tried_again(tmp_path: Path) -> None:
    store = Unclear(tmp_path, lands=[False, False])
    markers.write_marker(store, marker())
    assert store.asked == 3
    assert markers.read_markers(store) == {3: marker()}


def test_a_store_that_stays_unclear_is_an_error(tmp_path: Path) -> None:
    store = Unclear(tmp_path, lands=[False] * 20)
    with pytest.raises(StorageError, match="no answer"):
        markers.write_marker(store, marker())
    assert store.asked == markers.ATTEMPTS


def test_the_late_landing_of_an_own_put_is_success(store: LocalStore) -> None:
    markers.write_marker(store, marker(committed=2.0))
    markers.write_marker(store, marker(committed=3.0))
    assert markers.read_marker(store, 3, 1).committed == 2.0


@pytest.mark.parametrize("unclear", [False, True])
def test_a_race_that_was_lost_names_the_winner(tmp_path: Path, unclear: bool) -> None:
    store = Unclear(tmp_path, lands=[False] if unclear else [])
    winner = marker(nonce="other", epoch=5)
    LocalStore.create(store, marker_key(3, 1), winner.model_dump_json().encode())
    with pytest.raises(LeaseLost, match=r"by epoch 5, not by this driver \(epoch 4\)") as caught:
        markers.write_marker(store, marker())
    assert isinstance(caught.value, markers.CommitLost)
    assert caught.value.winner == winner
    assert markers.read_marker(store, 3, 1) == winner


def test_the_highest_generation_wins_by_number(store: LocalStore) -> None:
    for partition, generation in [(2, 1), (2, 10), (2, 9), (100_000, 1), (99_999, 1), (2, 1_000_000)]:
        markers.write_marker(store, marker(partition, generation))
    store.put("commits/00002/notes.txt", b"not a marker")
    assert list(markers.latest_generations(store).items()) == [(2, 1_000_000), (99_999, 1), (100_000, 1)]
    assert markers.all_generations(store)[2] == [1, 9, 10, 1_000_000]
    assert [(m.partition, m.generation) for m in markers.read_markers(store, {2: 9, 99_999: 1}).values()] == [
        (2, 9),
        (99_999, 1),
    ]


def valid(**changes: Any) -> bytes:
    return json.dumps({**marker().model_dump(mode="json"), **changes}).encode()


SHARD = entry().model_dump(mode="json")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EOF"),
        (b"\xff\xfe", "JSON|UTF"),
        (b"[" * 100_000, "recursion|JSON"),
        (b'{"partition": 3}', "Field required"),
        (valid()[:-20], "EOF"),
        (valid(format=2), "format"),
        (valid(surprise=1), "surprise"),
        (valid(generation=2), "it commits 3/2"),
        (valid(partition=4, shards=[]), "it commits 4/1"),
        (valid(clips={"kept": -1}), "greater than or equal"),
        (valid(clips={"eaten": 1}), "kept"),
        (valid(started=1e999), "finite|JSON"),
        (valid(shards=[{**SHARD, "key": "clips/00004/a.parquet"}]), "is not in partition 3"),
        (valid(shards=[{**SHARD, "key": "clips/00003/../../../x.parquet"}]), "not the key of a clips shard"),
        (valid(shards=[{**SHARD, "key": "/etc/passwd"}]), "not the key of a clips shard"),
        (valid(shards=[{**SHARD, "kind": "videos"}]), "not the key of a videos shard"),
        (valid(shards=[{**SHARD, "sha256": "abc"}]), "pattern"),
        (valid(shards=[{**SHARD, "exclude": [2, 1]}]), "not sorted"),
        (valid(shards=[{**SHARD, "exclude": [5]}]), "row 5 of 5"),
        (valid(shards=[{**SHARD, "exclude": [-1]}]), "greater than or equal"),
        (valid(shards=[SHARD, SHARD]), "named twice"),
    ],
)
def test_a_marker_that_cannot_be_trusted_names_its_key(store: LocalStore, data: bytes, reason: str) -> None:
    store.put(marker_key(3, 1), data)
    with pytest.raises(StorageError, match=rf"commits/00003/000001.json cannot be trusted: .*({reason})"):
        markers.read_markers(store)


def test_success_names_generations(store: LocalStore) -> None:
    assert markers.read_success(store) is None
    markers.write_success(store, {100_000: 1, 2: 7})
    assert markers.read_success(store) == {2: 7, 100_000: 1}
    store.put(SUCCESS, b"yes")
    with pytest.raises(StorageError, match="_SUCCESS cannot be read"):
        markers.read_success(store)


def test_markers_from_before_tokens_were_counted_have_none(store: LocalStore):
    old = marker().model_dump(mode="json")
    old["operators"] = {"shots": {"clips": 5, "seconds": 1.5}}
    store.put(marker_key(3, 1), json.dumps(old).encode())
    assert markers.read_marker(store, 3, 1).operators["shots"] == OperatorTally(clips=5, seconds=1.5)


def test_tallies_add_up():
    one = OperatorTally(clips=1, seconds=0.5, tokens_in=10, tokens_out=2)
    assert one + OperatorTally(clips=2, seconds=1.25) == OperatorTally(
        clips=3, seconds=1.75, tokens_in=10, tokens_out=2
    )
