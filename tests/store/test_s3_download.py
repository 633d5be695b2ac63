"""Downloads: whole, of one version, going on where they broke, and never left behind."""

from __future__ import annotations

import pickle
import shutil
from collections import namedtuple
from pathlib import Path

import boto3
import pytest

import store.s3_download as s3_download
from benchmarks.faulty_s3 import FaultyProxy
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from store.media import MediaOpener
from tests.s3_servers import S3Server

DATA = bytes(range(256)) * 4096 * 3  # 3 MiB


def refusal(opener: MediaOpener, uri: str) -> tuple[ErrorKind, str]:
    with pytest.raises(RowFailure) as caught, opener(uri):
        pass
    return caught.value.kind, str(caught.value)


@pytest.fixture
def bucket(s3_bucket: str) -> str:
    name = s3_bucket.removeprefix("s3://")
    put(name, "in/a.mp4", DATA)
    return name


def put(bucket: str, key: str, data: bytes) -> str:
    client = boto3.client("s3")
    etag = client.put_object(Bucket=bucket, Key=key, Body=data)["ETag"].strip('"')
    client.close()
    return etag


def test_objects_are_downloaded_and_removed_after_use(bucket: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    opener = pickle.loads(pickle.dumps(MediaOpener(f"s3://{bucket}/in", cache)))
    with opener(f"s3://{bucket}/in/a.mp4") as media:
        assert media.path.read_bytes() == DATA
        assert media.path.is_relative_to(cache)
        assert (media.size, media.path.suffix) == (len(DATA), ".mp4")
        assert media.etag == put(bucket, "in/b.mp4", DATA)
    with pytest.raises(KeyError), opener(f"s3://{bucket}/in/b.mp4"):
        assert len(list(cache.iterdir())) == 1
        raise KeyError
    opener.close()
    assert list(cache.iterdir()) == []


def test_awkward_keys_are_downloaded(bucket: str, tmp_path: Path) -> None:
    for key in ("in/with space.mp4", "in/../../x.mp4", 'in/it\'s "q"?#%2F.mp4', "in//ü 🎬.mp4", "in/a.mp4/../b"):
        put(bucket, key, key.encode())
        with MediaOpener(None, tmp_path)(f"s3://{bucket}/{key}") as media:
            assert media.path.read_bytes() == key.encode()
            assert media.path.is_relative_to(tmp_path)


def test_objects_that_cannot_be_read_say_what_to_do(bucket: str, tmp_path: Path) -> None:
    put(bucket, "in/empty.mp4", b"")
    for uri, words in (
        (f"s3://{bucket}/in/gone.mp4", "no such object"),
        (f"s3://{bucket}/in/empty.mp4", "empty"),
        ("s3://no-such-bucket-there/a.mp4", "bucket"),
    ):
        kind, message = refusal(MediaOpener(None, tmp_path), uri)
        assert kind is ErrorKind.UNREADABLE
        assert words in message
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_noticed_before_the_download(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9, s3_download.SPARE_BYTES + 10**6))
    kind, message = refusal(MediaOpener(None, tmp_path), f"s3://{bucket}/in/a.mp4")
    assert kind is ErrorKind.UNREADABLE
    assert "TMPDIR" in message


def test_a_video_over_the_limit_is_not_downloaded(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUSHES_MAX_DOWNLOAD_GB", f"{(len(DATA) - 1) / 1e9:.9f}")
    opener = pickle.loads(pickle.dumps(MediaOpener(None, tmp_path)))  # workers keep what the driver was told
    monkeypatch.setenv("RUSHES_MAX_DOWNLOAD_GB", "1000")
    kind, message = refusal(opener, f"s3://{bucket}/in/a.mp4")
    assert kind is ErrorKind.REFUSED and "RUSHES_MAX_DOWNLOAD_GB" in message
    assert list(tmp_path.iterdir()) == []
    with MediaOpener(None, tmp_path)(f"s3://{bucket}/in/a.mp4") as media:
        assert media.size == len(DATA)
    for nonsense in ("lots", "-1", "0", "nan", "1e99"):
        monkeypatch.setenv("RUSHES_MAX_DOWNLOAD_GB", nonsense)
        with pytest.raises(ConfigurationError, match="give a number of gigabytes"):
            MediaOpener(None, tmp_path)


def test_a_broken_download_goes_on_where_it_broke(
    bucket: str, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_download, "CHUNK_BYTES", 64 << 10)
    with FaultyProxy(moto.url, rate=0.0, kinds=["cut"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        answers = iter(["passed", "cut", "cut", "cut"])  # HEAD, then three halves of what is left
        monkeypatch.setattr(proxy, "fate", lambda method, path: next(answers, "passed"))
        with MediaOpener(None, tmp_path)(f"s3://{bucket}/in/a.mp4") as media:
            assert media.path.read_bytes() == DATA
        assert next(answers, None) is None


def test_downloads_survive_every_fault(
    bucket: str, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        put(bucket, f"in/{number}.mp4", DATA[: 1000 * number + 1])
    with FaultyProxy(moto.url, rate=0.25, seed=11, hang=0.1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        opener = MediaOpener(f"s3://{bucket}/in", tmp_path)
        for number in range(20):
            with opener(f"s3://{bucket}/in/{number}.mp4") as media:
                assert media.path.read_bytes() == DATA[: 1000 * number + 1]
        assert proxy.faults > 3


@pytest.mark.parametrize("times", [1, 99])
def test_a_video_that_changes_during_the_download_is_never_mixed(
    times: int, bucket: str, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = 0

    def fate(method: str, path: str) -> str:
        nonlocal changes
        if method != "GET" or changes >= times:
            return "passed"
        if "later" not in answered:
            answered.add("later")
            return "cut"
        answered.clear()
        changes += 1
        direct.put_object(Bucket=bucket, Key="in/a.mp4", Body=bytes([changes]) * len(DATA))
        return "passed"

    answered: set[str] = set()
    direct = boto3.client("s3")
    with FaultyProxy(moto.url, rate=0.0) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setattr(proxy, "fate", fate)
        opener = MediaOpener(None, tmp_path)
        if times == 1:
            with opener(f"s3://{bucket}/in/a.mp4") as media:
                assert media.path.read_bytes() == b"\x01" * len(DATA)
        else:
            kind, message = refusal(opener, f"s3://{bucket}/in/a.mp4")
            assert kind is ErrorKind.CHANGED
            assert "upload" in message
    direct.close()
    opener.close()
    assert list(tmp_path.iterdir()) == []


def test_storage_that_ignores_conditions_and_ranges_is_downloaded_too(
    rclone: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    bucket = rclone.new_bucket()
    etag = put(bucket, "in/a.mp4", DATA)
    with MediaOpener(None, tmp_path)(f"s3://{bucket}/in/a.mp4") as media:
        assert media.path.read_bytes() == DATA
        assert media.etag == etag
