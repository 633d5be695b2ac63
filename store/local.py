"""A local folder as an object store.

Objects are written whole: a temporary file and fsync, then `link` for create-only objects (an
existing target means the race is lost) or `rename` for the others, then fsync of the folder. A file
is never changed in place, so an open file is one version.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from operators.errors import ConfigurationError, StorageError
from store.objects import RESERVED, Capabilities, ObjectInfo, ObjectMissing, ObjectStore, check_key, check_range

LOCK_PATIENCE = 10.0
"""Seconds to wait for another process's compare-and-swap; one takes microseconds."""

STALE = 24 * 3600.0
"""Age in seconds after which a temporary file belongs to a process that died."""

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""How file systems without hard links refuse `link`."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class LocalStore(ObjectStore):
    """Objects as files below one folder.

    An etag is size, time of writing in nanoseconds and inode: every write gives another one. Nothing
    below the folder may be a symbolic link; keys cannot leave it. A key cannot also be another key's
    folder ("a" and "a/b"), unlike on S3.
    """

    def __init__(self, folder: str | Path) -> None:
        self._root = Path(os.path.realpath(Path(folder).expanduser()))
        self.url = str(self._root)
        self._swept = False

    def put(self, key: str, data: bytes) -> str:
        target = self._path(key)
        with self._errors("write", key), self._temporary(target, data) as temporary:
            etag = _etag(temporary.stat())
            temporary.replace(target)
            _sync_folder(target.parent)
        return etag

    def create(self, key: str, data: bytes) -> bool:
        target = self._path(key)
        if self.head(key) is not None:
            return False
        with self._errors("write", key), self._temporary(target, data) as temporary:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as problem:
                if problem.errno not in NO_LINKS:
                    raise
                with self._lock():
                    if target.exists():
                        return False
                    temporary.replace(target)
            _sync_folder(target.parent)
        return True

    def replace(self, key: str, data: bytes, etag: str) -> str | None:
        target = self._path(key)
        if self.head(key) is None:
            return None
        with self._errors("write", key), self._temporary(target, data) as temporary:
            new = _etag(temporary.stat())
            with self._lock():
                try:
                    current = _etag(target.stat(follow_symlinks=False))
                except FileNotFoundError:
                    return None
                if current != etag:
                    return None
                temporary.replace(target)
            _sync_folder(target.parent)
        return new

    def read(self, key: str) -> tuple[bytes, str]:
        with self._opened(key) as descriptor, open(descriptor, "rb", closefd=False) as file:
            return file.read(), _etag(os.fstat(descriptor))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        check_range(start, length)
        with self._opened(key) as descriptor, open(descriptor, "rb", closefd=False) as file:
            file.seek(start)
            return file.read(length)

    def head(self, key: str) -> ObjectInfo | None:
        try:
            with self._opened(key) as descriptor:
                return _info(key, os.fstat(descriptor))
        except ObjectMissing:
            return None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        folder, _, _ = prefix.rpartition("/")
        if folder:
            check_key(folder)
            self._path(f"{folder}/x")
        yield from self._walk(folder, prefix)

    def folders(self, prefix: str) -> Iterator[str]:
        folder = self._path(f"{prefix}x").parent
        with self._errors("list", prefix), suppress(*ABSENT), os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            for name in names:
                with suppress(*ABSENT), os.scandir(folder / name) as inside:
                    if any(inside):
                        yield name

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            target = self._path(key)
            with self._errors("delete", key), suppress(*ABSENT):
                target.unlink()

    def probe(self) -> Capabilities:
        scratch = f"{RESERVED}/probe-{uuid.uuid4().hex}"
        target = self._root / scratch
        try:
            with self._errors("write", scratch), self._temporary(target, b"probe") as temporary:
                temporary.replace(target)
                with self._lock():
                    target.unlink()
        except StorageError as problem:
            raise ConfigurationError(f"cannot use the folder {self.url}: {problem}") from problem
        return Capabilities(create_only=True, compare_and_swap=True)

    def _path(self, key: str) -> Path:
        path = self._root / check_key(key)
        if os.path.realpath(path.parent) != str(path.parent):
            raise StorageError(f"{path.parent} is or goes through a symbolic link; remove the link")
        return path

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        found = []
        with self._errors("list", folder), suppress(*ABSENT), os.scandir(self._root / folder) as entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    found.append((f"{name}/", None))
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):  # deleted since the folder was read
                        found.append((name, entry.stat(follow_symlinks=False)))
        for name, facts in sorted(found, key=lambda item: item[0]):
            try:
                check_key(name.rstrip("/"))
            except ValueError:
                continue
            if facts is None and (name.startswith(prefix) or prefix.startswith(name)):
                yield from self._walk(name[:-1], prefix)
            elif facts is not None and name.startswith(prefix):
                yield _info(name, facts)

    @contextmanager
    def _opened(self, key: str) -> Iterator[int]:
        path = self._path(key)
        with self._errors("read", key):
            try:
                descriptor = os.open(path, READ)
            except ABSENT:
                raise ObjectMissing(f"there is no {path}") from None
            except OSError as problem:
                if problem.errno == errno.ELOOP:
                    raise StorageError(f"{path} is a symbolic link; remove the link") from None
                raise
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise ObjectMissing(f"{path} is no file")
                yield descriptor
            finally:
                os.close(descriptor)

    @contextmanager
    def _temporary(self, target: Path, data: bytes) -> Iterator[Path]:
        """A synced file with `data`, in the store's own folder; removed unless it was renamed."""
        scratch = self._root / RESERVED
        _make_folder(scratch)
        _make_folder(target.parent)
        self._sweep(scratch)
        temporary = scratch / f"{uuid.uuid4().hex}.tmp"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                now = time.time_ns()
                os.utime(file.fileno(), ns=(now, now))  # the kernel's own stamp may repeat within a tick
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _sweep(self, scratch: Path) -> None:
        if self._swept:
            return
        self._swept = True
        for left in scratch.glob("*.tmp"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude every other compare-and-swap in this folder, by thread or process."""
        descriptor = os.open(self._root / RESERVED / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            deadline = time.monotonic() + LOCK_PATIENCE
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise StorageError(
                            f"another process holds {self.url}/{RESERVED}/lock for over {LOCK_PATIENCE:.0f} s; "
                            "end it if it is stopped"
                        ) from None
                    time.sleep(0.005)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _errors(self, action: str, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise StorageError(f"cannot {action} {self._root / key}: {problem.strerror or problem}") from problem


def _etag(facts: os.stat_result) -> str:
    return f"{facts.st_size:x}-{facts.st_mtime_ns:x}-{facts.st_ino:x}"


def _info(key: str, facts: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, facts.st_size, _etag(facts), facts.st_mtime)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
