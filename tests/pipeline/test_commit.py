from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from operators.errors import LeaseLost, StorageError
from pipeline.commit import Account, Committer
from pipeline.opening import Run, open_run
from pipeline.receipt import Receipt
from store.lease import Lease
from store.local import LocalStore
from store.markers import CommitLost, Marker, read_marker, write_marker
from store.objects import open_store
from store.verify import verify
from tests.pipeline.small_chain import chain
from tests.pipeline.small_run import a_run, clips_in, committer_of, footer_of, make_videos, order_of, receipts_of


@pytest.fixture
def run(tmp_path: Path) -> Run:
    videos = make_videos(tmp_path / "videos", 4)
    run = a_run(videos, tmp_path / "out", chain(drop=1), partition_size=2)
    open_run(run, open_store(run.output))
    return run


@pytest.fixture
def committer(run: Run) -> Iterator[Committer]:
    with committer_of(run, open_store(run.output)) as committer:
        yield committer


def receipts(run: Run, partition: int) -> list[Receipt]:
    return list(receipts_of(run, order_of(run, open_store(run.output)), partition))


def test_a_partition_is_committed_by_the_receipt_that_completes_it(run: Run, committer: Committer):
    first, second = receipts(run, 0)
    assert committer.take(first) is None
    assert committer.take(first) is None
    assert set(committer.ledgers) == {0}
    marker = committer.take(second)
    assert marker is not None
    assert read_marker(open_store(run.output), 0, 1) == marker
    assert (marker.videos, marker.clips) == (
        {"done": 2, "partial": 0, "failed": 0},
        {"kept": 4, "dropped": 2, "failed": 0},
    )
    assert (marker.tiers, marker.drop_reasons) == ({"hq": 4}, {"unwanted": 2})
    assert marker.operators["score"].clips == 6
    assert marker.started <= marker.committed
    assert (committer.generations, committer.committed, committer.ledgers) == ({0: 1}, {0}, {})
    assert committer.take(second) is None  # a task that Ray ran twice


def test_shards_are_merged_in_manifest_order_and_verify_agrees(run: Run, committer: Committer):
    for partition in (1, 0):
        for receipt in reversed(receipts(run, partition)):
            committer.take(receipt)
    marker = read_marker(open_store(run.output), 0, 1)
    assert sorted(entry.kind for entry in marker.shards) == ["clips", "videos"]
    assert all(entry.exclude == () for entry in marker.shards)
    assert len(clips_in(Path(run.output))) == 12
    assert list(verify(open_store(run.output))) == []


class Forgetful(LocalStore):
    """Writes what it is told to create, and loses the answer."""

    def create(self, key: str, data: bytes) -> bool:
        super().create(key, data)
        if key.startswith("commits/"):
            raise StorageError("no answer in time")
        return True


def test_a_commit_whose_answer_was_lost_is_a_commit(run: Run):
    store = Forgetful(run.output)
    with committer_of(run, store) as committer:
        for receipt in receipts(run, 0):
            committer.take(receipt)
        assert committer.committed == {0}
    assert read_marker(store, 0, 1).clips["kept"] == 4


def _rival(run: Run, committer: Committer, epoch: int) -> Marker:
    """The marker of another driver for partition 0, written now."""
    with_own = committer._marker(_complete(run, committer))
    rival = with_own.model_copy(update={"epoch": epoch, "nonce": "rival"})
    write_marker(open_store(run.output), rival)
    return rival


def _complete(run: Run, committer: Committer):
    ledger = committer.ledger(0)
    for receipt in receipts(run, 0):
        ledger.add_receipt(receipt)
    return ledger


def test_a_late_commit_of_the_driver_before_is_adopted(run: Run, committer: Committer):
    rival = _rival(run, committer, epoch=0)
    assert committer.commit(0) == rival
    assert (committer.generations, committer.committed, committer.ledgers) == ({0: 1}, {0}, {})


def test_a_commit_of_a_newer_driver_stops_this_one(run: Run, committer: Committer):
    rival = _rival(run, committer, epoch=7)
    with pytest.raises(CommitLost, match="epoch 7") as lost:
        committer.commit(0)
    assert isinstance(lost.value, LeaseLost)
    assert lost.value.winner == rival
    assert committer.committed == set()


def test_without_the_lease_nothing_is_committed(run: Run):
    store = open_store(run.output)
    with Lease.acquire(store, term=30) as lease:
        committer = Committer(store, lease, "f", {}, footer_of(run))
        _complete(run, committer)
    with pytest.raises(LeaseLost):
        committer.commit(0)
    assert list(store.list("commits/")) == []


def test_another_generation_follows_the_last_one(run: Run):
    for generation in (1, 2):
        with committer_of(run, open_store(run.output)) as committer:
            assert committer.generations.get(0, 0) == generation - 1
            for receipt in receipts(run, 0):
                committer.take(receipt)
            assert committer.generations == {0: generation}


def test_an_account_sums_markers_and_open_partitions(run: Run, committer: Committer):
    account = Account()
    for receipt in receipts(run, 0):
        marker = committer.take(receipt)
        if marker is not None:
            account.add(marker)
    committer.take(receipts(run, 1)[0])
    total = account.plus(committer.ledgers)
    assert (account.videos["done"], total.videos["done"]) == (2, 3)
    assert (account.clips["kept"], total.clips["kept"]) == (4, 6)
    assert (account.tiers, account.drop_reasons) == ({"hq": 4}, {"unwanted": 2})
    assert total.video_seconds == 3 * 12.0
    assert account.failures() == ()
