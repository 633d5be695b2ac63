"""An S3 prefix as an object store, through boto3.

Credentials, region and `AWS_ENDPOINT_URL` are boto3's own (environment, profile, instance role).
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from typing import Any

from botocore.exceptions import ClientError

from operators.errors import ConfigurationError, RushesError, StorageError
from store.objects import RESERVED, Capabilities, ObjectInfo, ObjectMissing, ObjectStore, check_key, check_range
from store.retries import Attempts, Patience, error_code, final_error, status
from store.s3_connection import S3Connection, split_s3_url

MULTIPART_BYTES = 64 << 20
"""Objects over this many bytes are put in parts, so that a broken connection costs one part."""

PART_BYTES = 32 << 20
"""Bytes per part: S3 wants at least 5 MiB, and takes at most 10,000 parts."""

PAGE = 1000
"""Keys per page of a listing: S3's limit."""

DELETE_BATCH = 1000
"""Keys per DeleteObjects request: S3's limit."""

UNSUPPORTED = (400, 405, 501)
"""Statuses by which stores refuse a conditional header they do not know."""


class S3Store(ObjectStore):
    """Objects below `s3://bucket/prefix`.

    `create` and `replace` are one conditional PUT (at most 5 GB), `put` one PUT or a multipart upload.
    Etags are S3's, without quotes. Until `probe` has seen the store keep conditions, existence and
    version are checked before every conditional write too, because a store that ignores conditions
    would overwrite.
    """

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        self._bucket, prefix = split_s3_url(url)
        prefix = prefix.strip("/")
        try:
            self._prefix = f"{check_key(prefix)}/" if prefix else ""
        except ValueError as problem:
            raise ConfigurationError(f"cannot use {url!a}: {problem}") from None
        self.url = f"s3://{self._bucket}/{self._prefix}".rstrip("/")
        self._s3 = S3Connection(patience or Patience())
        self._capabilities: Capabilities | None = None

    def within(self, seconds: float) -> S3Store:
        store = S3Store(self.url, self._s3.patience.within(seconds))
        store._capabilities = self._capabilities
        return store

    def put(self, key: str, data: bytes) -> str:
        check_key(key)
        if len(data) > MULTIPART_BYTES:
            return self._put_parts(key, data)
        attempts = self._attempts("write", key)
        try:
            return self._put_once(attempts, key, data)
        except ClientError as problem:
            raise final_error(problem, attempts.what) from None

    def create(self, key: str, data: bytes) -> bool:
        check_key(key)
        known = self._capabilities
        if (known is None or not known.create_only) and self.head(key) is not None:
            return False
        condition = {"IfNoneMatch": "*"} if known is None or known.create_only else {}
        return self._put_conditionally(key, data, condition) is not None

    def replace(self, key: str, data: bytes, etag: str) -> str | None:
        check_key(key)
        known = self._capabilities
        if known is None or not known.compare_and_swap:
            current = self.head(key)
            if current is None or current.etag != etag:
                return None
        condition = {"IfMatch": f'"{etag}"'} if known is None or known.compare_and_swap else {}
        return self._put_conditionally(key, data, condition)

    def read(self, key: str) -> tuple[bytes, str]:
        return self._read(check_key(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        check_range(start, length)
        try:
            answer, data = self._get(check_key(key), Range=f"bytes={start}-{start + length - 1}")
        except _BeyondEnd:
            return b""
        return data if "ContentRange" in answer else data[start : start + length]

    def head(self, key: str) -> ObjectInfo | None:
        check_key(key)
        attempts = self._attempts("read", key)
        try:
            answer = attempts.call(lambda: self._s3.client.head_object(**self._at(key)))
        except ClientError as problem:
            if status(problem) == 404 and error_code(problem) != "NoSuchBucket":
                return None
            raise final_error(problem, attempts.what) from None
        return ObjectInfo(key, answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"].timestamp())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As in `ObjectStore`. Zero-byte "folders" (keys ending in a slash) are left out."""
        for answer in self._pages(prefix):
            for found in answer.get("Contents", ()):
                key = found["Key"][len(self._prefix) :]
                if not key.endswith("/") and not key.startswith(f"{RESERVED}/"):
                    modified = found["LastModified"].timestamp()
                    yield ObjectInfo(key, found["Size"], found["ETag"].strip('"'), modified)

    def folders(self, prefix: str) -> Iterator[str]:
        start = len(self._prefix) + len(prefix)
        for answer in self._pages(prefix, Delimiter="/"):
            for found in answer.get("CommonPrefixes", ()):
                yield found["Prefix"][start:-1]

    def _pages(self, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            attempts = self._attempts("list", prefix)
            asked = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": PAGE, **options, **more}
            try:
                answer = attempts.call(lambda asked=asked: self._s3.client.list_objects_v2(**asked))
            except ClientError as problem:
                raise final_error(problem, attempts.what) from None
            yield answer
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    def delete(self, keys: Iterable[str]) -> None:
        names = [self._prefix + check_key(key) for key in keys]
        for first in range(0, len(names), DELETE_BATCH):
            batch = names[first : first + DELETE_BATCH]
            attempts = Attempts(self._s3.patience, f"delete {len(batch)} objects of {self.url}")
            try:
                attempts.call(lambda batch=batch: self._delete_once(batch))
            except ClientError as problem:
                raise final_error(problem, attempts.what) from None

    def probe(self) -> Capabilities:
        key = f"{RESERVED}/probe-{uuid.uuid4().hex}"
        attempts = Attempts(self._s3.patience, f"write to {self.url}")
        try:
            self._put_once(attempts, key, b"first")
            created = self._keeps(key, b"second", {"IfNoneMatch": "*"})
            swapped = self._keeps(key, b"third", {"IfMatch": f'"{"0" * 32}"'})
            if swapped:
                _, etag = self._read(key)
                swapped = self._put_conditionally(key, b"fourth", {"IfMatch": f'"{etag}"'}) is not None
        except ClientError as problem:
            raise ConfigurationError(str(final_error(problem, attempts.what))) from None
        finally:
            with suppress(RushesError, ClientError):
                attempts.call(lambda: self._delete_once([self._prefix + key]))
        self._capabilities = Capabilities(create_only=created, compare_and_swap=swapped)
        return self._capabilities

    def _keeps(self, key: str, data: bytes, condition: dict[str, str]) -> bool:
        """Whether a write whose condition does not hold is refused as such."""
        try:
            self._put_once(self._attempts("write", key), key, data, condition)
        except ClientError as problem:
            if status(problem) == 412:
                return True
            if status(problem) in UNSUPPORTED:
                return False
            raise
        return False

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _attempts(self, action: str, key: str) -> Attempts:
        return Attempts(self._s3.patience, f"{action} {self.url}/{key}")

    def _get(self, key: str, **options: str) -> tuple[dict[str, Any], bytes]:
        attempts = self._attempts("read", key)

        def once() -> tuple[dict[str, Any], bytes]:
            answer = self._s3.client.get_object(**self._at(key), **options)
            with closing(answer["Body"]) as body:
                return answer, body.read()

        try:
            return attempts.call(once)
        except ClientError as problem:
            if status(problem) == 404 and error_code(problem) != "NoSuchBucket":
                raise ObjectMissing(f"there is no {self.url}/{key}") from None
            if status(problem) == 416:
                raise _BeyondEnd from None
            raise final_error(problem, attempts.what) from None

    def _read(self, key: str) -> tuple[bytes, str]:
        answer, data = self._get(key)
        return data, answer["ETag"].strip('"')

    def _put_once(self, attempts: Attempts, key: str, data: bytes, condition: dict[str, str] | None = None) -> str:
        """One PUT with its retries; the etag, or `ClientError`."""
        checksum = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        answer = attempts.call(
            lambda: self._s3.client.put_object(**self._at(key), Body=data, ContentMD5=checksum, **(condition or {}))
        )
        return answer["ETag"].strip('"')

    def _put_conditionally(self, key: str, data: bytes, condition: dict[str, str]) -> str | None:
        attempts = self._attempts("write", key)
        try:
            return self._put_once(attempts, key, data, condition)
        except ClientError as problem:
            if status(problem) == 412 or error_code(problem) == "NoSuchKey":
                return self._ours(key, data) if attempts.unclear else None
            raise final_error(problem, attempts.what) from None

    def _ours(self, key: str, data: bytes) -> str | None:
        """The etag of the stored object when it is `data`: an earlier try was applied, its answer lost."""
        try:
            stored, etag = self._read(key)
        except ObjectMissing:
            return None
        return etag if stored == data else None

    def _put_parts(self, key: str, data: bytes) -> str:
        at, client = self._at(key), self._s3.client
        attempts = self._attempts("write", key)
        try:
            upload = attempts.call(lambda: client.create_multipart_upload(**at))["UploadId"]
        except ClientError as problem:
            raise final_error(problem, attempts.what) from None
        finishing = self._attempts("write", key)
        try:
            parts = []
            for number, start in enumerate(range(0, len(data), PART_BYTES), 1):
                body = data[start : start + PART_BYTES]
                sent = self._attempts("write", key).call(
                    lambda number=number, body=body: client.upload_part(
                        **at, UploadId=upload, PartNumber=number, Body=body
                    )
                )
                parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            finishing.call(
                lambda: client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})
            )
        except ClientError as problem:
            if not (finishing.unclear and error_code(problem) == "NoSuchUpload" and self._ours(key, data)):
                self._abort(at, upload)
                raise final_error(problem, attempts.what) from None
        except StorageError:
            self._abort(at, upload)
            raise
        stored = self.head(key)  # rclone answers a completed upload with another etag than the object then has
        if stored is None:
            raise StorageError(f"{self.url}/{key} is gone right after it was written; does something delete there?")
        return stored.etag

    def _abort(self, at: dict[str, str], upload: str) -> None:
        with suppress(RushesError, ClientError):
            attempts = Attempts(self._s3.patience, "abort a multipart upload")
            attempts.call(lambda: self._s3.client.abort_multipart_upload(**at, UploadId=upload))

    def _delete_once(self, names: list[str]) -> None:
        answer = self._s3.client.delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": name} for name in names], "Quiet": True}
        )
        failed = [error for error in answer.get("Errors", ()) if error.get("Code") != "NoSuchKey"]
        if failed:
            raise ClientError({"Error": failed[0]}, "DeleteObjects")


class _BeyondEnd(StorageError):
    """A range starts after an object's last byte."""
