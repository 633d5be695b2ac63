"""One contract for every store: a local folder, S3 that keeps conditions, S3 that ignores them, S3 that fails."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.faulty_s3 import FaultyProxy
from operators.errors import ConfigurationError
from store.objects import Capabilities, ObjectMissing, ObjectStore, check_key, open_store
from tests.s3_servers import S3Server

KINDS = ("local", "moto", "rclone", "faulty")
BOTH = Capabilities(create_only=True, compare_and_swap=True)
NEITHER = Capabilities(create_only=False, compare_and_swap=False)


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch, proxy: str | None = None) -> str:
    for name, value in server.environment(proxy).items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.new_bucket()}/runs/one"


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    if request.param == "local":
        yield open_store(tmp_path / "out")
    elif request.param == "faulty":
        server = request.getfixturevalue("moto")
        with FaultyProxy(server.url, rate=0.1, seed=len(request.node.name), hang=0.2) as proxy:
            yield open_store(use(server, monkeypatch, proxy.url))
    else:
        yield open_store(use(request.getfixturevalue(request.param), monkeypatch))


def test_put_writes_over_and_gives_the_etag_that_reading_gives(store: ObjectStore) -> None:
    first = store.put("clips/00000/a.parquet", b"one")
    second = store.put("clips/00000/a.parquet", b"two")
    assert first != second
    assert store.read("clips/00000/a.parquet") == (b"two", second)
    assert store.get("clips/00000/a.parquet") == b"two"


def test_missing_objects(store: ObjectStore) -> None:
    for missing in (store.read, store.get, lambda key: store.get_range(key, 0, 1)):
        with pytest.raises(ObjectMissing, match="nothing/here"):
            missing("nothing/here")
    assert store.head("nothing/here") is None
    assert store.replace("nothing/here", b"x", "0" * 32) is None
    assert list(store.list()) == []
    store.delete(["nothing/here"])


def test_create_does_not_write_over(store: ObjectStore) -> None:
    assert store.create("lease.json", b"first")
    assert not store.create("lease.json", b"second")
    assert store.get("lease.json") == b"first"


def test_create_does_not_write_over_after_the_probe(store: ObjectStore) -> None:
    store.probe()
    assert store.create("lease.json", b"first")
    assert not store.create("lease.json", b"second")
    assert store.get("lease.json") == b"first"


def test_replace_only_the_version_that_was_read(store: ObjectStore) -> None:
    store.probe()
    old = store.put("lease.json", b"1")
    new = store.replace("lease.json", b"2", old)
    assert new is not None
    assert store.replace("lease.json", b"3", old) is None
    assert store.read("lease.json") == (b"2", new)


def test_folders_are_named_once_each_however_much_they_hold(store: ObjectStore) -> None:
    assert list(store.folders("clips/")) == []
    for key in ("clips/00002/b.parquet", "clips/00002/a.parquet", "clips/00010/a.parquet", "clips/x", "clipsy/1/a"):
        store.put(key, b"x")
    assert list(store.folders("clips/")) == ["00002", "00010"]
    store.delete(["clips/00002/a.parquet", "clips/00002/b.parquet"])
    assert list(store.folders("clips/")) == ["00010"]


def test_head_and_list_agree(store: ObjectStore) -> None:
    etag = store.put("a/b", b"12345")
    [listed] = store.list()
    found = store.head("a/b")
    assert found is not None
    assert (found.key, found.size, found.etag) == (listed.key, listed.size, listed.etag) == ("a/b", 5, etag)
    assert int(found.modified) == int(listed.modified) > 1_600_000_000


def test_list_is_sorted_and_takes_string_prefixes(store: ObjectStore) -> None:
    keys = ["a/x", "a-b/x", "a.json", "b/00001/z", "b/00002/z", "b/000", "é", "🎬/x"]
    for key in keys:
        store.put(key, key.encode())
    assert [found.key for found in store.list()] == sorted(keys)
    assert [found.key for found in store.list("a")] == ["a-b/x", "a.json", "a/x"]
    assert [found.key for found in store.list("b/0000")] == ["b/00001/z", "b/00002/z"]
    assert [found.key for found in store.list("b/00001/")] == ["b/00001/z"]
    assert list(store.list("c/")) == []


def test_ranges(store: ObjectStore) -> None:
    store.put("shard", bytes(range(100)))
    assert store.get_range("shard", 10, 5) == bytes(range(10, 15))
    assert store.get_range("shard", 95, 50) == bytes(range(95, 100))
    assert store.get_range("shard", 100, 5) == b""
    with pytest.raises(ValueError, match="range"):
        store.get_range("shard", 0, 0)


def test_empty_objects(store: ObjectStore) -> None:
    store.put("_SUCCESS", b"")
    assert store.get("_SUCCESS") == b""
    assert [found.size for found in store.list("_SUCCESS")] == [0]


def test_delete(store: ObjectStore) -> None:
    for key in ("a/1", "a/2", "b"):
        store.put(key, b"x")
    store.delete(["a/1", "b", "gone"])
    assert [found.key for found in store.list()] == ["a/2"]


def test_probe_finds_what_the_store_does_and_leaves_nothing(
    request: pytest.FixtureRequest, store: ObjectStore
) -> None:
    rclone = request.node.callspec.params["store"] == "rclone"
    assert store.probe() == (NEITHER if rclone else BOTH)
    assert list(store.list()) == []


def test_stores_are_picklable_and_keep_what_the_probe_found(store: ObjectStore) -> None:
    store.put("a", b"1")
    store.probe()
    copy = pickle.loads(pickle.dumps(store))
    assert copy.url == store.url
    assert copy.get("a") == b"1"
    assert copy.within(5.0).create("b", b"2")


@pytest.mark.parametrize("store", ["local", "moto", "faulty"], indirect=True)
def test_one_of_many_threads_creates(store: ObjectStore) -> None:
    store.probe()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: store.create("marker", b"%d" % number), range(16)))
    assert sum(won) == 1
    assert store.get("marker") == b"%d" % won.index(True)


@pytest.mark.parametrize("store", ["local", "moto", "faulty"], indirect=True)
def test_no_swap_of_many_threads_is_overwritten(store: ObjectStore, request: pytest.FixtureRequest) -> None:
    store.probe()
    store.put("counter", b"0")

    def add(writer: int) -> None:
        while True:
            data, etag = store.read("counter")
            count = int(data.split()[0])
            if store.replace("counter", b"%d by %d" % (count + 1, writer), etag):
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(20)))
    count = int(store.get("counter").split()[0])
    if request.node.callspec.params["store"] == "faulty":
        assert count >= 20  # a swap whose answer is lost and that is then replaced is done again
    else:
        assert count == 20


HOSTILE = ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", "a\0b", "a\nb", "x" * 901, "a/" + "y" * 256]
HOSTILE += ["\ud800", ".rushes/lock", "a\ufffe", "a/"]


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused(tmp_path: Path, key: str) -> None:
    store = open_store(tmp_path / "out")
    with pytest.raises(ValueError, match="key"):
        check_key(key)
    for refuse in (store.read, store.head, lambda key: store.put(key, b""), lambda key: store.create(key, b"")):
        with pytest.raises(ValueError, match="key"):
            refuse(key)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://host/x",
        "gs://bucket/x",
        "s3://",
        "s3://a",
        "s3:///x",
        "file://host/x",
        "s3://bad!bucket/x",
        "s3://bucket/../x",
    ],
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        open_store(url)


def test_credentials_in_an_address_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store("s3://KEYID:hunter2secret@bucket/x")
    assert "hunter2secret" not in str(caught.value)


def test_file_urls_name_folders(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/with%20space").url == str(tmp_path / "with space")
    assert open_store(str(tmp_path)).url == open_store(tmp_path).url == str(tmp_path)
