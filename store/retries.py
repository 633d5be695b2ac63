"""Calling S3 again when it fails for a while: backoff with jitter, bounded in tries and in time.

botocore's own retries are switched off (`store.s3`): they hide whether an earlier try may have been
applied, which conditional writes must know.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from operators.errors import ConfigurationError, RushesError, StorageError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses that may pass."""

BUSY_CODES = frozenset(
    {
        "ConditionalRequestConflict",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
    }
)
"""S3 error codes that may pass whatever their status. ConditionalRequestConflict (409) means: upload again."""

UNAPPLIED_CODES = frozenset({"ConditionalRequestConflict", "OperationAborted", "SlowDown", "Throttling"})
"""Codes by which S3 says that it did not apply the request."""

REMEDIES = {
    "NoSuchBucket": "the bucket does not exist; create it or correct the address",
    "InvalidBucketName": "this is no bucket's name",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "InvalidObjectState": "the object is archived; restore it first",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "AuthorizationHeaderMalformed": "the region is wrong; set AWS_REGION to the bucket's",
    "PermanentRedirect": "the bucket is in another region; set AWS_REGION to the bucket's",
}
"""Codes that no retry cures and a person can."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """Bounds on one call of the store: tries, seconds in all, seconds per connection and per answer."""

    attempts: int = 12
    seconds: float = 180.0
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    first_delay: float = 0.1
    longest_delay: float = 10.0

    def __post_init__(self) -> None:
        if min(self.attempts, self.seconds, self.connect_timeout, self.read_timeout) <= 0:
            raise ValueError("patience needs at least one attempt and positive times")

    def within(self, seconds: float) -> Patience:
        """Patience for a call that must be over after about `seconds`, with time for three tries."""
        return Patience(
            attempts=self.attempts,
            seconds=min(self.seconds, seconds),
            connect_timeout=min(self.connect_timeout, seconds / 3),
            read_timeout=min(self.read_timeout, seconds / 3),
            first_delay=min(self.first_delay, seconds / 30),
            longest_delay=min(self.longest_delay, seconds / 3),
        )


NO_ANSWER = (
    HTTPClientError,
    NotConnected,
    IncompleteReadError,
    ResponseParserError,
    HTTPError,
    ConnectionError,
    TimeoutError,
)
"""Exceptions of botocore, urllib3 and sockets by which an answer is late, cut off, garbled or missing."""


class Attempts:
    """The tries of one call. `unclear` is set once a try may have been applied without our knowing."""

    def __init__(self, patience: Patience, what: str) -> None:
        self.patience = patience
        self.what = what
        self.unclear = False

    def call(self, request: Callable[[], Result]) -> Result:
        """The request's result, tried again while it fails in ways that may pass.

        Raises `ClientError` for an answer that is final (the caller knows what a 404 or 412 means),
        `StorageError` when the tries are used up and `ConfigurationError` where there are no credentials.
        """
        started = time.monotonic()
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return request()
            except (BotoCoreError, ClientError, *NO_ANSWER) as problem:
                reason = describe(problem)
                if not is_passing(problem):
                    if isinstance(problem, ClientError):
                        raise
                    raise final_error(problem, self.what) from None
                if error_code(problem) not in UNAPPLIED_CODES:
                    self.unclear = True
            ceiling = min(self.patience.longest_delay, self.patience.first_delay * 2 ** (attempt - 1))
            delay = random.uniform(ceiling / 2, ceiling)
            elapsed = time.monotonic() - started
            if attempt == self.patience.attempts or elapsed + delay > self.patience.seconds:
                break
            log.debug("%s: %s; trying again in %.1f s", self.what, reason, delay)
            time.sleep(delay)
        raise StorageError(
            f"cannot {self.what}: {reason}, after {attempt} tries in {time.monotonic() - started:.0f} s; "
            "check the network and AWS_ENDPOINT_URL, then run the same command again"
        )


def is_passing(problem: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(problem, ClientError):
        return status(problem) in BUSY or error_code(problem) in BUSY_CODES
    return isinstance(problem, NO_ANSWER)


def status(problem: BaseException) -> int:
    """The HTTP status of an answer, 0 where there was none."""
    response = getattr(problem, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def error_code(problem: BaseException) -> str:
    """S3's error code, "" where there was no answer."""
    response = getattr(problem, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def describe(problem: BaseException) -> str:
    """A problem without addresses, headers or keys: they may hold credentials."""
    if isinstance(problem, ClientError):
        return f"S3 answered {status(problem)} {error_code(problem)}".rstrip()
    return f"no answer ({type(problem).__name__})"


def final_error(problem: BaseException, what: str) -> RushesError:
    """The exception for a problem that no retry cures."""
    if isinstance(problem, (NoCredentialsError, PartialCredentialsError)):
        return ConfigurationError(
            f"cannot {what}: no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
        )
    remedy = REMEDIES.get(error_code(problem))
    if remedy:
        return ConfigurationError(f"cannot {what}: {remedy}")
    if status(problem) == 403:
        return StorageError(f"cannot {what}: {describe(problem)}; check that these credentials may do this")
    return StorageError(f"cannot {what}: {describe(problem)}")
