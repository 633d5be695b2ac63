"""Shards are whole, deterministic, recognisable by their footer, and read without excluded rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import ConfigurationError, StorageError
from operators.pose.columns import GESTURES
from store import shards
from store.local import LocalStore
from store.schema import SCHEMA_VERSION, VIDEO_SCHEMA, clip_schema, to_table
from tests.gesture_rows import gesture_row

CLIPS = clip_schema((), keep_media=False)
MEDIA = clip_schema((), keep_media=True)
GESTURE_CLIPS = clip_schema([pa.schema(list(GESTURES))], keep_media=False)

MOST_BYTES = {
    "body_landmarks": 165,
    "body_world": 180,
    "hand_landmarks": 160,
    "hand_world": 230,
    "face_landmarks": 240,
    "blendshapes": 65,
    "presence": 6,
    "raw_poses": 370,
    "raw_transl": 8.5,
    "expression": 125,
    "pose_confidence": 80,
    "joint_mask": 3,
    "reprojection_error": 4,
    "frame_mask": 0.5,
    "poses": 390,
    "transl": 8.5,
}
"""Bytes per frame in a shard, smooth random motion with noise; no more than these."""


class Counting(LocalStore):
    """Counts ranged reads, and refuses whole ones."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ranges = 0

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self.ranges += 1
        return super().get_range(key, start, length)

    def read(self, key: str) -> tuple[bytes, str]:
        raise AssertionError("a footer needs no whole object")


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def clips(count: int, schema: pa.Schema = CLIPS, **columns: object) -> pa.Table:
    return to_table(
        [{"video_id": "v", "clip_id": f"v_{i:07d}", "clip_index": i, **columns} for i in range(count)], schema
    )


def test_a_shard_is_read_as_written(store: LocalStore) -> None:
    table = clips(10)
    entry = shards.write_shard(store, "clips", 7, "a", table, {"chain": "abc"})
    assert (entry.kind, entry.key, entry.rows) == ("clips", "clips/00007/a.parquet", 10)
    assert len(store.get(entry.key)) == entry.bytes
    assert shards.read_shard(store, entry).equals(table)
    assert shards.read_shard(store, entry, columns=["clip_index"]).column_names == ["clip_index"]
    assert shards.adopt_shard(store, entry.key)[0] == entry


def test_the_same_table_and_footer_give_the_same_bytes(store: LocalStore) -> None:
    table = clips(10)
    chunked = pa.concat_tables([table.slice(0, 3), table.slice(3)])
    first = shards.write_shard(store, "clips", 7, "a", table, {"chain": "abc", "takes": "{}"})
    second = shards.write_shard(store, "clips", 7, "b", chunked, {"takes": "{}", "chain": "abc"})
    assert first.sha256 == second.sha256
    assert shards.write_shard(store, "clips", 7, "c", table, {"chain": "abd"}).sha256 != first.sha256


def test_media_make_small_row_groups_and_zstd(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 64 << 10)
    entry = shards.write_shard(store, "clips", 7, "a", clips(20, MEDIA, audio=bytes(16 << 10)), {})
    metadata = pq.read_metadata(pa.BufferReader(store.get(entry.key)))
    assert 5 <= metadata.num_row_groups <= 10
    assert metadata.row_group(0).column(0).compression == "ZSTD"


