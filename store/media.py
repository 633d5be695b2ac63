"""Opening a video by its URI, wherever it lies, as a file on this machine's disk.

URIs come from manifests and folders that strangers filled: only local paths and `s3://` are opened,
nothing outside the input folder, and only regular files.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

from operators.contract import Media
from operators.errors import ErrorKind, RowFailure, RushesError
from store.retries import NO_ANSWER, Attempts, Patience, error_code, final_error, is_passing, status
from store.s3_connection import S3Connection, split_s3_url
from store.scratch import scratch_folder
from store.video_entry import check_uri

CHUNK_BYTES = 8 << 20
"""Bytes of a download that are in memory at a time."""

SPARE_BYTES = 256 << 20
"""Bytes of the disk that a download leaves free for everybody else."""

CHANGES = 3
"""Downloads begun for one video while somebody keeps writing over it."""


class MediaOpener:
    """Opens URIs as `operators.contract.Media`; picklable, so that workers receive it.

    `root` is the input folder or `s3://bucket/prefix`, and nothing outside it is opened: no other path,
    and no symbolic link that leaves it. None, for manifests, opens whatever a manifest names. `cache_dir`
    holds downloads while they are in use, by default the folder for temporary files (`TMPDIR`).

    Used as `with opener(uri) as media`. Raises `RowFailure`: refused (scheme, outside `root`, no regular
    file), unreadable (missing, no permission, a folder, empty, storage that does not answer, no room on
    the disk), changed (written over during each of three downloads).
    """

    def __init__(self, root: str | None, cache_dir: Path | None = None) -> None:
        if root is None or root.startswith("s3://"):
            self._root = root
        else:
            self._root = os.path.realpath(check_uri(root))
        self._cache_dir = cache_dir
        self._s3 = S3Connection(Patience())

    @contextmanager
    def __call__(self, uri: str) -> Iterator[Media]:
        try:
            place = check_uri(uri)
        except ValueError as problem:
            raise RowFailure(ErrorKind.REFUSED, str(problem)) from None
        if not place.startswith("s3://"):
            yield self._local(place)
            return
        if self._root is not None and not place.startswith(f"{self._root.rstrip('/')}/"):
            raise RowFailure(ErrorKind.REFUSED, f"it lies outside the input {self._root}; name it in a manifest")
        with scratch_folder("rushes-media-", self._cache_dir) as folder:
            yield self._downloaded(place, folder)

    def _local(self, place: str) -> Media:
        """A local file; its etag is size and time of change in nanoseconds."""
        root = self._root
        if root is not None and root.startswith("s3://"):
            raise RowFailure(ErrorKind.REFUSED, f"it lies outside the input {root}; name it in a manifest")
        path = os.path.realpath(Path(root or "", place))
        if root is not None and not Path(path).is_relative_to(root):
            raise RowFailure(
                ErrorKind.REFUSED, "it leads out of the input folder; copy the file there or name it in a manifest"
            )
        try:
            facts = os.stat(path)  # noqa: PTH116 - `path` is a string that may hold undecodable bytes
            if stat.S_ISDIR(facts.st_mode):
                raise RowFailure(ErrorKind.UNREADABLE, "it is a folder, not a video file; rename or remove it")
            if not stat.S_ISREG(facts.st_mode):
                raise RowFailure(ErrorKind.REFUSED, "it is a device, pipe or socket; name a regular file")
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
        except OSError as problem:
            raise RowFailure(ErrorKind.UNREADABLE, _local_remedy(problem)) from None
        if facts.st_size == 0:
            raise RowFailure(ErrorKind.UNREADABLE, "the file is empty; copy it again from its source")
        return Media(path=Path(path), size=facts.st_size, etag=f"{facts.st_size}-{facts.st_mtime_ns}")

    def _downloaded(self, place: str, folder: Path) -> Media:
        bucket, key = split_s3_url(place)
        suffix = PurePosixPath(key).suffix
        target = folder / f"media{suffix if re.fullmatch(r'[.][A-Za-z0-9]{1,8}', suffix) else ''}"
        try:
            for _ in range(CHANGES):
                size, etag = self._facts(bucket, key)
                if size == 0:
                    raise RowFailure(ErrorKind.UNREADABLE, "the object is empty; upload it again")
                _check_room(folder, size)
                with target.open("wb") as file:
                    if self._fetch_all(bucket, key, etag, size, file):
                        return Media(path=target, size=size, etag=etag)
        except ClientError as problem:
            if status(problem) == 404 and error_code(problem) != "NoSuchBucket":
                raise RowFailure(ErrorKind.UNREADABLE, "no such object or bucket; check the manifest") from None
            raise RowFailure(ErrorKind.UNREADABLE, str(final_error(problem, "read it"))) from None
        except RowFailure:
            raise
        except RushesError as problem:
            raise RowFailure(ErrorKind.UNREADABLE, str(problem)) from None
        except OSError as problem:
            raise RowFailure(
                ErrorKind.UNREADABLE,
                f"its copy could not be written to {folder.parent}: {problem.strerror}; "
                "set TMPDIR to a larger or writable disk",
            ) from None
        raise RowFailure(ErrorKind.CHANGED, "it was written over while it was read; run again when its upload is over")

    def _facts(self, bucket: str, key: str) -> tuple[int, str]:
        attempts = Attempts(self._s3.patience, "read it")
        answer = attempts.call(lambda: self._s3.client.head_object(Bucket=bucket, Key=key))
        return answer["ContentLength"], answer["ETag"].strip('"')

    def _fetch_all(self, bucket: str, key: str, etag: str, size: int, file: BinaryIO) -> bool:
        """Write the version `etag` to `file`, going on where a connection broke; False when it changed."""
        while file.tell() < size:
            try:
                # Every request that brought bytes begins with fresh patience: a large video takes its time.
                same = Attempts(self._s3.patience, "read it").call(lambda: self._fetch(bucket, key, etag, file))
            except ClientError as problem:
                if status(problem) in (412, 416):
                    return False
                raise
            if not same:
                return False
        return file.tell() == size

    def _fetch(self, bucket: str, key: str, etag: str, file: BinaryIO) -> bool:
        start = file.tell()
        options: dict[str, Any] = {"Range": f"bytes={start}-"} if start else {}
        answer = self._s3.client.get_object(Bucket=bucket, Key=key, IfMatch=f'"{etag}"', **options)
        with closing(answer["Body"]) as body:
            if answer["ETag"].strip('"') != etag:  # the server ignores If-Match
                return False
            if start and "ContentRange" not in answer:  # the server ignores Range
                file.seek(0)
                file.truncate()
                start = 0
            try:
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
            except NO_ANSWER as problem:
                if not is_passing(problem) or file.tell() <= start:
                    raise
        return True


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise RowFailure(
            ErrorKind.UNREADABLE,
            f"its copy needs {size / 1e9:.1f} GB and {folder.parent} has {free / 1e9:.1f} GB free; "
            "set TMPDIR to a larger disk and run again with --retry-failed",
        )


def _local_remedy(problem: OSError) -> str:
    match problem.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return "there is no such file; check the path"
        case errno.EACCES | errno.EPERM:
            return "no permission to read it; chmod it or run as its owner"
        case errno.ELOOP:
            return "its symbolic links go round in a circle; replace them by the file"
        case _:
            return f"it cannot be opened: {problem.strerror}; check the disk it lies on"
