"""The state of a run from listings and markers, also of a very large one."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import ConfigurationError
from store import open_store
from store.layout import LEASE, attempt_key, clips_key, marker_key, shard_key
from store.lease import Lease
from store.local import LocalStore
from store.markers import Marker, OperatorTally, write_success
from store.parking import PartitionFailures, write_failures
from store.run_record import Append, create_append, create_run
from store.status import Recent, _recent, covered, scan
from store.threads import in_threads
from store.verify import verify
from tests.store.committed import commit, run_record, small_run


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def synthetic(partition: int, videos: int) -> Marker:
    """A marker like those of a large run: `videos` videos of 74 clips, one in eight dropped, some failed."""
    clips = 74 * videos
    dropped, failed = clips // 8, videos // 32
    shards = [
        {
            "kind": kind,
            "key": shard_key(kind, partition, f"{partition:032x}-{number:04d}"),
            "rows": clips,
            "bytes": 1 << 20,
            "sha256": "0" * 64,
            "exclude": list(range(5)) if number else [],
        }
        for kind in ("clips", "videos", "failed")
        for number in range(2)
    ]
    return Marker.model_validate(
        {
            "partition": partition,
            "generation": 1,
            "epoch": 1,
            "nonce": "0" * 32,
            "fingerprint": "abc",
            "shards": shards,
            "videos": {"done": videos - failed, "partial": 0, "failed": failed},
            "clips": {"kept": clips - dropped, "dropped": dropped, "failed": 0},
            "tiers": {"hq": clips // 10, "visual": clips - dropped - clips // 10},
            "drop_reasons": {"too_short": dropped},
            "hq_drop_reasons": {"too_short": dropped, "too_small": clips // 2},
            "failures": [{"operator": "shots", "kind": "decode", "count": max(1, failed), "example": "x" * 200}],
            "operators": {name: {"clips": clips, "seconds": 1.5} for name in "abcdefghij"},
            "video_seconds": 90.0 * videos,
            "bytes_read": 10 << 20,
            "started": 10.0 * partition,
            "committed": 10.0 * partition + 20.0,
        }
    )


def test_a_run_in_the_middle(store: LocalStore) -> None:
    small_run(store)
    status = scan(store)
    assert status.partitions == {"done": 2, "running": 0, "failed": 0, "pending": 1}
    assert status.videos == {"done": 3, "partial": 2, "failed": 1, "pending": 1}
    assert status.clips == {"kept": 4, "dropped": 2, "failed": 1}
    assert status.tiers == {"hq": 2, "visual": 2}
    assert status.drop_reasons == {"too_short": 2}
    assert status.hq_drop_reasons == {"too_short": 2, "too_small": 2}
    assert {(t.operator, t.kind): (t.count, t.example) for t in status.failures} == {
        ("shots", "model"): (1, "it is model"),
        ("shots", "decode"): (1, "it is decode"),
        ("shots", "no_video"): (1, "it is no_video"),
    }
    assert status.operators["shots"] == OperatorTally(clips=7, seconds=4.0)
    assert (status.with_failures, status.complete, status.writer, status.last_commit) == (2, False, None, 150.0)
    assert status.active_seconds == 100.0
    assert (status.videos_per_second, status.clips_per_second) == (0.06, 0.07)
    assert json.loads(json.dumps(status.as_dict()))["videos_per_second"] == 0.06


def paced(*spans: tuple[float, float, int]) -> list[Marker]:
    """Markers begun and committed then, with so many clips in one video."""
    markers = [synthetic(partition, 1) for partition in range(len(spans))]
    return [
        marker.model_copy(update={"started": start, "committed": end, "clips": {"kept": clips}, "videos": {"done": 1}})
        for marker, (start, end, clips) in zip(markers, spans, strict=True)
    ]


def test_the_pace_of_the_moment_is_that_of_the_last_commits():
    steady = paced(*((100.0 * n, 100.0 * n + 100.0, 50 if n < 10 else 400) for n in range(20)))
    assert _recent(steady, None) == Recent(seconds=600.0, videos=6, clips=2400)
    assert _recent(steady, 2000.0) == Recent(seconds=600.0, videos=6, clips=2400)
    assert _recent(steady, 2300.0) == Recent(seconds=600.0, videos=3, clips=1200), "a window that moves on"
    stalled = _recent(steady, 9000.0)
    assert (stalled.videos, stalled.seconds) == (3, 7300.0), "a run that commits no more gets slower and slower"


def test_slow_commits_and_pauses_between_runs_give_a_pace_too():
    slow = paced((0.0, 3600.0, 10), (3600.0, 7200.0, 20), (7200.0, 10800.0, 30), (10800.0, 14400.0, 40))
    assert _recent(slow, None) == Recent(seconds=10800.0, videos=3, clips=90)
    resumed = paced(
        (0.0, 100.0, 10), (0.0, 100.0, 10), (5000.0, 5100.0, 10), (5000.0, 5050.0, 10), (5050.0, 5150.0, 10)
    )
    assert _recent(resumed, 5200.0) == Recent(seconds=150.0, videos=3, clips=30), "the night between is no work"
    assert _recent(resumed, 5250.0) == Recent(seconds=250.0, videos=3, clips=30), "the next one is late"
    assert _recent(paced((10.0, 70.0, 6)), None) == Recent(seconds=60.0, videos=1, clips=6)
    assert _recent([], 5.0) == Recent()


def test_what_is_left_follows_from_the_pace_of_the_moment(store: LocalStore) -> None:
    create_run(store, run_record(4, 4))
    now = time.time()
    for partition in range(2):
        end = now - 50.0 + 50.0 * partition
        commit(store, partition, {f"v{partition}": ["hq", "visual"]}, started=end - 50.0, committed=end)
    assert scan(store, now=now).seconds_left is None, "nobody works on it"
    with Lease.acquire(store, job="mmtrail"):
        status = scan(store, now=now)
    assert status.seconds_left == pytest.approx(100.0)
    assert (status.videos_per_second_now, status.clips_per_second_now) == pytest.approx((0.02, 0.04))
    assert json.loads(json.dumps(status.as_dict()))["seconds_left"] == status.seconds_left


def test_a_run_that_has_just_begun(store: LocalStore) -> None:
    create_run(store, run_record(3, 7))
    status = scan(store)
    assert status.partitions == {"done": 0, "running": 0, "failed": 0, "pending": 3}
    assert (status.videos_per_second, status.last_commit, status.videos["pending"]) == (None, None, 7)
    assert json.loads(json.dumps(status.as_dict()))["clips_per_second"] is None


def test_begun_partitions_run_while_somebody_writes_and_have_failed_after(store: LocalStore) -> None:
    create_run(store, run_record(5, 9))
    commit(store, 0, {"a": ["hq"]})
    store.put(clips_key(1, "x"), b"x")
    store.put(shard_key("videos", 1, "x"), b"x")
    store.put(attempt_key(2, "x"), b"{}")
    with Lease.acquire(store, job="mmtrail"):
        status = scan(store)
        assert status.partitions == {"done": 1, "running": 2, "failed": 0, "pending": 2}
        assert (status.writer or "").startswith("mmtrail of ")
        later = scan(store, now=time.time() + 3600)
        assert (later.writer, later.partitions["failed"]) == (None, 2)
    assert scan(store).partitions == {"done": 1, "running": 0, "failed": 2, "pending": 2}
    assert store.head(LEASE) is not None


def test_the_latest_generation_counts_and_success_is_told(store: LocalStore) -> None:
    create_run(store, run_record(1, 1))
    commit(store, 0, {"a": ["!model"]})
    commit(store, 0, {"a": ["hq"]}, generation=2)
    write_success(store, {0: 2})
    status = scan(store)
    assert (status.clips["failed"], status.clips["kept"], status.complete) == (0, 1, True)


def test_an_unreadable_marker_is_named(store: LocalStore) -> None:
    small_run(store)
    store.put(marker_key(1, 1), b"{")
    status = scan(store)
    assert len(status.unreadable) == 1
    assert "commits/00001/000001.json cannot be trusted" in status.unreadable[0]
    assert status.clips == {"kept": 3, "dropped": 1, "failed": 1}


def test_no_run_is_said(store: LocalStore) -> None:
    with pytest.raises(ConfigurationError, match="holds no run"):
        scan(store)


class Reads(LocalStore):
    """Notes the keys of all that is read."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.keys: list[str] = []

    def read(self, key: str) -> tuple[bytes, str]:
        self.keys.append(key)
        return super().read(key)


