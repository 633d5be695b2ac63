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
from store.markers import Marker, write_success
from store.parking import PartitionFailures, write_failures
from store.run_record import Append, create_append, create_run
from store.status import covered, scan
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
    assert status.operators["shots"].model_dump() == {"clips": 7, "seconds": 4.0}
    assert (status.with_failures, status.complete, status.writer, status.last_commit) == (2, False, None, 150.0)
    assert status.active_seconds == 100.0
    assert (status.videos_per_second, status.clips_per_second) == (0.06, 0.07)
    assert json.loads(json.dumps(status.as_dict()))["videos_per_second"] == 0.06


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
    began = time.perf_counter()
    status = scan(store)
    took = time.perf_counter() - began
    assert status.partitions == {"done": 4497, "running": 0, "failed": 3, "pending": 0}
    assert status.videos["pending"] == sum(share[-3:])
    assert sum(status.videos.values()) == n_videos
    assert status.active_seconds == 10.0 * 4496 + 20.0
    assert took < 20.0


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
    status = scan(store)
    assert status.partitions == {"done": partitions, "running": 0, "failed": 1, "pending": 0}
    lists = sum(count for operation, count in calls.items() if operation.startswith("ListObjects"))
    assert lists == 2 + 7  # two pages of markers; appends, parked, folders of four kinds of shards and of attempts
    assert calls["GetObject"] <= partitions + 3  # the markers, the run, the lease and _SUCCESS


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
