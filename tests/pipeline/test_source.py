from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import StorageError
from pipeline.source import Batch, VideoSource, from_row, to_row
from pipeline.worker import Task
from store.local import LocalStore
from store.manifest import write_manifest
from store.video_entry import VideoEntry

text = st.text(st.characters(codec="utf-8"), max_size=20)
span = st.tuples(st.integers(0, 2**53), st.integers(0, 2**53))
tasks = st.builds(
    Task,
    partition=st.integers(0, 10**9),
    video=st.fixed_dictionaries(
        {
            "video_id": text,
            "uri": text,
            "size": st.none() | st.integers(0, 2**62),
            "etag": st.none() | text,
            "extra": st.none() | text,
        }
    ),
    take=st.integers(0, 9),
    have=st.dictionaries(st.integers(0, 2**31), span, max_size=5),
    strikes=st.integers(0, 9),
    alone=st.booleans(),
)


@settings(deadline=None)
@given(tasks)
def test_a_task_survives_its_way_to_the_worker(task: Task):
    assert from_row(to_row(task)) == task


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(str(tmp_path))
    entries = [VideoEntry(f"v{n}", f"/videos/{n}.mp4", n or None, f"etag{n}", '{"lang": "ß"}') for n in range(5)]
    assert write_manifest(store, entries, 3) == 2
    return store


def test_a_batch_gives_its_videos_in_manifest_order(store: LocalStore):
    first = list(Batch(partition=0, n_videos=3).tasks(store))
    assert [task.video["video_id"] for task in first] == ["v0", "v1", "v2"]
    assert first[1] == Task(
        partition=0,
        video={"video_id": "v1", "uri": "/videos/1.mp4", "size": 1, "etag": "etag1", "extra": '{"lang": "ß"}'},
        have={},
    )
    assert [task.video["video_id"] for task in Batch(partition=1, n_videos=2).tasks(store)] == ["v3", "v4"]


def test_a_batch_skips_limits_and_hands_over_what_is_known(store: LocalStore):
    known = {"v2": {"have": {0: (0, 10)}, "take": 1, "strikes": 2, "alone": True}}
    only = Batch(partition=0, n_videos=2, only=frozenset({"v2", "v0", "gone"}), known=known)
    plain, rich = only.tasks(store)
    assert (plain.have, plain.take, plain.strikes, plain.alone) == ({}, 0, 0, False)
    assert (rich.have, rich.take, rich.strikes, rich.alone) == ({0: (0, 10)}, 1, 2, True)
    skipping = Batch(partition=0, n_videos=2, skip=frozenset({"v0", "v1"}))
    assert [task.video["video_id"] for task in skipping.tasks(store)] == ["v2"]


def test_the_source_reads_a_partition_a_task_and_gives_a_block_a_video(store: LocalStore):
    batches = [Batch(partition=0, n_videos=3), Batch(partition=1, n_videos=2)]
    source = VideoSource(store, batches)
    assert (source.estimate_inmemory_data_size() or 0) > 0
    tasks = source.get_read_tasks(2)
    assert [task.metadata.num_rows for task in tasks] == [3, 2]
    blocks = [list(task()) for task in tasks]
    assert [[block.num_rows for block in part] for part in blocks] == [[1, 1, 1], [1, 1]]
    told = [from_row(row) for part in blocks for block in part for row in block.to_pylist()]
    assert told == [task for batch in batches for task in batch.tasks(store)]


def test_a_manifest_that_was_removed_is_named(store: LocalStore):
    with pytest.raises(StorageError, match=r"manifest/00009\.parquet"):
        list(Batch(partition=9, n_videos=1).tasks(store))
