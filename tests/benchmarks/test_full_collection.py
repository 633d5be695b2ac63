"""A whole run as storage holds it, made small: what is made quickly is what the engine reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import store as data
from benchmarks import full_collection
from benchmarks.collection import Collection, commit_like, committing, forget, litter, receipts_of, without_fsync
from benchmarks.full_collection import commits
from benchmarks.sleeping import clips_of
from pipeline.opening import open_run
from pipeline.salvage import salvage
from store.layout import parse_shard_key
from store.markers import read_markers
from store.objects import open_store
from store.status import begun_partitions, scan


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    made = Collection(
        input=str(tmp_path / "list.csv"), output=str(tmp_path / "out"), videos=10, clips=3, partition_size=4
    )
    made.write_list()
    with without_fsync():
        open_run(made.run(), open_store(made.output))
    return made


def test_sampled_partitions_are_committed_for_real(collection: Collection) -> None:
    figures, marker = commits(collection, 2)
    clips = sum(clips_of(f"trailer-{number:07d}", 3) for number in range(8))
    assert figures["clips"] == clips == data.open(collection.output).count()
    assert figures["receipts"] == 8 and figures["partitions"] == 2
    assert figures["receipts_per_cpu_second"] > 10 and figures["cpu_seconds_per_million_clips"] > 0
    assert marker.partition == 0 and marker.videos == {"done": 4, "partial": 0, "failed": 0}


def test_markers_like_another_commit_partitions_with_shards_of_their_own(collection: Collection) -> None:
    store = open_store(collection.output)
    _, model = commits(collection, 1)
    commit_like(store, model, [1, 2])
    markers = read_markers(store)
    assert list(markers) == [0, 1, 2]
    assert {parse_shard_key(shard.key).partition for shard in markers[2].shards if parse_shard_key(shard.key)} == {2}  # type: ignore[union-attr]
    assert scan(store).partitions["done"] == 3


def test_leftovers_are_what_a_resume_takes_over(collection: Collection) -> None:
    for _ in receipts_of(collection, 1, videos=2):
        pass
    store = open_store(collection.output)
    with committing(collection) as committer:
        ledger = committer.ledger(1)
        assert salvage(store, ledger, collection.order().footer) == 4
        assert ledger.missing() == ["trailer-0000006", "trailer-0000007"]


def test_what_is_forgotten_is_as_if_it_had_never_begun(collection: Collection) -> None:
    store = open_store(collection.output)
    commits(collection, 1)
    for _ in receipts_of(collection, 1):
        pass
    forget(store, [0])
    assert begun_partitions(store) == {1} and read_markers(store) == {}
    forget(store, begun_partitions(store))
    assert scan(store).partitions == {"done": 0, "running": 0, "failed": 0, "pending": 3}


def test_litter_lies_where_workers_leave_shards_and_attempts(collection: Collection) -> None:
    store = open_store(collection.output)
    assert litter(Path(collection.output), b"shard", [0, 1], videos=5) == 2 * 3 * 5
    for kind in ("clips", "videos", "attempts"):
        assert len(list(store.list(f"{kind}/00001/"))) == 5
    assert scan(store).partitions["failed"] == 2


@pytest.mark.cluster
def test_every_start_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = {"videos": 12, "partition-size": 4, "sample": 1, "open": 1, "left": 2}
    arguments = [f"--{name}={number}" for name, number in size.items()]
    assert full_collection.main([*arguments, "--littered", "--folder", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["partitions"] == 3 and told["small_files_left"] == 3 * 4
    for name, pending in (("start_fresh", 3), ("start_salvaging", 2), ("start_resuming", 1)):
        start = told[name]
        assert 1 <= start["pending"] <= pending  # an earlier start may have committed more before it was stopped
        assert 0 < start["counted"] <= start["graph"] <= start["first"]
        assert start["peak_mb"] > 50 and start["requests"] == {}
    assert any("took over" in note for note in told["start_salvaging"]["notes"])
    assert list(tmp_path.iterdir()) == []
