"""Opening videos: what is refused, what cannot be read, and downloads that break, change and go away."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import boto3
import pytest

import store.s3_download as s3_download
from benchmarks.faulty_s3 import FaultyProxy
from operators.errors import ErrorKind, RowFailure
from store.media import MediaOpener
from tests.s3_servers import S3Server

ROOT = Path(__file__).parents[2]


def refusal(opener: MediaOpener, uri: str) -> tuple[ErrorKind, str]:
    with pytest.raises(RowFailure) as caught, opener(uri):
        pass
    return caught.value.kind, str(caught.value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "videos"
    inside.mkdir()
    (inside / "a.mp4").write_bytes(b"video")
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    return inside


def test_local_files_are_opened_as_they_are(folder: Path) -> None:
    opener = pickle.loads(pickle.dumps(MediaOpener(str(folder))))
    for uri in (str(folder / "a.mp4"), "a.mp4", f"file://{folder}/a%2Emp4", f"{folder}/../videos/a.mp4"):
        with opener(uri) as media:
            assert media.path == folder / "a.mp4"
            assert media.size == 5
            assert media.etag == f"5-{(folder / 'a.mp4').stat().st_mtime_ns}"
    assert (folder / "a.mp4").exists()


def test_awkward_names_are_opened(folder: Path) -> None:
    for name in ("with space.mp4", 'it\'s "quoted".mp4', "ünïcödé 🎬.mp4", "..%2F.mp4", "-v.mp4", "concat:a|b"):
        (folder / name).write_bytes(name.encode())
        with MediaOpener(str(folder))(name) as media:
            assert media.path.read_bytes() == name.encode()
            assert media.path.is_absolute()


def test_nothing_outside_the_folder_is_opened(folder: Path) -> None:
    opener = MediaOpener(str(folder))
    (folder / "inner.mp4").symlink_to(folder / "a.mp4")
    (folder / "out.mp4").symlink_to(folder.parent / "secret.mp4")
    (folder / "up").symlink_to(folder.parent)
    with opener("inner.mp4") as media:
        assert media.path.read_bytes() == b"video"
    for uri in ("out.mp4", "../secret.mp4", "up/secret.mp4", "/etc/passwd", f"file://{folder}/../secret.mp4"):
        kind, message = refusal(opener, uri)
        assert kind is ErrorKind.REFUSED
        assert "manifest" in message
    assert refusal(opener, "s3://bucket/a.mp4")[0] is ErrorKind.REFUSED
    assert refusal(MediaOpener("s3://bucket/in"), str(folder / "a.mp4"))[0] is ErrorKind.REFUSED
    assert refusal(MediaOpener("s3://bucket/in"), "s3://bucket/inside.mp4")[0] is ErrorKind.REFUSED
    with MediaOpener(None)(str(folder / "out.mp4")) as media:
        assert media.path.read_bytes() == b"secret"


@pytest.mark.parametrize(
    "uri",
    ["http://host/a.mp4", "gs://bucket/a", "rtsp://host/a", "file://host/a.mp4", "", "a\0b", "a\nb", "s3://bucket"],
)
def test_other_schemes_are_refused(folder: Path, uri: str) -> None:
    assert refusal(MediaOpener(str(folder)), uri)[0] is ErrorKind.REFUSED
    assert refusal(MediaOpener(None), uri)[0] is ErrorKind.REFUSED


def test_what_is_no_readable_file_says_what_to_do(folder: Path) -> None:
    opener = MediaOpener(str(folder))
    (folder / "dir.mp4").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "round.mp4").symlink_to(folder / "round.mp4")
    os.mkfifo(folder / "pipe.mp4")
    for name, kind, words in (
        ("gone.mp4", ErrorKind.UNREADABLE, "no such file"),
        ("a.mp4/b.mp4", ErrorKind.UNREADABLE, "no such file"),
        ("dir.mp4", ErrorKind.UNREADABLE, "folder"),
        ("empty.mp4", ErrorKind.UNREADABLE, "empty"),
        ("round.mp4", ErrorKind.UNREADABLE, "circle"),
        ("pipe.mp4", ErrorKind.REFUSED, "pipe"),
    ):
        found, message = refusal(opener, name)
        assert found is kind
        assert words in message


def test_a_file_without_permission_is_unreadable(folder: Path) -> None:
    (folder / "a.mp4").chmod(0)
    if os.geteuid() != 0:
        assert refusal(MediaOpener(str(folder)), "a.mp4") == (
            ErrorKind.UNREADABLE,
            "no permission to read it; chmod it or run as its owner",
        )
        return
    program = (  # root may read everything: ask as nobody, with everything imported before
        "import os, sys; from store.media import MediaOpener\n"
        "opener = MediaOpener(None); os.setuid(65534)\n"
        "try:\n"
        "    with opener(sys.argv[1]): pass\n"
        "except Exception as problem: print(problem.kind.value, problem)"
    )
    for part in (folder, *folder.parents[:3]):
        if part.owner() == "root" and part.name.startswith(("pytest-", "test_", "videos")):
            part.chmod(0o755)
    asked = subprocess.run(
        [sys.executable, "-c", program, str(folder / "a.mp4")], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert asked.stdout.strip() == "unreadable no permission to read it; chmod it or run as its owner", asked.stderr


DATA = bytes(range(256)) * 4096 * 3  # 3 MiB


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
    assert list(cache.iterdir()) == []
    with pytest.raises(KeyError), opener(f"s3://{bucket}/in/a.mp4"):
        raise KeyError
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
