"""What is S3's own: parts, pages, batches, retries, lost answers, and errors that give nothing away."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import boto3
import pytest

import store.s3 as s3
from benchmarks.faulty_s3 import FAULTS, FaultyProxy
from operators.errors import ConfigurationError, StorageError
from store.objects import open_store
from store.retries import Patience
from store.s3 import S3Store
from tests.s3_servers import ACCESS_KEY, SECRET_KEY, S3Server, free_port

QUICK = Patience(attempts=20, seconds=20, read_timeout=2.0, first_delay=0.01, longest_delay=0.05)

Behind = Callable[..., tuple[S3Store, FaultyProxy]]


@pytest.fixture
def behind(request: pytest.FixtureRequest, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Behind]:
    """A store on moto behind a proxy with the given faults, and the proxy. The same faults in every session."""
    with ExitStack() as stack:

        def begin(patience: Patience = QUICK, **faults) -> tuple[S3Store, FaultyProxy]:
            bucket = moto.new_bucket(f"b-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]}")
            proxy = stack.enter_context(FaultyProxy(moto.url, **{"rate": 0.0, "hang": 0.1, **faults}))
            for name, value in moto.environment(proxy.url).items():
                monkeypatch.setenv(name, value)
            return S3Store(f"s3://{bucket}/out", patience), proxy

        yield begin


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_large_objects_are_put_in_parts(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: S3Server = request.getfixturevalue(server)
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 6 << 20)
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
    data = os.urandom(11 << 20)
    store = open_store(f"s3://{running.new_bucket()}/out")
    etag = store.put("clips/00000/big.parquet", data)
    assert store.read("clips/00000/big.parquet") == (data, etag)
    assert store.get_range("clips/00000/big.parquet", (11 << 20) - 8, 8) == data[-8:]


def test_parts_survive_faults_and_a_lost_completion(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 6 << 20)
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
    data = os.urandom(11 << 20)
    store, proxy = behind(rate=0.2, seed=4, lose=r"POST .*uploadId")
    store.put("big", data)
    assert store.get("big") == data
    assert proxy.counts["lost"] == 1


def test_a_failed_upload_in_parts_is_aborted(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MULTIPART_BYTES", 6 << 20)
    store, proxy = behind(Patience(attempts=3, seconds=5, first_delay=0.01), kinds=["500"])
    real = proxy.fate
    monkeypatch.setattr(proxy, "fate", lambda method, path: "500" if "partNumber=2" in path else real(method, path))
    monkeypatch.setattr(s3, "PART_BYTES", 5 << 20)
    with pytest.raises(StorageError, match="500 InternalError, after 3 tries"):
        store.put("big", bytes(11 << 20))
    bucket = store.url.split("/")[2]
    left = boto3.client("s3").list_multipart_uploads(Bucket=bucket)
    assert left.get("Uploads", []) == []
    assert store.head("big") is None


def test_listing_goes_through_pages_and_deleting_through_batches(
    s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PAGE", 15)
    monkeypatch.setattr(s3, "DELETE_BATCH", 12)
    store = open_store(f"{s3_bucket}/many")
    keys = [f"commits/{number:05d}/000001.json" for number in range(40)]
    for key in keys:
        store.put(key, b"{}")
    assert [found.key for found in store.list("commits/")] == keys
    assert list(store.folders("commits/")) == [f"{number:05d}" for number in range(40)]
    store.delete(iter(keys))
    assert list(store.list()) == []


def test_a_prefix_is_not_left(s3_bucket: str) -> None:
    inside, beside = open_store(f"{s3_bucket}/run"), open_store(f"{s3_bucket}/run-2")
    beside.put("a", b"1")
    inside.put("b", b"2")
    assert [found.key for found in inside.list()] == ["b"]
    assert inside.url == f"{s3_bucket}/run"
    whole = open_store(s3_bucket)
    assert [found.key for found in whole.list()] == ["run-2/a", "run/b"]
    for key in ("", "../run-2/a", ".rushes/x"):
        with pytest.raises(ValueError, match="key"):
            inside.read(key)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_operation_survives_every_fault(behind: Behind, fault: str) -> None:
    store, proxy = behind(rate=0.4, seed=3, kinds=[fault])
    store.probe()
    assert store.create("lease", b"one")
    assert not store.create("lease", b"two")
    data, etag = store.read("lease")
    assert data == b"one"
    assert store.replace("lease", b"three", etag) is not None
    assert store.replace("lease", b"four", etag) is None
    store.put("other", b"five")
    assert [found.key for found in store.list()] == ["lease", "other"]
    assert store.get_range("lease", 0, 3) == b"thr"
    store.delete(["lease"])
    assert store.head("lease") is None
    assert proxy.counts[fault] > 2
    assert set(proxy.counts) == {"passed", fault}


@pytest.mark.parametrize("probed", [True, False])
def test_a_lost_answer_counts_once(behind: Behind, probed: bool) -> None:
    store, proxy = behind(lose=r"PUT .*/(marker|lease)")
    if probed:
        store.probe()
    assert store.create("marker", b"mine")
    assert proxy.counts["lost"] == 1
    assert not store.create("marker", b"theirs")
    old = store.put("counter", b"1")
    assert store.replace("counter", b"2", old) is not None
    assert store.get("marker") == b"mine"


def test_a_lost_answer_of_a_swap_counts_once(behind: Behind) -> None:
    store, proxy = behind()
    store.probe()
    old = store.put("counter", b"1")
    proxy.lose = "PUT .*/counter"
    new = store.replace("counter", b"2", old)
    assert proxy.counts["lost"] == 1
    assert store.read("counter") == (b"2", new)
    assert store.replace("counter", b"3", old) is None


def test_a_race_that_another_won_is_lost_even_when_answers_were_lost(behind: Behind) -> None:
    store, proxy = behind(kinds=["500"])
    store.probe()
    assert S3Store(store.url, QUICK).create("marker", b"theirs")
    proxy.lose = "PUT .*/marker"
    assert not store.create("marker", b"mine")
    assert store.get("marker") == b"theirs"
    assert proxy.counts["lost"] == 1


def test_a_server_that_does_not_answer_is_given_up_on(monkeypatch: pytest.MonkeyPatch, moto: S3Server) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(16)
        for name, value in moto.environment(f"http://127.0.0.1:{silent.getsockname()[1]}").items():
            monkeypatch.setenv(name, value)
        begun = time.monotonic()
        with pytest.raises(StorageError, match=r"ReadTimeoutError.*tries"):
            open_store("s3://bucket/out").within(1.5).put("a", b"1")
        assert time.monotonic() - begun < 20, "as patient as usual it would be 180 s"


def test_a_server_that_is_not_there_is_given_up_on(monkeypatch: pytest.MonkeyPatch, moto: S3Server) -> None:
    for name, value in moto.environment(f"http://127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError, match="AWS_ENDPOINT_URL"):
        S3Store("s3://bucket/out", Patience(attempts=3, seconds=5, first_delay=0.01)).get("a")


def test_a_missing_bucket_is_named(s3_bucket: str) -> None:
    store = open_store("s3://no-such-bucket-here/out")
    for ask in (lambda: store.put("a", b""), store.probe, lambda: list(store.list()), lambda: store.create("a", b"")):
        with pytest.raises(ConfigurationError, match="bucket does not exist"):
            ask()


def test_missing_and_wrong_credentials_are_named_and_never_shown(
    rclone: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="store")
    bucket = rclone.new_bucket()
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong/" + SECRET_KEY[::-1])
    with pytest.raises(ConfigurationError, match="AWS_SECRET_ACCESS_KEY") as wrong:
        open_store(f"s3://{bucket}/out").probe()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    store = open_store(f"s3://{bucket}/out")
    with pytest.raises(ConfigurationError, match="no S3 credentials") as missing:
        store.put("a", b"1")
    shown = f"{wrong.value}{missing.value}{store!r}{vars(store)}{caplog.text}"
    assert ACCESS_KEY not in shown
    assert SECRET_KEY not in shown
    assert SECRET_KEY[::-1] not in shown


def test_a_password_in_the_endpoint_is_not_shown(monkeypatch: pytest.MonkeyPatch, moto: S3Server) -> None:
    for name, value in moto.environment(f"http://user:hunter2secret@127.0.0.1:{free_port()}").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageError) as caught:
        S3Store("s3://bucket/out", Patience(attempts=2, seconds=5, first_delay=0.01)).get("a")
    problem: BaseException | None = caught.value
    assert "hunter2secret" not in str(problem)
    assert "tries" in str(problem)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1", "127.0.0.1:9000"])
def test_endpoints_that_are_no_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL"):
        open_store("s3://bucket/out").get("a")
