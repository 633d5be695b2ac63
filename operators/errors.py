"""What can go wrong: kinds of row errors, and the one tree of exceptions.

A clip or a video that fails is data: its row carries a `RowError`. Exceptions are for people who
configure or program Rushes:

    RushesError
    ├── ConfigurationError   the command, a setting or a manifest is wrong          (exit code 2)
    │   ├── ChainError       operators do not fit together or do not fit the cluster
    │   ├── MissingExtra     a library is not installed; names the extra to install
    │   └── RunMismatch      the output belongs to another configuration
    ├── StorageError         the object store could not be read or written          (exit code 1)
    │   └── LeaseLost        another driver writes this output
    ├── EngineError          Ray, or a model's engine, could not go on              (exit code 1)
    └── RowFailure           raised inside an operator to give its row a chosen kind
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypedDict


class ErrorKind(StrEnum):
    """Why a row failed. The values are written to `error.kind` and never change their meaning."""

    UNREADABLE = "unreadable"  # cannot be opened: missing, no permission, not a media file
    REFUSED = "refused"  # not allowed: scheme, path outside the input, over a limit
    CHANGED = "changed"  # its bytes are not those that the manifest saw
    NO_VIDEO = "no_video"  # opened, but holds no video stream or no frame
    DECODE = "decode"  # broke while decoding
    TIMEOUT = "timeout"  # over its limit of wall-clock or CPU time
    OUT_OF_MEMORY = "out_of_memory"  # over its limit of memory
    WORKER_DIED = "worker_died"  # its process was killed or crashed
    MODEL = "model"  # a model raised
    BAD_OUTPUT = "bad_output"  # an operator's result does not fit its columns
    INTERNAL = "internal"  # a bug: any other exception


FATAL_KINDS = frozenset({ErrorKind.TIMEOUT, ErrorKind.OUT_OF_MEMORY, ErrorKind.WORKER_DIED})
"""Kinds that become verdicts only after three attempts in fresh processes."""


class RowError(TypedDict):
    """The value of a row's `error` column."""

    operator: str
    kind: str
    message: str


class RushesError(Exception):
    """Base of every exception that Rushes raises on purpose. Crosses processes with its message and attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[RushesError], args: tuple[Any, ...], attributes: dict[str, Any]) -> RushesError:
    problem = kind.__new__(kind, *args)
    problem.__dict__.update(attributes)
    return problem


class ConfigurationError(RushesError):
    """The command, a setting or a manifest is wrong. The message names the remedy."""


class ChainError(ConfigurationError):
    """The operators do not fit together, or do not fit the cluster."""


class MissingExtra(ConfigurationError):
    """A library is not installed."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed; install it with: pip install 'rushes[{extra}]'")


class RunMismatch(ConfigurationError):
    """The output directory holds a run of another configuration, input or partition size."""


class StorageError(RushesError):
    """The object store could not be read or written, after all retries."""


class LeaseLost(StorageError):
    """Another driver has taken this output over; this one must stop writing."""


class EngineError(RushesError):
    """Ray, or a model's engine, could not go on; what is committed stays, and the same command resumes."""


class RowFailure(RushesError):
    """Raised inside an operator: this row fails with `kind`, the others go on."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