def test_285518_videos_in_4500_partitions_answer_within_20_seconds(store: LocalStore) -> None:
    n_videos, n_partitions = 285_518, 4_500
    create_run(store, run_record(n_partitions, n_videos))
    share = [n_videos // n_partitions + (p < n_videos % n_partitions) for p in range(n_partitions)]
    for partition in range(n_partitions - 3):
        path = Path(store.url) / marker_key(partition, 1)
        path.parent.mkdir(parents=True)
        path.write_text(synthetic(partition, share[partition]).model_dump_json())
    for partition in range(n_partitions):
        for kind in ("clips", "videos"):
            path = Path(store.url) / shard_key(kind, partition, "x")
            path.parent.mkdir(parents=True)
            path.touch()
    reads = Reads(store.url)
    known: dict[tuple[int, int], Marker] = {}
    began = time.perf_counter()
    status = scan(reads, known=known)
    took = time.perf_counter() - began
    assert len(reads.keys) < 4497 + 8, "each marker, the run, the lease and the like"
    assert status.partitions == {"done": 4497, "running": 0, "failed": 3, "pending": 0}
    assert status.videos["pending"] == sum(share[-3:])
    assert sum(status.videos.values()) == n_videos
    assert status.active_seconds == 10.0 * 4496 + 20.0
    assert took < 20.0
    assert scan(store) == status

    path = Path(store.url) / marker_key(n_partitions - 3, 1)
    path.parent.mkdir(parents=True)
    path.write_text(synthetic(n_partitions - 3, share[-3]).model_dump_json())
    reads.keys.clear()
    began = time.perf_counter()
    later = scan(reads, known=known)
    took = time.perf_counter() - began
    assert [key for key in reads.keys if key.startswith("commits/")] == [marker_key(n_partitions - 3, 1)]
    assert len(reads.keys) < 8, "beside it the run, the lease and the like"
    assert (later.partitions["done"], later.videos["pending"]) == (4498, sum(share[-2:]))
    assert took < 10.0


def test_few_listings_on_s3(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = 1_100
    store = open_store(f"{s3_bucket}/out")
    create_run(store, run_record(partitions + 1, 64 * (partitions + 1)))
    in_threads(lambda p: store.put(marker_key(p, 1), synthetic(p, 64).model_dump_json().encode()), range(partitions))
    store.put(clips_key(partitions, "x"), b"x")
    calls: Counter[str] = Counter()
    call = BaseClient._make_api_call

    def counted(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        calls[operation] += 1
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)
    known: dict[tuple[int, int], Marker] = {}
    status = scan(store, known=known)
    assert status.partitions == {"done": partitions, "running": 0, "failed": 1, "pending": 0}
    lists = sum(count for operation, count in calls.items() if operation.startswith("ListObjects"))
    assert lists == 2 + 5 + 2  # two pages of markers; folders of four kinds of shards and of attempts; appends, parked
    assert calls["GetObject"] <= partitions + 3  # the markers, the run, the lease and _SUCCESS
    calls.clear()
    store.put(marker_key(partitions, 1), synthetic(partitions, 64).model_dump_json().encode())
    assert scan(store, known=known).partitions["done"] == partitions + 1
    assert calls["GetObject"] < 8  # the new marker, the run, the lease and the like
    assert sum(calls.values()) < 20


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_active_time_is_the_union_of_spans(spans: list[tuple[int, int]]) -> None:
    inside = {second for start, end in spans for second in range(start, end)}
    assert covered([(float(start), float(end)) for start, end in spans]) == len(inside)


def test_a_grown_run_is_complete_when_all_of_it_is_committed(store: LocalStore):
    record = run_record(1, 1)
    create_run(store, record)
    commit(store, 0, {"a": ["hq"]})
    write_success(store, {0: 1})
    assert scan(store).complete
    facts = {"input": "more/", "first_partition": 1, "n_partitions": 1, "n_videos": 2, "created": "now", "nonce": "n"}
    create_append(store, record, Append.model_validate(facts))
    status = scan(store)
    assert (status.complete, status.n_partitions, status.n_videos, status.videos["pending"]) == (False, 2, 3, 2)
    assert list(verify(store)) == []  # what was complete before it grew is whole
    commit(store, 1, {"b": ["hq"], "c": []})
    write_success(store, {0: 1, 1: 1})
    assert scan(store).complete
    assert list(verify(store)) == []
    write_success(store, {})
    assert [finding.problem for finding in verify(store)] == ["names 0 of 2 partitions"]
    store.put("_SUCCESS", b"{torn")
    assert not scan(store).complete


def test_parked_partitions_are_failed_ones_with_a_reason(store: LocalStore):
    create_run(store, run_record(4, 4))
    commit(store, 0, {"a": ["hq"]})
    for partition, failures in ((0, 3), (1, 3), (2, 1)):
        record = PartitionFailures(partition=partition, failures=failures, reason="damaged", epoch=1)
        write_failures(store, record)
    status = scan(store)
    assert [failed.partition for failed in status.parked] == [1]
    assert status.partitions == {"done": 1, "running": 0, "failed": 1, "pending": 2}
    assert status.as_dict()["parked"] == [{"partition": 1, "failures": 3, "reason": "damaged"}]