def test_the_footer_is_found_with_one_ranged_read(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    entry = shards.write_shard(store, "clips", 7, "a", clips(500, MEDIA, audio=b"\1" * 999), {"chain": "ab→c"})
    found = shards.read_footer(store, entry.key, entry.bytes)
    assert store.ranges == 1
    assert found.pop("package_version")
    assert found == {"chain": "ab→c", "kind": "clips", "partition": "7", "schema_version": str(SCHEMA_VERSION)}


def test_a_long_footer_takes_a_second_read(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    entry = shards.write_shard(store, "videos", 7, "a", to_table([], VIDEO_SCHEMA), {"takes": "x" * 200_000})
    assert shards.read_footer(store, entry.key, entry.bytes)["takes"] == "x" * 200_000
    assert store.ranges == 2


@pytest.mark.parametrize(
    "data", [b"", b"PAR1", b"no parquet at all, but longer", b"\xff" * 100, b"PAR1\xff\xff\xff\x7fPAR1"]
)
def test_what_is_no_parquet_is_a_storage_error(store: LocalStore, data: bytes) -> None:
    key = "clips/00007/a.parquet"
    store.put(key, data)
    with pytest.raises(StorageError, match=r"clips/00007/a.parquet: not a whole Parquet file"):
        shards.read_footer(store, key, len(data))
    with pytest.raises(StorageError, match=r"clips/00007/a.parquet: not a whole Parquet file"):
        shards.adopt_shard(store, key)


def test_a_cut_shard_is_a_storage_error(store: LocalStore) -> None:
    entry = shards.write_shard(store, "clips", 7, "a", clips(10), {})
    store.put(entry.key, store.get(entry.key)[: entry.bytes // 2])
    with pytest.raises(StorageError, match="not a whole Parquet file"):
        shards.read_footer(store, entry.key, entry.bytes // 2)
    with pytest.raises(StorageError, match=f"truncated: {entry.bytes // 2} of {entry.bytes} bytes"):
        shards.read_shard(store, entry)


def test_another_shard_in_its_place_is_a_storage_error(store: LocalStore) -> None:
    entry = shards.write_shard(store, "clips", 7, "a", clips(10), {})
    data = bytearray(store.get(entry.key))
    data[20] ^= 1
    store.put(entry.key, bytes(data))
    with pytest.raises(StorageError, match="checksum"):
        shards.read_shard(store, entry)


def test_shards_of_one_partition_are_listed(store: LocalStore) -> None:
    for partition in (1, 10, 100_000):
        for kind in ("clips", "videos", "failed", "verdicts"):
            shards.write_shard(store, kind, partition, "a", clips(1), {})
    store.put("clips/00001/stray.tmp", b"")
    assert [item.key for item in shards.list_shards(store, 1)] == [
        "clips/00001/a.parquet",
        "videos/00001/a.parquet",
        "failed/00001/a.parquet",
    ]
    assert len(shards.list_shards(store, 100_000)) == 3
    assert shards.list_shards(store, 2) == []


def test_only_shards_are_adopted(store: LocalStore) -> None:
    with pytest.raises(ConfigurationError, match="not the key of a shard"):
        shards.adopt_shard(store, "run.json")


@settings(deadline=None)
@given(rows=st.integers(0, 40), exclude=st.sets(st.integers(0, 60)))
def test_excluded_rows_are_skipped_and_the_rest_stays_in_order(rows: int, exclude: set[int]) -> None:
    table = pa.table({"n": list(range(rows))}, schema=pa.schema([("n", pa.int64())]))
    read = shards.without(table, sorted(exclude))["n"].to_pylist()
    assert read == [n for n in range(rows) if n not in exclude]


@pytest.fixture(scope="module")
def gestures() -> pa.Table:
    return to_table([gesture_row(300, seed) for seed in range(8)], GESTURE_CLIPS)


def leaf_sizes(data: bytes) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Compressed bytes and encodings of every column by its name."""
    metadata = pq.ParquetFile(pa.BufferReader(data)).metadata
    found: dict[str, tuple[int, tuple[str, ...]]] = {}
    for group in range(metadata.num_row_groups):
        for number in range(metadata.num_columns):
            leaf = metadata.row_group(group).column(number)
            name = leaf.path_in_schema.partition(".")[0]
            size, encodings = found.get(name, (0, ()))
            found[name] = (size + leaf.total_compressed_size, (*encodings, *leaf.encodings))
    return found


def test_tensors_are_compact(store: LocalStore, gestures: pa.Table) -> None:
    entry = shards.write_shard(store, "clips", 7, "g", gestures, {})
    assert shards.read_shard(store, entry).equals(gestures)
    frames = 300 * gestures.num_rows
    sizes = leaf_sizes(store.get(entry.key))
    measured = {name: sizes[name][0] / frames for name in MOST_BYTES}
    assert {name: size for name, size in measured.items() if size > MOST_BYTES[name]} == {}
    assert entry.bytes / frames < 1.01 * sum(measured.values()) + 20, "what is no tensor is small beside them"
    assert set(MOST_BYTES) >= {name for name, (size, _) in sizes.items() if size / frames > 4}


def test_only_columns_of_many_floats_are_split_by_bytes(store: LocalStore, gestures: pa.Table) -> None:
    entry = shards.write_shard(store, "clips", 7, "g", gestures, {})
    split = {n for n, (_, encodings) in leaf_sizes(store.get(entry.key)).items() if "BYTE_STREAM_SPLIT" in encodings}
    assert split == set(MOST_BYTES) - {"joint_mask", "frame_mask"} | {"rest_joints"}


def test_rows_without_tensors_are_written_as_ever(store: LocalStore) -> None:
    table = clips(50, energy=[-20.0, -21.5], words=[{"word": "a", "start": 0.5, "end": 1.0, "confidence": 0.5}])
    plain = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(None), plain, compression="zstd")
    written = leaf_sizes(store.get(shards.write_shard(store, "clips", 7, "a", table, {}).key))
    assert written == leaf_sizes(plain.getvalue().to_pybytes())


def test_row_groups_of_gestures_stay_small_in_memory(
    store: LocalStore, gestures: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 3 * gestures.nbytes // gestures.num_rows)
    entry = shards.write_shard(store, "clips", 7, "g", gestures, {})
    metadata = pq.ParquetFile(pa.BufferReader(store.get(entry.key))).metadata
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [3, 3, 2]
    assert shards.read_shard(store, entry).equals(gestures)
