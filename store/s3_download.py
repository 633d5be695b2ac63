"""Downloading one S3 object to a file: one version of it, whole, going on where a connection broke."""

from __future__ import annotations

import re
import shutil
from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from botocore.exceptions import ClientError

from operators.contract import Media
from operators.errors import ErrorKind, RowFailure, RushesError
from store.retries import NO_ANSWER, Attempts, Patience, error_code, final_error, is_passing, status
from store.s3_connection import S3Connection, split_s3_url

CHUNK_BYTES = 8 << 20
"""Bytes of a download that are in memory at a time."""

SPARE_BYTES = 256 << 20
"""Bytes of the disk that a download leaves free for everybody else."""

CHANGES = 3
"""Downloads begun for one video while somebody keeps writing over it."""


class S3Download:
    """Downloads objects, of at most `max_bytes` where that is given; picklable."""

    def __init__(self, max_bytes: int | None = None) -> None:
        self._s3 = S3Connection(Patience())
        self._max_bytes = max_bytes

    def __call__(self, place: str, folder: Path) -> Media:
        """The object `s3://bucket/key` as a file in `folder`. Raises `RowFailure`."""
        bucket, key = split_s3_url(place)
        suffix = PurePosixPath(key).suffix
        target = folder / f"media{suffix if re.fullmatch(r'[.][A-Za-z0-9]{1,8}', suffix) else ''}"
        try:
            for _ in range(CHANGES):
                size, etag = self._facts(bucket, key)
                if size == 0:
                    raise RowFailure(ErrorKind.UNREADABLE, "the object is empty; upload it again")
                self._check_size(size)
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

    def _check_size(self, size: int) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            raise RowFailure(
                ErrorKind.REFUSED,
                f"it has {size / 1e9:,.1f} GB, over the limit of {self._max_bytes / 1e9:,.1f}; "
                "set RUSHES_MAX_DOWNLOAD_GB and run again with --retry-failed",
            )

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
