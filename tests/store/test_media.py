"""Opening videos: what is refused, what cannot be read, and downloads that break, change and go away."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from operators.errors import ErrorKind, RowFailure
from store.media import MediaOpener
from store.objects import open_store
from store.s3_download import S3Download

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


@pytest.fixture
def downloads(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MediaOpener, str, list[str]]:
    """An opener on a bucket with two videos, the bucket, and the names that are downloaded from now on."""
    for name in ("a", "b"):
        open_store(s3_bucket).put(f"{name}.mp4", name.encode())
    opener, begun = MediaOpener(s3_bucket, tmp_path / "cache"), []
    download = S3Download.__call__

    def counted(self: S3Download, place: str, folder: Path):
        begun.append(place.rpartition("/")[2])
        return download(self, place, folder)

    monkeypatch.setattr(S3Download, "__call__", counted)
    return opener, s3_bucket, begun


def test_a_video_in_use_is_not_downloaded_again(downloads: tuple[MediaOpener, str, list[str]]) -> None:
    opener, bucket, begun = downloads
    with opener(f"{bucket}/a.mp4") as first:
        with opener(f"{bucket}/a.mp4") as second, opener(f"{bucket}/b.mp4") as other:
            assert second.path == first.path
            assert other.path.read_bytes() == b"b"
        assert first.path.read_bytes() == b"a"
    assert begun == ["a.mp4", "b.mp4"]


def test_the_last_video_stays_until_another_is_asked_for(
    downloads: tuple[MediaOpener, str, list[str]], tmp_path: Path
) -> None:
    opener, bucket, begun = downloads
    for name in ("a", "a", "b", "b"):
        with opener(f"{bucket}/{name}.mp4") as media:
            assert media.path.read_bytes() == name.encode()
        assert len(list((tmp_path / "cache").iterdir())) == 1
    assert begun == ["a.mp4", "b.mp4"]
    opener.close()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_fails_leaves_nothing(downloads: tuple[MediaOpener, str, list[str]], tmp_path: Path) -> None:
    opener, bucket, begun = downloads
    for _ in range(2):
        with pytest.raises(RowFailure), opener(f"{bucket}/missing.mp4"):
            raise AssertionError
    assert begun == ["missing.mp4"] * 2
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_copy_in_another_process_has_its_own_downloads(downloads: tuple[MediaOpener, str, list[str]]) -> None:
    opener, bucket, begun = downloads
    with opener(f"{bucket}/a.mp4") as first, pickle.loads(pickle.dumps(opener))(f"{bucket}/a.mp4") as second:
        assert first.path != second.path
    assert begun == ["a.mp4", "a.mp4"]
