"""What is the local folder's own: links, locks, leftovers, and a model of the whole contract."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import store.local as local
from operators.errors import ConfigurationError, StorageError
from store.local import LocalStore
from store.objects import ObjectMissing, check_key

ROOT = Path(__file__).parents[2]

SEGMENT = st.one_of(
    st.sampled_from(["a", "b", "a b", "é", "e\u0301", "..a", "-", "*", "'\"", "a.parquet", "00017", "\\", "🎬"]),
    st.text(min_size=1, max_size=12),
)
KEY = st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
HOSTILE = st.one_of(KEY, st.text(max_size=20), st.sampled_from(["../x", "/x", "a/../../x", ".rushes/lock", "\0"]))


def is_valid(key: str) -> bool:
    try:
        return bool(check_key(key))
    except ValueError:
        return False


class AgainstADictionary(RuleBasedStateMachine):
    """A local store behaves as a dictionary whose keys cannot be one another's folders."""

    keys: Bundle[str] = Bundle("keys")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name).resolve() / "store"
        self.store = LocalStore(self.root)
        self.model: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        self.spent: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            outside = [path for path in self.root.parent.iterdir() if path != self.root]
            self.folder.cleanup()
            assert outside == []

    def free(self, key: str) -> bool:
        """Whether `key` is nobody's folder and lies in nobody's object."""
        below = any((self.root / parent).is_file() for parent in Path(key).parents)
        return not below and not (self.root / key).is_dir()

    @rule(target=keys, key=KEY)
    def choose(self, key: str) -> str:
        return key

    @rule(key=HOSTILE)
    def refuse_hostile_keys(self, key: str) -> None:
        if not is_valid(key):
            for ask in (self.store.read, self.store.head, lambda key: self.store.put(key, b"x")):
                with pytest.raises(ValueError, match="key"):
                    ask(key)

    @rule(key=keys, data=st.binary(max_size=40))
    def put(self, key: str, data: bytes) -> None:
        if is_valid(key) and self.free(key):
            self.remember(key, data, self.store.put(key, data))

    @rule(key=keys, data=st.binary(max_size=40))
    def create(self, key: str, data: bytes) -> None:
        if is_valid(key) and self.free(key):
            assert self.store.create(key, data) == (key not in self.model)
            if key not in self.model:
                self.remember(key, data, self.store.read(key)[1])

    @rule(key=keys, data=st.binary(max_size=40), stale=st.booleans())
    def replace(self, key: str, data: bytes, stale: bool) -> None:
        if is_valid(key) and self.free(key):
            etag = "0-0-0" if stale or key not in self.etags else self.etags[key]
            new = self.store.replace(key, data, etag)
            assert (new is not None) == (key in self.model and not stale)
            if new is not None:
                self.remember(key, data, new)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        if is_valid(key):
            self.store.delete([key])
            self.model.pop(key, None)
            self.etags.pop(key, None)

    def remember(self, key: str, data: bytes, etag: str) -> None:
        assert etag not in self.spent
        self.spent.add(etag)
        self.model[key], self.etags[key] = data, etag

    @rule(key=keys, start=st.integers(0, 50), length=st.integers(1, 50))
    def read(self, key: str, start: int, length: int) -> None:
        if not is_valid(key):
            return
        if key not in self.model:
            assert self.store.head(key) is None
            with pytest.raises(ObjectMissing):
                self.store.read(key)
            return
        assert self.store.read(key) == (self.model[key], self.etags[key])
        assert self.store.get_range(key, start, length) == self.model[key][start : start + length]

    @rule(prefix=st.one_of(st.just(""), SEGMENT, KEY))
    def list_a_prefix(self, prefix: str) -> None:
        folder = prefix.rpartition("/")[0]
        if not folder or is_valid(folder):
            expected = sorted(key for key in self.model if key.startswith(prefix))
            assert [found.key for found in self.store.list(prefix)] == expected

    @invariant()
    def everything_is_listed(self) -> None:
        if hasattr(self, "store"):
            found = {info.key: (info.size, info.etag) for info in self.store.list()}
            assert found == {key: (len(data), self.etags[key]) for key, data in self.model.items()}


