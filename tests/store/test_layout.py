"""Keys of the run layout are built and parsed by one grammar."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import ConfigurationError
from store import layout

partitions = st.integers(min_value=0, max_value=999_999_999)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}", fullmatch=True)


def test_the_keys_of_the_design() -> None:
    assert layout.manifest_key(17) == "manifest/00017.parquet"
    assert layout.clips_key(17, "a-1") == "clips/00017/a-1.parquet"
    assert layout.videos_key(17, "a-1") == "videos/00017/a-1.parquet"
    assert layout.failed_key(17, "a-1") == "failed/00017/a-1.parquet"
    assert layout.verdicts_key(17, "a-1") == "verdicts/00017/a-1.parquet"
    assert layout.attempt_key(17, "v-3") == "attempts/00017/v-3.json"
    assert layout.append_key(1) == "appended/00001.json"
    assert layout.parked_key(17) == "parked/00017.json"
    assert layout.marker_key(17, 2) == "commits/00017/000002.json"
    assert layout.partition_prefix("clips", 17) == "clips/00017/"
    assert (layout.RUN, layout.LEASE, layout.SUCCESS) == ("run.json", "lease.json", "_SUCCESS")


@settings(deadline=None)
@given(kind=st.sampled_from(layout.SHARD_KINDS), partition=partitions, name=names)
def test_shard_keys_parse_back(kind: layout.ShardKind, partition: int, name: str) -> None:
    assert layout.parse_shard_key(layout.shard_key(kind, partition, name)) == (kind, partition, name)


@settings(deadline=None)
@given(partition=partitions, generation=st.integers(min_value=0, max_value=999_999_999), name=names)
def test_other_keys_parse_back(partition: int, generation: int, name: str) -> None:
    assert layout.parse_marker_key(layout.marker_key(partition, generation)) == (partition, generation)
    assert layout.parse_manifest_key(layout.manifest_key(partition)) == partition
    assert layout.parse_attempt_key(layout.attempt_key(partition, name)) == (partition, name)
    assert layout.parse_append_key(layout.append_key(partition)) == partition
    assert layout.parse_parked_key(layout.parked_key(partition)) == partition


@settings(deadline=None)
@given(partition=partitions)
def test_a_folder_is_named_after_its_partition(partition: int) -> None:
    name = layout.partition_prefix("attempts", partition).split("/")[1]
    assert layout.parse_partition(name) == partition
    for other in (f"{name}x", "7", "000007", "", "0000x"):
        assert layout.parse_partition(other) is None


@settings(deadline=None)
@given(partition=partitions, other=partitions)
def test_a_partition_prefix_holds_its_own_shards_only(partition: int, other: int) -> None:
    inside = layout.clips_key(other, "x").startswith(layout.partition_prefix("clips", partition))
    assert inside == (partition == other)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "clips/17/a.parquet",
        "clips/000017/a.parquet",
        "clips/00017/../../run.parquet",
        "clips/00017/.hidden.parquet",
        "clips/00017/a b.parquet",
        "clips/00017/a.parquet\n",
        "clips/00017/a/b.parquet",
        "/clips/00017/a.parquet",
        "secrets/00017/a.parquet",
        "clips/-0017/a.parquet",
        "clips/٠٠٠١٧/a.parquet",
    ],
)
def test_other_keys_are_not_shards(key: str) -> None:
    assert layout.parse_shard_key(key) is None


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 129, "a\0"])
def test_a_name_that_would_leave_the_layout_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not a key of the run layout"):
        layout.clips_key(1, name)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        layout.manifest_key(-1)
    with pytest.raises(ConfigurationError):
        layout.shard_key("commits", 1, "x")
