"""run.json: written once, without secrets, compared in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operators.errors import LeaseLost, RunMismatch, StorageError
from store.layout import RUN
from store.local import LocalStore
from store.run_record import (
    Append,
    OperatorRecord,
    RunRecord,
    create_append,
    create_run,
    differences,
    package_version,
    read_run,
    span_of,
)


def operator(name: str, fingerprint: str = "1") -> OperatorRecord:
    return OperatorRecord(name=name, fingerprint=fingerprint, lineage="l", reads=("uri",), writes={"tier": "string"})


def record(**changes: Any) -> RunRecord:
    facts: dict[str, Any] = {
        "job": "mmtrail",
        "input": "videos/",
        "config": {"preset": "lite", "shots": {"threshold": 30.0, "detector": "content"}},
        "operators": (operator("shots"), operator("quality")),
        "fingerprint": "abc",
        "package_version": "0.1.0",
        "schema_version": 1,
        "partition_size": 64,
        "limit": None,
        "n_partitions": 3,
        "n_videos": 130,
        "created": "2026-11-22T10:00:00+00:00",
    }
    return RunRecord.model_validate({**facts, **changes})


def test_a_run_is_created_once_and_read_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    assert read_run(store) is None
    create_run(store, record())
    assert read_run(store) == record()
    with pytest.raises(RunMismatch, match="already holds a run"):
        create_run(store, record(job="gesx"))
    assert read_run(store) == record()


@pytest.mark.parametrize("data", [b"", b"{}", b"[1", b'{"job": 1}'])
def test_an_unreadable_record_names_the_file(tmp_path: Path, data: bytes) -> None:
    store = LocalStore(tmp_path)
    store.put(RUN, data)
    with pytest.raises(StorageError, match=r"run.json cannot be read"):
        read_run(store)


def test_no_difference_in_day_version_or_form() -> None:
    later = record(created="2027-01-01T00:00:00+00:00", package_version="0.1.1")
    assert differences(record(), later) == []
    with_tuple = record(config={"a": {"sizes": (1, 2)}})
    assert differences(RunRecord.model_validate_json(with_tuple.model_dump_json()), with_tuple) == []


def test_differences_are_said_in_words() -> None:
    new = record(
        input="others/",
        partition_size=128,
        limit=10,
        config={"preset": "base", "shots": {"threshold": 12.0, "detector": "content"}, "text": {"floor": 0.5}},
        operators=(operator("shots", "2"), operator("quality", "3"), operator("text")),
        fingerprint="def",
    )
    assert differences(record(), new) == [
        "input: videos/ → others/",
        "partition_size: 64 → 128",
        "limit: not set → 10",
        "preset: lite → base",
        "shots.threshold: 30.0 → 12.0",
        "text.floor: not set → 0.5",
        "operator text: added",
        "operator quality: its version or model: 1 → 3",
    ]


def test_order_removal_and_the_bare_fingerprint_are_differences() -> None:
    swapped = record(operators=(operator("quality"), operator("shots")))
    assert differences(record(), swapped) == ["order of the operators: shots, quality → quality, shots"]
    assert differences(record(), record(operators=(operator("shots"),))) == ["operator quality: removed"]
    assert differences(record(), record(fingerprint="x")) == ["fingerprint of the chain: abc → x"]


def test_secrets_are_not_written(tmp_path: Path) -> None:
    config = {
        "caption": {"api_key": "K1", "max_tokens": 7, "endpoint": "https://user:K2@host/v1?sig=K3"},
        "stores": [{"password": "K4", "secret": None}],
        "access_token": "K5",
    }
    create_run(LocalStore(tmp_path), record(config=config, input="https://user:K6@host/list.csv?token=K7"))
    text = (tmp_path / RUN).read_text()
    assert not [key for key in ("K1", "K2", "K3", "K4", "K5", "K6", "K7") if key in text]
    stored = read_run(LocalStore(tmp_path))
    assert stored is not None
    assert stored.config["caption"] == {"api_key": "(hidden)", "max_tokens": 7, "endpoint": "https://host/v1"}
    assert stored.input == "https://host/list.csv"


def test_the_version_is_a_word() -> None:
    assert package_version()


def an_append(first: int, n_videos: int, **changes: Any) -> Append:
    facts = {"input": "more/", "first_partition": first, "n_partitions": -(-n_videos // 64), "n_videos": n_videos}
    return Append.model_validate({**facts, "created": "2026-11-25T10:00:00+00:00", "nonce": "n", **changes})


def test_a_run_grows_by_records_of_their_own(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_run(store, record())
    before = (tmp_path / RUN).read_bytes()
    grown = create_append(store, record(), an_append(3, 70, limit=70))
    grown = create_append(store, grown, an_append(5, 1, input="s3://u:p@bucket/x?token=y"))
    assert read_run(store) == grown
    assert (tmp_path / RUN).read_bytes() == before
    assert (grown.n_partitions, grown.n_videos) == (6, 201)
    assert grown.inputs == (("videos/", None), ("more/", 70), ("s3://bucket/x", None))
    assert [grown.videos_in(partition) for partition in range(6)] == [64, 64, 2, 64, 6, 1]
    assert (span_of(3, 2), span_of(5, 1)) == ("partitions 3–4", "partition 5")


def test_two_appends_at_once_are_one_too_many(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_run(store, record())
    create_append(store, record(), an_append(3, 70))
    with pytest.raises(LeaseLost, match="by another run at the same time"):
        create_append(store, record(), an_append(3, 70, nonce="m"))


@pytest.mark.parametrize("first", [2, 4])
def test_an_append_that_does_not_follow_is_refused(tmp_path: Path, first: int) -> None:
    store = LocalStore(tmp_path)
    create_run(store, record())
    create_append(store, record(), an_append(first, 70))
    with pytest.raises(StorageError, match=rf"appended/00001\.json does not follow.*at partition {first} of 3"):
        read_run(store)


def test_a_damaged_append_is_named(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_run(store, record())
    store.put("appended/00001.json", b"{}")
    with pytest.raises(StorageError, match=r"appended/00001\.json cannot be read: input"):
        read_run(store)