TestAgainstADictionary = AgainstADictionary.TestCase
TestAgainstADictionary.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@given(HOSTILE)
@settings(deadline=None, max_examples=300)
def test_every_key_is_refused_or_stays_inside(key: str) -> None:
    root = Path("/somewhere/store")
    if is_valid(key):
        assert root in (root / key).parents
        assert os.path.normpath(root / key) == str(root / key)


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "out")
    store.put("clips/a", b"1")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"secret")
    (tmp_path / "out" / "videos").symlink_to(outside)
    (tmp_path / "out" / "link").symlink_to(outside / "x")
    for ask in (store.read, store.head, lambda key: store.put(key, b"2"), lambda key: store.delete([key])):
        with pytest.raises(StorageError, match="symbolic link"):
            ask("videos/x")
    with pytest.raises(StorageError, match="symbolic link"):
        store.read("link")
    with pytest.raises(StorageError, match="symbolic link"):
        list(store.list("videos/x"))
    store.put("link", b"2")
    assert store.get("link") == b"2"
    assert [found.key for found in store.list()] == ["clips/a", "link"]
    assert (outside / "x").read_bytes() == b"secret"


def test_a_folder_reached_by_a_link_is_used(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "shortcut").symlink_to(tmp_path / "real")
    LocalStore(tmp_path / "shortcut").put("a", b"1")
    assert (tmp_path / "real" / "a").read_bytes() == b"1"


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP])
def test_create_only_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*paths: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    store = LocalStore(tmp_path)
    assert store.create("a", b"1")
    assert not store.create("a", b"2")
    assert store.get("a") == b"1"


def test_creating_processes_agree_on_one_winner(tmp_path: Path) -> None:
    program = (
        "import sys; from store.local import LocalStore\n"
        "store = LocalStore(sys.argv[1])\n"
        "sys.stdin.read()\n"
        "print(sum(store.create(f'marker-{n}', sys.argv[2].encode()) for n in range(200)))"
    )
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for name in range(2)
    ]
    won = [int(rival.communicate("", timeout=120)[0]) for rival in rivals]
    assert sum(won) == 200
    written = [LocalStore(tmp_path).get(f"marker-{number}") for number in range(200)]
    assert [written.count(b"0"), written.count(b"1")] == won


def test_leftovers_of_killed_writers_are_no_objects_and_go_away(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"1")
    old, young = tmp_path / ".rushes" / "old.tmp", tmp_path / ".rushes" / "young.tmp"
    for left in (old, young):
        left.write_bytes(b"half")
    long_ago = time.time() - local.STALE - 60
    os.utime(old, (long_ago, long_ago))
    assert [found.key for found in store.list()] == ["a"]
    LocalStore(tmp_path).put("b", b"2")
    assert not old.exists()
    assert young.exists()
    assert sorted(path.name for path in (tmp_path / ".rushes").iterdir()) == ["young.tmp"]


def test_a_swap_does_not_wait_forever_for_a_stopped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LOCK_PATIENCE", 0.2)
    store = LocalStore(tmp_path)
    etag = store.put("a", b"1")
    with (tmp_path / ".rushes" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="lock"):
            store.replace("a", b"2", etag)
    assert store.replace("a", b"2", etag) is not None


def test_a_folder_that_cannot_be_written_is_a_matter_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigurationError, match="cannot use the folder"):
        LocalStore(tmp_path / "file").probe()
    with pytest.raises(StorageError, match="file"):
        LocalStore(tmp_path / "file").put("a", b"1")
    assert list(LocalStore(tmp_path / "file").list()) == []


def test_an_object_cannot_be_another_ones_folder(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"1")
    store.put("b/c", b"2")
    for key in ("a/b", "b"):
        with pytest.raises(StorageError):
            store.put(key, b"3")
    assert [found.key for found in store.list()] == ["a", "b/c"]
    assert store.head("b") is None


def test_a_full_disk_leaves_the_old_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        store.put("a", b"new")
    monkeypatch.undo()
    assert store.get("a") == b"old"
    assert list((tmp_path / ".rushes").iterdir()) == []
