"""Models in object storage: fetched once for a node, whole, and anew when they change."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections import Counter, namedtuple
from pathlib import Path

import pytest

import store.models
from benchmarks.faulty_s3 import FaultyProxy
from operators.errors import ConfigurationError, StorageError
from store.models import S3Models
from store.objects import ObjectStore, open_store
from store.retries import Patience
from tests.s3_servers import S3Server

FILES = {
    "config.json": b"{}",
    "model-00001-of-00002.safetensors": bytes(range(256)) * 1024,
    "model-00002-of-00002.safetensors": b"b" * 100_000,
    "deep/er/merges.txt": b"a b\n",
    "empty.txt": b"",
}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefix(s3_bucket: str) -> ObjectStore:
    there = open_store(f"{s3_bucket}/models/clip")
    for name, data in FILES.items():
        there.put(name, data)
    return there


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(url: str, key: str, data: bytes) -> None:
    """Any key at all, also those that our own store refuses."""
    import boto3

    client = boto3.client("s3")
    client.put_object(Bucket=url.removeprefix("s3://").partition("/")[0], Key=key, Body=data)
    client.close()


def test_a_listing_has_sizes_and_etags(prefix):
    listing = S3Models().listing(prefix.url)
    assert {name: size for name, (size, _) in listing.items()} == {name: len(data) for name, data in FILES.items()}
    assert listing["config.json"][1] == prefix.read("config.json")[1]


def test_files_are_fetched_whole_and_kept(prefix, tmp_path):
    models = pickle.loads(pickle.dumps(S3Models(tmp_path)))
    assert models.held(prefix.url) is None
    folder = models.fetch(prefix.url)
    assert files(folder) == FILES
    assert models.held(f"{prefix.url}/") == folder
    written = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert models.fetch(f"{prefix.url}/") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == written
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == [folder.name]


def test_the_default_place_is_the_cache_folder(prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "cache"))
    assert S3Models().fetch(prefix.url, ["config.json"]).parent == tmp_path / "cache" / "models"


def test_only_named_files_are_fetched(prefix, tmp_path):
    models = S3Models(tmp_path)
    folder = models.fetch(prefix.url, ["config.json", "deep/er/merges.txt"])
    assert set(files(folder)) == {"config.json", "deep/er/merges.txt"}
    assert models.held(prefix.url, ["config.json", "deep/er/merges.txt"]) == folder
    assert models.held(prefix.url) is None
    with pytest.raises(ConfigurationError, match=r"lacks gone\.json"):
        models.fetch(prefix.url, ["gone.json"])


def test_a_change_gets_another_folder_and_leaves_the_old_one(prefix, tmp_path):
    models = S3Models(tmp_path)
    first = models.fetch(prefix.url)
    prefix.put("config.json", b"[]")
    second = models.fetch(prefix.url)
    assert second != first
    assert files(first) == FILES
    assert files(second) == {**FILES, "config.json": b"[]"}


def test_prefixes_are_apart(prefix, s3_bucket, tmp_path):
    twin = open_store(f"{s3_bucket}/models/clip-large")
    twin.put("config.json", b"{}")
    models = S3Models(tmp_path)
    assert set(models.listing(prefix.url)) == set(FILES)
    assert models.fetch(twin.url) != models.fetch(prefix.url)


def test_a_file_of_another_size_is_fetched_again(prefix, tmp_path):
    models = S3Models(tmp_path)
    folder = models.fetch(prefix.url)
    (folder / "config.json").write_bytes(b"{")
    (folder / "deep/er/merges.txt").unlink()
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"c" * 100_000)
    models.fetch(prefix.url, again=["model-00002-of-00002.safetensors"])
    assert files(folder) == FILES


def test_an_interrupted_fetch_goes_on_with_what_is_missing(prefix, tmp_path, monkeypatch):
    models = S3Models(tmp_path)
    kept = models._keep

    def killed(url, name, facts, folder):
        if name.startswith("model-00002"):
            raise KeyboardInterrupt
        kept(url, name, facts, folder)

    monkeypatch.setattr(store.models, "DOWNLOADS", 1)
    monkeypatch.setattr(models, "_keep", killed)
    with pytest.raises(KeyboardInterrupt):
        models.fetch(prefix.url)
    assert models.held(prefix.url) is None
    asked = []
    monkeypatch.setattr(models, "_keep", lambda url, name, *rest: (asked.append(name), kept(url, name, *rest)))
    folder = models.fetch(prefix.url)
    assert files(folder) == FILES
    assert "model-00002-of-00002.safetensors" in asked and "model-00001-of-00002.safetensors" not in asked


CHILD = """
import sys
from pathlib import Path
from store.models import S3Models
models, fetched = S3Models(Path(sys.argv[2])), []
keep = models._keep
models._keep = lambda url, name, *rest: (fetched.append(name), keep(url, name, *rest))
models.fetch(sys.argv[1])
print(len(fetched))
"""


def test_processes_of_a_node_fetch_once(prefix, tmp_path):
    command = [sys.executable, "-W", "error", "-c", CHILD, prefix.url, str(tmp_path)]
    children = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0] * 3
    assert sorted(map(int, counts)) == [0, 0, len(FILES)]
    folder = S3Models(tmp_path).held(prefix.url)
    assert folder is not None and files(folder) == FILES


def test_a_broken_connection_goes_on_where_it_broke(prefix, moto: S3Server, tmp_path, monkeypatch):
    asked: Counter[str] = Counter()

    def fate(method: str, path: str) -> str:
        asked[f"{method} {path}"] += 1
        return "cut" if method == "GET" and "00001-of" in path and asked[f"{method} {path}"] <= 3 else "passed"

    with FaultyProxy(moto.url, rate=0.0) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setattr(proxy, "fate", fate)
        assert files(S3Models(tmp_path).fetch(prefix.url)) == FILES
        assert max(asked.values()) == 4  # three halves of what was left, then the rest


@pytest.mark.parametrize("key", ["models/bad/../../x", "models/bad//x", "models/bad/a\x01b", "models/bad/./x"])
def test_names_that_could_leave_the_folder_are_refused(s3_bucket, tmp_path, key):
    put(s3_bucket, "models/bad/config.json", b"{}")
    put(s3_bucket, key, b"evil")
    with pytest.raises(ConfigurationError, match="cannot be kept here"):
        S3Models(tmp_path).fetch(f"{s3_bucket}/models/bad")
    assert list(tmp_path.iterdir()) == []


def test_a_file_inside_a_file_is_refused(s3_bucket, tmp_path):
    put(s3_bucket, "models/bad/a", b"1")
    put(s3_bucket, "models/bad/a/b", b"2")
    with pytest.raises(ConfigurationError, match="a file inside a file"):
        S3Models(tmp_path).fetch(f"{s3_bucket}/models/bad")


def test_what_is_no_model_is_explained(prefix, s3_bucket, tmp_path, monkeypatch):
    models = S3Models(tmp_path)
    for url, words in (
        (f"{s3_bucket}/models/none", "nothing lies under"),
        (s3_bucket, "a whole bucket"),
        (f"{s3_bucket}/", "a whole bucket"),
        ("s3://no-such-bucket-here/clip", "bucket does not exist"),
        ("s3://key:secret@bucket/clip", "no credentials in s3://"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            models.fetch(url)
    monkeypatch.setattr(store.models, "MOST_FILES", 3)
    with pytest.raises(ConfigurationError, match="more than 3 files"):
        models.fetch(prefix.url)


def test_storage_that_refuses_is_explained(prefix, moto: S3Server, tmp_path, monkeypatch):
    with FaultyProxy(moto.url, rate=1.0, kinds=["500"]) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        impatient = Patience(attempts=2, first_delay=0.01)
        monkeypatch.setattr("store.s3.Patience", lambda: impatient)
        with pytest.raises(StorageError, match="check the network and AWS_ENDPOINT_URL"):
            S3Models(tmp_path).fetch(prefix.url)


def test_a_file_that_changes_while_it_is_fetched_is_refused(prefix, tmp_path, monkeypatch):
    models = S3Models(tmp_path)
    listing = models.listing(prefix.url)
    prefix.put("config.json", b"[]")
    monkeypatch.setattr(models, "listing", lambda url: listing)
    with pytest.raises(ConfigurationError, match="was written over while it was fetched"):
        models.fetch(prefix.url)
    assert models.held(prefix.url) is None


def test_a_full_disk_is_noticed_before_the_fetch(prefix, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(ConfigurationError, match="set RUSHES_CACHE to a larger disk"):
        S3Models(tmp_path).fetch(prefix.url)


def test_a_cache_that_cannot_be_written_is_explained(prefix, tmp_path):
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match=r"models cannot be kept in .*set RUSHES_CACHE"):
        S3Models(tmp_path).fetch(prefix.url)


def test_odd_last_names_make_plain_folders(s3_bucket, tmp_path):
    put(s3_bucket, "models/.ü k/config.json", b"{}")
    folder = S3Models(tmp_path).fetch(f"{s3_bucket}/models/.ü k")
    assert folder.parent == tmp_path / "models"
    assert not folder.name.startswith(".") and folder.name.isascii() and os.fspath(folder) == str(folder)
