"""Setting a partition aside that fails again and again, so that the others complete.

A failure is a partition's own where its manifest, its shards or its commit raise while the storage works. What
hits every partition (the lease, a full disk, storage that does not answer) is not counted and ends the run.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from time import sleep

from operators.errors import EngineError, LeaseLost, RushesError
from store.layout import RUN
from store.lease import Lease
from store.objects import ObjectStore
from store.parking import TRIES, PartitionFailures, forget_failures, one_line, read_failures, write_failures

PAUSE = 1.0
"""Seconds before a partition that failed is tried again, times its failures."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class Parking:
    """The failures of a run's partitions, as they are in its output. `retry` gives all of them another chance."""

    def __init__(self, store: ObjectStore, lease: Lease, retry: bool) -> None:
        self._store, self._lease = store, lease
        self._stored = read_failures(store)
        self._failures = {} if retry else dict(self._stored)

    @property
    def parked(self) -> dict[int, str]:
        """Partitions that are left alone, with the reason."""
        return {p: failures.reason for p, failures in sorted(self._failures.items()) if failures.parked}

    @contextmanager
    def guarding(self, partition: int) -> Iterator[None]:
        """Work on one partition. What it raises is counted as the partition's failure, where it is that."""
        try:
            yield
        except (LeaseLost, EngineError):
            raise
        except Exception as problem:
            if self._hits_all(problem):
                raise
            failures = self._failures.get(partition)
            self._note(partition, (failures.failures if failures else 0) + 1, _words(problem))

    def park(self, partition: int, reason: str) -> None:
        """Leave a partition alone from now on."""
        self._note(partition, TRIES, reason)

    def pause(self, partition: int) -> None:
        """Wait a little before the next try."""
        failures = self._failures.get(partition)
        sleep(PAUSE * (failures.failures if failures else 0))

    def settle(self, partition: int) -> None:
        """The partition was committed: forget its failures."""
        self._failures.pop(partition, None)
        if self._stored.pop(partition, None) is not None:
            forget_failures(self._store, partition)

    def _note(self, partition: int, failures: int, reason: str) -> None:
        self._lease.check()
        noted = PartitionFailures(
            partition=partition, failures=failures, reason=one_line(reason), epoch=self._lease.epoch
        )
        write_failures(self._store, noted)
        self._failures[partition] = self._stored[partition] = noted

    def _hits_all(self, problem: Exception) -> bool:
        """Whether the storage as a whole is to blame."""
        if any(isinstance(cause, OSError) and cause.errno in FULL for cause in _causes(problem)):
            return True
        try:
            self._store.probe()
            return self._store.head(RUN) is None  # the output was removed
        except (RushesError, OSError):
            return True


def _causes(problem: BaseException) -> list[BaseException]:
    """An exception and those that led to it."""
    causes = [problem]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def _words(problem: Exception) -> str:
    return str(problem) if isinstance(problem, RushesError) else f"{type(problem).__name__}: {problem}"
