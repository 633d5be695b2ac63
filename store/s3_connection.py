"""One S3 client per process, made when it is first needed."""

from __future__ import annotations

import os
import re
import threading
from typing import Any
from urllib.parse import urlsplit

from operators.errors import ConfigurationError
from store.retries import Patience

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")

CONNECTIONS = 64
"""Sockets that a client keeps open; more threads than that wait for one another."""


def split_s3_url(url: str) -> tuple[str, str]:
    """Bucket and key (or prefix, without outer slashes) of `s3://bucket/key`.

    Raises `ConfigurationError` without showing an address that could hold a password.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.partition("/")
    if "@" in bucket:
        raise ConfigurationError("no credentials in s3:// addresses, please; set AWS_ACCESS_KEY_ID and its secret")
    if scheme.lower() != "s3" or not BUCKET.fullmatch(bucket):
        raise ConfigurationError(f"not an S3 address: {url!r}; write s3://bucket/prefix")
    return bucket, key


class S3Connection:
    """A boto3 S3 client behind `client`; picklable, thread-safe, and made anew after a fork.

    `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_S3` are addressed by path (`endpoint/bucket/key`).
    """

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._client: tuple[int, Any] | None = None

    @property
    def client(self) -> Any:
        """The client of this process."""
        known = self._client
        if known is not None and known[0] == os.getpid():
            return known[1]
        with self._lock:
            if self._client is None or self._client[0] != os.getpid():
                self._client = os.getpid(), self._connect()
            return self._client[1]

    def _connect(self) -> Any:
        import boto3.session
        from botocore.config import Config

        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        if endpoint and urlsplit(endpoint).scheme not in ("http", "https"):
            raise ConfigurationError("AWS_ENDPOINT_URL must start with http:// or https://")
        session = boto3.session.Session()
        config = Config(
            connect_timeout=self.patience.connect_timeout,
            read_timeout=self.patience.read_timeout,
            retries={"total_max_attempts": 1},  # store.retries does it
            max_pool_connections=CONNECTIONS,
            request_checksum_calculation="when_required",  # S3's imitators know few checksums; MD5 is sent instead
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if endpoint else None,
        )
        return session.client("s3", config=config, region_name=session.region_name or "us-east-1")

    def __getstate__(self) -> dict[str, Any]:
        return {"patience": self.patience}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["patience"])
