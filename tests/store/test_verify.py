"""Verification finds each kind of damage, names the object, and finds nothing in a sound run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store import open_store
from store.layout import RUN, SUCCESS, clips_key, manifest_key, marker_key, videos_key
from store.local import LocalStore
from store.markers import write_marker, write_success
from store.run_record import create_run
from store.schema import MANIFEST_SCHEMA, to_table
from store.shards import write_shard
from store.verify import Finding, ranges, verify
from tests.store.committed import clip_row, commit, run_record, shard, small_run, write_partition_manifest

COMMIT = marker_key(0, 1)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


def problems(store: LocalStore) -> list[tuple[str, str]]:
    return [(finding.key, finding.problem) for finding in verify(store)]


def test_a_sound_run_has_no_findings(store: LocalStore) -> None:
    small_run(store)
    assert problems(store) == []
    commit(store, 2, {"g": ["hq", "-dark"]})
    write_success(store, {0: 1, 1: 1, 2: 1})
    assert problems(store) == []


def test_a_sound_run_on_s3_has_no_findings_and_a_damaged_one_does(s3_bucket: str) -> None:
    store = open_store(f"{s3_bucket}/out")
    small_run(store)
    assert list(verify(store)) == []
    store.delete([clips_key(0, "g1")])
    assert list(verify(store)) == [Finding(0, clips_key(0, "g1"), "missing")]


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-1], "truncated: {less} of {size} bytes"),
        (lambda data: b"", "truncated: 0 of {size} bytes"),
        (lambda data: data + b"!", "altered: {more} of {size} bytes"),
        (lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:], "altered: its checksum is not the committed one"),
    ],
)
def test_a_damaged_shard_is_found(store: LocalStore, damage: Callable[[bytes], bytes], problem: str) -> None:
    small_run(store)
    key = videos_key(1, "g1")
    data = store.get(key)
    store.put(key, damage(data))
    expected = problem.format(size=len(data), less=len(data) - 1, more=len(data) + 1)
    assert list(verify(store)) == [Finding(1, key, expected)]


def test_a_shard_of_other_rows_or_columns_is_found(store: LocalStore) -> None:
    create_run(store, run_record(2, 2))
    short = shard(store, "clips", 0, "short", [clip_row("a", 0, "hq")], rows=2)
    commit(store, 0, {"a": []}, more=[short])
    strange = write_shard(store, "clips", 1, "x", to_table([{"video_id": "b"}], MANIFEST_SCHEMA), {})
    commit(store, 1, {"b": []}, more=[strange])
    found = problems(store)
    assert [key for key, _ in found] == [short.key, strange.key]
    assert found[0][1] == "holds 1 rows; its marker says 2"
    assert "columns are not those of the schema" in found[1][1]


def test_a_marker_that_cannot_be_trusted_is_found_and_the_others_are_checked(store: LocalStore) -> None:
    small_run(store)
    store.put(COMMIT, b"{")
    store.delete([clips_key(1, "g1")])
    found = problems(store)
    assert [key for key, _ in found] == [COMMIT, clips_key(1, "g1")]
    assert "cannot be trusted" in found[0][1]


def test_a_doubled_clip_is_found_unless_it_is_excluded(store: LocalStore) -> None:
    create_run(store, run_record(1, 1))
    again = shard(store, "clips", 0, "again", [clip_row("a", 0, "hq")])
    first = commit(store, 0, {"a": ["hq"]}, more=[again])
    found = problems(store)
    assert (COMMIT, "1 clips are there more than once, such as a_0000000") in found
    excluded = again.model_copy(update={"exclude": (0,)})
    write_marker(store, first.model_copy(update={"generation": 2, "shards": (*first.shards[:-1], excluded)}))
    assert problems(store) == []


def test_a_clip_that_failed_and_was_kept_is_doubled(store: LocalStore) -> None:
    create_run(store, run_record(1, 1))
    kept = shard(store, "clips", 0, "kept", [clip_row("a", 0, "hq")])
    commit(store, 0, {"a": ["!model"]}, more=[kept])
    assert (COMMIT, "1 clips are there more than once, such as a_0000000") in problems(store)


def record(video_id: str, n_clips: int, status: str = "done") -> dict[str, Any]:
    return {"video_id": video_id, "status": status, "n_clips": n_clips}


def committed_with(store: LocalStore, clips: list[dict[str, Any]], videos: list[dict[str, Any]]) -> None:
    """A partition with the video `a` in its manifest, these rows, and a marker that counts them."""
    create_run(store, run_record(1, 1))
    entries = (shard(store, "clips", 0, "c", clips), shard(store, "videos", 0, "v", videos))
    commit(
        store,
        0,
        {"a": []},
        shards=entries,
        videos={"done": len(videos), "partial": 0, "failed": 0},
        clips={"kept": len(clips), "dropped": 0, "failed": 0},
        tiers={"hq": len(clips)},
    )


def test_missing_and_surplus_clips_are_named_by_range(store: LocalStore) -> None:
    clips = [clip_row("a", index, "hq") for index in (0, 4, 5, 9)]
    committed_with(store, clips, [record("a", 9)])
    assert problems(store) == [
        (COMMIT, "video a: clips 1–3, 6–8 of 9 are missing"),
        (COMMIT, "video a: clips 9 are beyond its 9"),
    ]


def test_a_clip_of_no_video_and_a_wrong_id_are_found(store: LocalStore) -> None:
    clips = [clip_row("a", 0, "hq"), clip_row("z", 0, "hq"), {**clip_row("a", 1, "hq"), "clip_id": "a_1"}]
    committed_with(store, clips, [record("a", 2)])
    assert problems(store) == [
        (COMMIT, "clip_id a_1 is not that of clip 1 of video a"),
        (COMMIT, "video z has 1 clips but no video record"),
    ]


def test_a_lost_a_doubled_and_an_unlisted_video_are_found(store: LocalStore) -> None:
    committed_with(store, [], [record("b", 0), record("b", 0)])
    assert problems(store) == [
        (COMMIT, "1 videos are there more than once, such as b"),
        (manifest_key(0), "1 videos have no record, such as a"),
        (manifest_key(0), "1 video records are of no listed video, such as b"),
    ]


def test_a_failure_without_its_row_is_found(store: LocalStore) -> None:
    committed_with(store, [], [record("a", 0, "failed")])
    assert problems(store) == [
        (COMMIT, "video a is failed without a row in failed/"),
        (COMMIT, "the marker counts 1 videos done; its shards hold 0"),
        (COMMIT, "the marker counts 0 videos failed; its shards hold 1"),
    ]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"videos": {"done": 3, "partial": 0, "failed": 0}}, "the marker counts 3 videos done; its shards hold 2"),
        ({"clips": {"kept": 2, "dropped": 1, "failed": 1}}, "the marker counts 2 clips kept; its shards hold 3"),
        ({"tiers": {"hq": 1}}, "the marker counts 0 tiers visual; its shards hold 2"),
        ({"drop_reasons": {}}, "the marker counts 0 drop_reasons too_short; its shards hold 1"),
        ({"failures": ()}, "the marker counts 0 failures shots model; its shards hold 1"),
        ({"fingerprint": "old"}, "committed by another chain: old, not abc"),
    ],
)
def test_a_miscount_is_found(store: LocalStore, changes: dict[str, Any], problem: str) -> None:
    create_run(store, run_record(1, 3))
    commit(store, 0, {"a": ["hq", "visual", "-too_short"], "b": ["visual", "!model"], "c": []}, **changes)
    assert (COMMIT, problem) in problems(store)


def test_verdicts_are_counted_in_place_of_what_they_replace(store: LocalStore) -> None:
    create_run(store, run_record(1, 1))
    first = commit(store, 0, {"a": ["hq", "visual"]})
    verdict = shard(store, "verdicts", 0, "v", [{"clip_id": "a_0000000", "drop_reason": "dark"}])
    second = first.model_copy(update={"generation": 2, "shards": (*first.shards, verdict)})
    write_marker(store, second)
    assert any("counts 2 clips kept; its shards hold 1" in problem for _, problem in problems(store))
    right = {"clips": {"kept": 1, "dropped": 1, "failed": 0}, "tiers": {"visual": 1}, "drop_reasons": {"dark": 1}}
    write_marker(store, second.model_copy(update={"generation": 3, **right}))
    assert problems(store) == []


def test_a_video_in_two_partitions_is_found(store: LocalStore) -> None:
    create_run(store, run_record(2, 2))
    commit(store, 0, {"a": ["hq"]})
    commit(store, 1, {"a": ["hq"]})
    assert problems(store) == [(manifest_key(1), "video a is in partition 0 too")]


def test_the_manifest_is_checked(store: LocalStore) -> None:
    small_run(store)
    write_partition_manifest(store, 0, {"a": [], "b": [], "c": [], "lost": []})
    store.put(manifest_key(1), b"nothing")
    found = problems(store)
    assert found[0] == (manifest_key(0), "1 videos have no record, such as lost")
    assert found[1][0] == manifest_key(1)
    assert found[1][1].startswith("cannot be read: ")
    store.delete([manifest_key(0), manifest_key(1)])
    assert problems(store) == [(manifest_key(0), "missing"), (manifest_key(1), "missing")]


def test_the_run_and_its_success_are_checked(store: LocalStore) -> None:
    small_run(store)
    write_success(store, {0: 1, 1: 2})
    assert problems(store) == [
        (marker_key(1, 2), "missing, and named by _SUCCESS"),
        (SUCCESS, "names 2 of 3 partitions"),
    ]
    store.put(SUCCESS, b"[]")
    store.delete([RUN])
    assert [key for key, _ in problems(store)] == [RUN, SUCCESS]
    store.put(RUN, b"[]")
    assert [key for key, _ in problems(store)] == [RUN, SUCCESS]
    commit(store, 7, {"g": []})
    store.delete([RUN, SUCCESS])
    create_run(store, run_record(3, 7))
    assert problems(store) == [(marker_key(7, 1), "the run has only 3 partitions")]


@settings(deadline=None)
@given(st.sets(st.integers(0, 60), max_size=15))
def test_ranges_say_exactly_the_numbers(numbers: set[int]) -> None:
    said: set[int] = set()
    words = ranges(numbers)
    for part in filter(None, words.removesuffix(", …").split(", ")):
        first, _, last = part.partition("–")
        said |= set(range(int(first), int(last or first) + 1))
    assert said == numbers if not words.endswith("…") else said < numbers
