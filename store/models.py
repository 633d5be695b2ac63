"""Model files in object storage, kept on this machine's disk.

A model lies under `s3://bucket/prefix`. What was fetched stays in the cache folder under a name made of
the files' names, sizes and ETags, so that a prefix that changes gets another folder, and processes that
have the old one open keep it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from operators.errors import ConfigurationError, RowFailure
from operators.networks import cache_dir
from store.objects import ObjectStore, check_key, open_store
from store.s3_connection import split_s3_url
from store.s3_download import SPARE_BYTES, S3Download
from store.scratch import scratch_folder
from store.threads import in_threads

MOST_FILES = 10_000
"""Files under a prefix beyond which it is no model's."""

DOWNLOADS = 4
"""Files that are fetched at once: one connection rarely fills the line, and split weights have several."""

Listing = Mapping[str, tuple[int, str]]
"""Size in bytes and ETag by relative name."""


class S3Models:
    """`operators.contract.ModelStore`; picklable. `cache` is where files are kept, by default `cache_dir()`.

    Raises `ConfigurationError` for prefixes that hold no model, and `StorageError` for storage that does not
    answer.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._cache = cache
        self._download = S3Download()
        self._stores: dict[str, ObjectStore] = {}  # each has a client, which takes longer to make than a listing

    def listing(self, url: str) -> Listing:
        """As in the contract. Names that are no paths below a folder are refused."""
        bucket, _ = split_s3_url(url)
        if bucket and url.rstrip("/") == f"s3://{bucket}":
            raise ConfigurationError(f"{url} is a whole bucket; give the prefix of one model in it")
        store = self._stores.setdefault(url, open_store(url))
        found: dict[str, tuple[int, str]] = {}
        for info in islice(store.list(), MOST_FILES + 1):
            try:
                found[check_key(info.key)] = info.size, info.etag
            except ValueError as problem:
                raise ConfigurationError(f"{store.url} holds a file that cannot be kept here: {problem}") from None
        if not found:
            raise ConfigurationError(f"nothing lies under {store.url}/; check the address")
        if len(found) > MOST_FILES:
            raise ConfigurationError(f"{store.url} holds more than {MOST_FILES:,} files; give the prefix of one model")
        for name in found:
            if any(parent.as_posix() in found for parent in Path(name).parents):
                raise ConfigurationError(f"{store.url} holds a file inside a file: {name!r}; it cannot be kept here")
        return found

    def held(self, url: str, names: Collection[str] | None = None) -> Path | None:
        """As in the contract; lists the prefix, and fetches nothing."""
        folder = self._folder(url, _chosen(url, self.listing(url), names))
        return folder if folder.is_dir() else None

    def fetch(self, url: str, names: Collection[str] | None = None, again: Collection[str] = ()) -> Path:
        """As in the contract. Processes of a node that want the same files fetch them once.

        An interrupted fetch keeps the files that were whole, and the next one goes on with the others.
        """
        wanted = _chosen(url, self.listing(url), names)
        folder = self._folder(url, wanted)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _locked(folder.with_name(f".{folder.name}.lock")):
                self._fill(url, wanted, folder, again)
        except OSError as problem:
            raise ConfigurationError(
                f"models cannot be kept in {folder.parent}: {problem.strerror}; set RUSHES_CACHE to a larger or "
                "writable disk"
            ) from problem
        return folder

    def _fill(self, url: str, wanted: Listing, folder: Path, again: Collection[str]) -> None:
        filling = folder if folder.is_dir() else folder.with_name(f".{folder.name}.part")
        filling.mkdir(exist_ok=True)
        missing = [name for name, (size, _) in wanted.items() if name in again or _size(filling / name) != size]
        self._check_room(filling, url, sum(wanted[name][0] for name in missing))
        in_threads(lambda name: self._keep(url, name, wanted[name], filling), missing, DOWNLOADS)
        if filling != folder:
            filling.rename(folder)

    def _keep(self, url: str, name: str, facts: tuple[int, str], folder: Path) -> None:
        """Put one file into `folder`, whole or not at all."""
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        size, etag = facts
        if size == 0:
            target.touch()
            return
        with scratch_folder(".rushes-model-", folder.parent) as scratch:
            try:
                media = self._download(f"{url.rstrip('/')}/{name}", scratch)
            except RowFailure as problem:
                raise ConfigurationError(f"{url}/{name}: {problem}") from None
            if (media.size, media.etag) != (size, etag) or _size(media.path) != size:
                raise ConfigurationError(f"{url}/{name} was written over while it was fetched; start again")
            with media.path.open("rb") as file:
                os.fsync(file.fileno())
            media.path.replace(target)

    def _folder(self, url: str, wanted: Listing) -> Path:
        facts = "".join(f"{name}\0{size}\0{etag}\n" for name, (size, etag) in sorted(wanted.items()))
        digest = hashlib.sha256(f"{url.rstrip('/')}\n{facts}".encode()).hexdigest()[:16]
        last = re.sub(r"[^\w.-]", "_", url.rstrip("/").rpartition("/")[2], flags=re.ASCII).lstrip(".")[:60]
        return (self._cache or cache_dir()) / "models" / f"{last}-{digest}"

    def _check_room(self, folder: Path, url: str, needed: int) -> None:
        free = shutil.disk_usage(folder).free
        if needed and free < needed + SPARE_BYTES:
            raise ConfigurationError(
                f"{url} needs {needed / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB free; "
                "set RUSHES_CACHE to a larger disk"
            )


def _chosen(url: str, listing: Listing, names: Collection[str] | None) -> Listing:
    if names is None:
        return listing
    if lacking := sorted(set(names) - set(listing)):
        raise ConfigurationError(f"{url} lacks {', '.join(lacking)}")
    return {name: listing[name] for name in listing if name in set(names)}


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among the processes of this machine; the lock goes with the process."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
