"""A reader sees what was committed, once, as the latest marker means it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import store
from operators.errors import ConfigurationError, StorageError
from store.local import LocalStore
from store.markers import read_marker
from store.reader import Dataset
from store.run_record import create_run
from tests.store.committed import CLIPS, clip_row, commit, run_record, shard, small_run


@pytest.fixture
def output(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def ids(data: Dataset, **options) -> list[str]:
    return [i for table in data.clips(["clip_id"], **options) for i in table["clip_id"].to_pylist()]


def test_a_run_that_is_not_finished_can_be_read(output: LocalStore) -> None:
    small_run(output)
    data = store.open(output.url)
    assert list(data.markers) == [0, 1]
    assert ids(data) == ["a_0000000", "a_0000001", "b_0000000", "d_0000000"]
    assert ids(data, tier="hq") == ["a_0000000", "d_0000000"]
    assert ids(data, tier="visual") == ["a_0000001", "b_0000000"]
    assert ids(data, dropped=True) == [*ids(data)[:2], "a_0000002", "b_0000000", "d_0000000", "f_0000000"]
    assert (data.count(), data.count(tier="hq"), data.count(dropped=True)) == (4, 2, 6)
    assert repr(data) == f"<{output.url}: 2 of 3 partitions, 4 clips>"


def test_columns_come_in_the_order_asked_for(output: LocalStore) -> None:
    small_run(output)
    data = store.open(output)
    assert data.to_table(["caption", "clip_index"]).column_names == ["caption", "clip_index"]
    assert data.to_table().schema.equals(CLIPS)
    with pytest.raises(ConfigurationError, match="no column 'captoin'; did you mean 'caption'"):
        data.to_table(["captoin"])
    with pytest.raises(ConfigurationError, match="no column 'statu'; did you mean 'status'"):
        list(data.videos(["statu"]))


def test_video_records_read_as_their_marker_counts_them(output: LocalStore) -> None:
    small_run(output)
    data = store.open(output)
    rows = pa.concat_tables(data.videos(["video_id", "status", "n_clips"])).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        ("a", "done", 3),
        ("b", "partial", 2),
        ("c", "done", 0),
        ("d", "done", 1),
        ("e", "failed", 0),
        ("f", "partial", 1),
    ]
    assert pa.concat_tables(data.videos(["n_clips"])).column_names == ["n_clips"]
    failed = pa.concat_tables(data.failed(["video_id", "clip_id", "error"])).to_pylist()
    assert [(row["video_id"], row["clip_id"], row["error"]["kind"]) for row in failed] == [
        ("b", "b_0000001", "model"),
        ("e", None, "no_video"),
        ("f", None, "decode"),
    ]


def test_excluded_rows_and_unnamed_shards_do_not_exist(output: LocalStore) -> None:
    create_run(output, run_record(1, 1))
    twice = shard(output, "clips", 0, "twice", [clip_row("a", 0, "hq"), clip_row("b", 9, "hq")], exclude=(0,))
    shard(output, "clips", 0, "leftover", [clip_row("z", 0, "hq")])
    commit(output, 0, {"a": ["hq"]}, more=[twice])
    assert ids(store.open(output)) == ["a_0000000", "b_0000009"]


def test_the_latest_generation_is_read_and_an_open_data_set_stays(output: LocalStore) -> None:
    create_run(output, run_record(1, 1))
    commit(output, 0, {"a": ["!model"]})
    before = store.open(output)
    commit(output, 0, {"a": ["hq"]}, generation=2)
    assert ids(before) == []
    assert ids(store.open(output)) == ["a_0000000"]


def test_verdicts_replace_tier_and_reasons(output: LocalStore) -> None:
    create_run(output, run_record(1, 1))
    first = commit(output, 0, {"a": ["hq", "visual", "-dark", "hq"]})
    verdicts = [
        {"clip_id": "a_0000000", "drop_reason": "dull", "hq_drop_reason": "dull"},
        {"clip_id": "a_0000002", "tier": "hq"},
        {"clip_id": "x_0000000", "tier": "hq"},
    ]
    entry = shard(output, "verdicts", 0, "v", verdicts)
    commit(output, 0, {"a": ["hq", "visual", "-dark", "hq"]}, generation=2, shards=(*first.shards, entry))
    data = store.open(output)
    assert ids(data) == ["a_0000001", "a_0000002", "a_0000003"]
    table = data.to_table(["tier", "hq_drop_reason", "clip_index"], dropped=True)
    assert table.to_pylist() == [
        {"tier": None, "hq_drop_reason": "dull", "clip_index": 0},
        {"tier": "visual", "hq_drop_reason": "too_small", "clip_index": 1},
        {"tier": "hq", "hq_drop_reason": None, "clip_index": 2},
        {"tier": "hq", "hq_drop_reason": None, "clip_index": 3},
    ]
    assert [path.url for path in data.paths("verdicts")] == [f"{output.url}/verdicts/00000/v.parquet"]


def test_paths_name_shards_and_the_rows_to_skip(output: LocalStore) -> None:
    create_run(output, run_record(1, 1))
    twice = shard(output, "clips", 0, "twice", [clip_row("a", 0, "hq"), clip_row("b", 9, "hq")], exclude=(0,))
    commit(output, 0, {"a": ["hq"]}, more=[twice])
    assert [(Path(path.url).name, path.rows, path.exclude) for path in store.open(output).paths()] == [
        ("g1.parquet", 1, ()),
        ("twice.parquet", 2, (0,)),
    ]
    assert all(Path(path.url).is_file() for path in store.open(output).paths())


def test_nothing_committed_is_an_empty_table(output: LocalStore) -> None:
    create_run(output, run_record(1, 1))
    data = store.open(output)
    assert data.to_table().schema.equals(CLIPS)
    assert data.to_table(["clip_id"]).num_rows == 0
    assert (list(data.videos()), list(data.failed()), data.paths(), data.count()) == ([], [], [], 0)


def test_what_cannot_be_read_is_said(output: LocalStore) -> None:
    with pytest.raises(ConfigurationError, match="holds no run"):
        store.open(output.url)
    small_run(output)
    with pytest.raises(ConfigurationError, match="dropped clips have no tier"):
        store.open(output).clips(tier="hq", dropped=True)
    entry = read_marker(output, 0, 1).shards[0]
    output.put(entry.key, output.get(entry.key)[:-3])
    with pytest.raises(StorageError, match=r"truncated.*jobs\.verify"):
        store.open(output).to_table()


def test_the_same_on_s3(s3_bucket: str) -> None:
    small_run(store.open_store(f"{s3_bucket}/out"))
    data = store.open(f"{s3_bucket}/out")
    assert ids(data) == ["a_0000000", "a_0000001", "b_0000000", "d_0000000"]
    assert data.paths()[0].url == f"{s3_bucket}/out/clips/00000/g1.parquet"
