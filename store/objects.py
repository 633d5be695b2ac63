"""Whole objects under string keys: the little that Rushes asks of storage.

A store is a local folder (`store.local`) or an S3 prefix (`store.s3`); both keep one contract, and
the same tests run against both. Keys are relative to the store's `url` and '/'-separated.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from operators.errors import ConfigurationError, StorageError

RESERVED = ".rushes"
"""First segment of the store's own keys (scratch objects, temporary files); never listed."""

KEY_BYTES = 900
"""Longest key in UTF-8 bytes: S3 allows 1024 together with the store's prefix."""

SEGMENT_BYTES = 255
"""Longest part between two slashes in UTF-8 bytes: the limit of common file systems."""

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class ObjectMissing(StorageError):
    """No object has this key."""


@dataclass(frozen=True)
class ObjectInfo:
    """An object without its bytes. `size` in bytes, `modified` in epoch seconds, `etag` opaque."""

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True)
class Capabilities:
    """What a store was seen to do: refuse to overwrite, and refuse to replace another version."""

    create_only: bool
    compare_and_swap: bool


class ObjectStore(ABC):
    """Objects under keys. Instances are picklable and may be used from several threads.

    Every method raises `StorageError` when the storage cannot be reached after all retries, and
    `ValueError` for a key that `check_key` refuses.
    """

    url: str
    """`s3://bucket/prefix` or an absolute folder."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> str:
        """Write a whole object, over any earlier one; readers see the old or the new. Returns its etag."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Write an object only where there is none; False when the key exists.

        When the storage's answer is lost, the object is read back: equal bytes count as created. Data
        that several writers could race for must therefore hold a nonce. Where `probe` found that the
        store ignores conditions, existence is checked before the write, and two writers in that gap
        both succeed.
        """

    @abstractmethod
    def replace(self, key: str, data: bytes, etag: str) -> str | None:
        """Write over the version named by `etag`; None when the object is another version or gone.

        Returns the new etag. Lost answers and stores that ignore conditions: as in `create`; so None means
        "not this writer's version now", even where it was for a moment and somebody has replaced it since.
        """

    @abstractmethod
    def read(self, key: str) -> tuple[bytes, str]:
        """An object's bytes and etag. Raises `ObjectMissing`."""

    def get(self, key: str) -> bytes:
        """An object's bytes. Raises `ObjectMissing`."""
        return self.read(key)[0]

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """At most `length` bytes from byte `start`, fewer at the object's end. Raises `ObjectMissing`."""

    @abstractmethod
    def head(self, key: str) -> ObjectInfo | None:
        """An object's facts, or None where there is none."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects whose key starts with `prefix` (a string prefix, as in S3), sorted by key."""

    @abstractmethod
    def folders(self, prefix: str) -> Iterator[str]:
        """Names of the folders right below `prefix` (which ends in a slash) that hold something, sorted.

        Costs by the number of folders, not of the objects in them.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that are not there are no error."""

    @abstractmethod
    def probe(self) -> Capabilities:
        """Try conditional writes on a scratch object, remember the result, and remove the object.

        Raises `ConfigurationError` where the store cannot be written at all.
        """

    def within(self, seconds: float) -> ObjectStore:
        """The same store with calls that give up after about `seconds`."""
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"


def check_key(key: str) -> str:
    """The key itself, when it is safe as an S3 key and as a path below a folder.

    Raises `ValueError` for empty, absolute or too long keys, empty, '.' and '..' segments, characters
    that XML cannot carry (control characters, surrogates), and the store's own `RESERVED` segment.
    """
    segments = key.split("/")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"key holds characters that are not Unicode text: {key!a}") from None
    if not key or size > KEY_BYTES:
        raise ValueError(f"key must have 1 to {KEY_BYTES} bytes, has {size}")
    if any(segment in ("", ".", "..") for segment in segments) or segments[0] == RESERVED:
        raise ValueError(f"key has an empty, '.', '..' or reserved segment: {key!r}")
    if any(len(segment.encode()) > SEGMENT_BYTES for segment in segments):
        raise ValueError(f"key has a segment over {SEGMENT_BYTES} bytes: {key!r}")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in "\ufffe\uffff" for character in key):
        raise ValueError(f"key has control characters: {key!a}")
    return key


def check_range(start: int, length: int) -> None:
    """Raises `ValueError` for a range of bytes that is empty or starts before the object."""
    if start < 0 or length <= 0:
        raise ValueError(f"no range has {length} bytes from byte {start}")


def open_store(url: str | Path) -> ObjectStore:
    """The store at a folder path, `file:///folder` or `s3://bucket/prefix`; touches nothing yet.

    Raises `ConfigurationError` for any other scheme and for what is no bucket's name.
    """
    from store.local import LocalStore

    text = str(url)
    scheme = SCHEME.match(text)
    if not text or "\0" in text:
        raise ConfigurationError("the output must be a folder or s3://bucket/prefix")
    if scheme is None:
        return LocalStore(text)
    match scheme[1].lower():
        case "s3":
            from store.s3 import S3Store  # imports boto3, which local runs need not wait for

            return S3Store(text)
        case "file":
            parts = urlsplit(text)
            if parts.netloc not in ("", "localhost"):
                raise ConfigurationError("file:// must name a folder of this machine: file:///folder")
            return LocalStore(unquote(parts.path))
        case other:
            raise ConfigurationError(f"cannot store to {other}://; use a folder or s3://bucket/prefix")
