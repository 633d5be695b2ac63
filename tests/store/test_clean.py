"""Cleaning removes only what no marker names."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import store as rushes
from operators.errors import ConfigurationError
from store.clean import clean, orphans
from store.layout import LEASE, RUN, SUCCESS, attempt_key, clips_key, manifest_key, marker_key, shard_key
from store.lease import Lease, RunLocked
from store.local import LocalStore
from store.markers import write_success
from store.objects import ObjectStore
from store.verify import verify
from tests.store.committed import commit, small_run

DAY = 24 * 3600.0


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def age(store: LocalStore, seconds: float) -> None:
    """Make every object `seconds` old."""
    then = time.time() - seconds
    for item in store.list():
        os.utime(Path(store.url) / item.key, (then, then))


def keys(store: ObjectStore) -> set[str]:
    return {item.key for item in store.list()}


def litter(store: ObjectStore) -> set[str]:
    """Objects that no marker names: of committed partition 0 and of partition 2, which is not."""
    left = {shard_key(kind, 0, "left") for kind in ("clips", "videos", "failed", "verdicts")}
    left |= {clips_key(2, "left"), attempt_key(0, "left")}
    for key in left:
        store.put(key, b"x")
    return left


def test_only_what_no_marker_names_is_removed(store: LocalStore) -> None:
    small_run(store)
    commit(store, 0, {"a": ["hq", "visual", "-too_short"], "b": ["visual"], "c": []}, generation=2)
    write_success(store, {0: 2, 1: 1})
    kept = keys(store) | {attempt_key(2, "try"), "clips/notes.txt", "clips/00000/mine.csv", "other/thing.parquet"}
    for key in kept - keys(store):
        store.put(key, b"x")
    left = litter(store)
    age(store, 2 * DAY)
    assert {item.key for item in orphans(store)} == left
    assert keys(store) == kept | left
    assert {item.key for item in clean(store)} == left
    assert keys(store) - {LEASE} == kept
    assert {RUN, SUCCESS, manifest_key(0), marker_key(0, 1), marker_key(0, 2), clips_key(0, "g1")} <= kept


def test_a_reader_of_an_older_generation_goes_on(store: LocalStore) -> None:
    small_run(store)
    before = rushes.open(store)
    commit(store, 0, {"a": ["hq", "visual", "-dark"], "b": ["visual"], "c": []}, generation=2)
    age(store, 2 * DAY)
    assert clean(store) == []
    assert before.to_table(["clip_id"]).num_rows == before.count()
    assert list(verify(store)) == []


def test_what_is_younger_than_the_grace_period_stays(store: LocalStore) -> None:
    small_run(store)
    left = litter(store)
    assert orphans(store) == []
    assert clean(store) == []
    age(store, 100)
    assert orphans(store, 101) == []
    assert {item.key for item in orphans(store, 99)} == left
    with pytest.raises(ConfigurationError, match="negative"):
        orphans(store, -1)


def test_a_partition_with_an_unreadable_marker_is_left_alone(store: LocalStore) -> None:
    small_run(store)
    litter(store)
    store.put(marker_key(0, 1), b"{")
    age(store, 2 * DAY)
    assert {item.key for item in clean(store)} == {clips_key(2, "left")}


def test_nothing_is_removed_while_a_run_is_being_written(store: LocalStore) -> None:
    small_run(store)
    left = litter(store)
    age(store, 2 * DAY)
    with Lease.acquire(store, term=6.0), pytest.raises(RunLocked):
        clean(store, term=6.0)
    assert left <= keys(store)
    assert {item.key for item in clean(store)} == left


def test_a_folder_that_holds_no_run_is_not_touched(store: LocalStore) -> None:
    litter(store)
    age(store, 2 * DAY)
    for action in (orphans, clean):
        with pytest.raises(ConfigurationError, match="holds no run"):
            action(store)
    assert LEASE not in keys(store)


def test_the_same_on_s3(s3_bucket: str) -> None:
    store = rushes.open_store(f"{s3_bucket}/out")
    small_run(store)
    kept = keys(store)
    left = litter(store)
    assert clean(store) == []
    time.sleep(1.1)  # S3 times have whole seconds
    assert {item.key for item in clean(store, 0.0)} >= left - {clips_key(2, "left")}
    assert keys(store) - {LEASE} == kept
