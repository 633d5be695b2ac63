"""What is to be done, without Ray: opened from storage, committed, tried again, parked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from operators.errors import StorageError
from pipeline import parking
from pipeline.commit import Committer
from pipeline.opening import Run, open_run
from pipeline.pending import Pending
from pipeline.voice import Voice
from store.lease import Lease
from store.markers import latest_generations
from store.objects import open_store
from store.parking import read_failures
from tests.pipeline.small_chain import chain
from tests.pipeline.small_run import a_run, footer_of, make_videos, order_of, receipts_of


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "PAUSE", 0.0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return a_run(make_videos(tmp_path / "videos", 5), tmp_path / "out", chain(), partition_size=2)


@contextmanager
def opened(run: Run) -> Iterator[tuple[Pending, Committer, Voice]]:
    store, voice = open_store(run.output), Voice(None)
    record, _ = open_run(run, store)
    with Lease.acquire(store, term=30) as lease:
        committer = Committer(store, lease, footer_of(run)["chain"], latest_generations(store), footer_of(run))
        pending = Pending(run, store, lease, record, order_of(run, store), committer, voice)
        pending.open()
        yield pending, committer, voice


def feed(run: Run, pending: Pending, partition: int) -> None:
    for receipt in receipts_of(run, order_of(run, open_store(run.output)), partition):
        pending.take(receipt)


def test_the_first_pass_has_every_partition_and_then_what_is_missing(run: Run):
    with opened(run) as (pending, committer, voice):
        assert [(batch.partition, batch.n_videos) for batch in pending.batches()] == [(0, 2), (1, 2), (2, 1)]
        feed(run, pending, 1)
        assert committer.committed == {1}
        assert {partition: len(videos) for partition, videos in pending.missing().items()} == {0: 2, 2: 1}
        assert pending.left() == 2
        assert voice.account.videos["done"] == 2
    with opened(run) as (pending, _, voice):
        assert pending.partitions == [0, 2]
        assert voice.resumed == 2


def test_what_an_interrupted_run_left_is_committed_without_a_pass(run: Run):
    with opened(run):
        list(receipts_of(run, order_of(run, open_store(run.output)), 0))  # shards without a driver that hears of them
    with opened(run) as (pending, committer, voice):
        assert [batch.partition for batch in pending.batches()] == [1, 2]
        assert committer.committed == {0}
        assert voice.notes[0].startswith("took over ")


def test_a_commit_that_fails_is_tried_again_from_storage(run: Run, monkeypatch: pytest.MonkeyPatch):
    fails = [StorageError("clips/00000/x.parquet is damaged")]
    with opened(run) as (pending, committer, _):
        commit = committer.commit

        def failing(partition: int):
            if partition == 0 and fails:
                raise fails.pop()
            return commit(partition)

        monkeypatch.setattr(committer, "commit", failing)
        feed(run, pending, 0)
        assert read_failures(open_store(run.output))[0].failures == 1
        feed(run, pending, 1)
        assert set(pending.missing()) == {2}
        assert committer.committed == {0, 1}
        assert read_failures(open_store(run.output)) == {}


def test_three_failures_park_and_nothing_else_stops(run: Run, monkeypatch: pytest.MonkeyPatch):
    with opened(run) as (pending, committer, _):
        commit, tries = committer.commit, []

        def failing(partition: int):
            tries.append(partition)
            if partition == 0:
                raise ValueError("cannot be stored")
            return commit(partition)

        monkeypatch.setattr(committer, "commit", failing)
        feed(run, pending, 0)
        feed(run, pending, 2)
        assert set(pending.missing()) == {1}
        assert (tries.count(0), committer.committed) == (3, {2})
        assert pending.parking.parked == {0: "ValueError: cannot be stored"}
        assert pending.left() == 1
    with opened(run) as (pending, _, _):
        assert (pending.partitions, pending.stay_parked) == ([1], [0])


def test_a_second_try_that_is_parked_leaves_the_first_commit(run: Run, monkeypatch: pytest.MonkeyPatch):
    from pipeline import pending as module

    with opened(run) as (pending, committer, _):
        for partition in range(3):
            feed(run, pending, partition)
        assert committer.committed == {0, 1, 2}
    store = open_store(run.output)
    marker = store.get("commits/00000/000001.json").replace(b'"done":2,"partial":0', b'"done":1,"partial":1')
    store.put("commits/00000/000001.json", marker)

    def unreadable(*_: object) -> None:
        raise StorageError("clips/00000/x.parquet is damaged")

    monkeypatch.setattr(module, "committed", unreadable)
    again = a_run(Path(run.input), Path(run.output), chain(), partition_size=2, retry_failed=True)
    with opened(again) as (pending, committer, voice):
        assert pending.partitions == [0]
        assert pending.missing() == {}
        assert list(pending.parking.parked) == [0]
        pending.close()
        assert committer.generations == {0: 1, 1: 1, 2: 1}
        assert voice.account.videos.total() == 5
