"""Large files are hashed once, whichever process asks, and again when they change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from operators.models import digests
from operators.models.digests import SMALL, file_digest

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "digests"


def large(path: Path, byte: bytes = b"a", age: float = 60) -> Path:
    path.write_bytes(byte * (SMALL + 1))
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def note_of(cache: Path) -> dict:
    [note] = cache.iterdir()
    return json.loads(note.read_text())


def test_a_digest_is_remembered_and_used(tmp_path, cache):
    path = large(tmp_path / "w")
    assert file_digest(path) == sha256(path) == note_of(cache)["sha256"]
    [note] = cache.iterdir()
    note.write_text(json.dumps({**note_of(cache), "sha256": "f" * 64}))
    assert file_digest(path) == "f" * 64  # not read again


def test_another_process_reads_nothing_again(tmp_path, cache):
    path = large(tmp_path / "w")
    file_digest(path)
    code = (
        "import sys; from pathlib import Path; from operators.models import digests\n"
        "digests._sha256 = None\n"
        "print(digests.file_digest(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == sha256(path)


def test_a_changed_file_is_hashed_again(tmp_path, cache):
    path = large(tmp_path / "w")
    first = file_digest(path)
    large(path, b"b", age=30)  # same size, another time
    assert file_digest(path) == sha256(path) != first
    other = large(tmp_path / "other", b"c", age=30)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)  # same size and time, another file
    assert file_digest(path) == sha256(path)


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, cache):
    path = large(tmp_path / "w", age=0)
    assert file_digest(path) == sha256(path)
    assert not cache.exists()


def test_small_files_are_not_remembered(tmp_path, cache):
    path = tmp_path / "config.json"
    path.write_bytes(b"{}")
    os.utime(path, (0, 0))
    assert file_digest(path) == sha256(path)
    assert not cache.exists()


@pytest.mark.parametrize("kept", ["", "[]", "{}", '{"stamp": 1, "sha256": "x"}'])
def test_a_spoilt_note_is_written_anew(tmp_path, cache, kept):
    path = large(tmp_path / "w")
    file_digest(path)
    [note] = cache.iterdir()
    note.write_text(kept)
    assert file_digest(path) == sha256(path) == note_of(cache)["sha256"]


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "file"))
    path = large(tmp_path / "w")
    assert file_digest(path) == sha256(path)


def test_a_file_that_changes_while_it_is_read_is_not_remembered(tmp_path, cache, monkeypatch):
    path = large(tmp_path / "w")
    read = digests._sha256

    def written_over(file: Path) -> str:
        digest = read(file)
        large(file, b"z", age=40)
        return digest

    monkeypatch.setattr(digests, "_sha256", written_over)
    file_digest(path)
    assert not cache.exists()
