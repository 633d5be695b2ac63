"""Removing what no marker names.

Objects under `clips/`, `videos/`, `failed/`, `verdicts/` and `attempts/` are orphans when they are
older than a grace period and no marker names them: neither the latest of their partition nor an
older one, since a reader may hold an older generation open. Attempts are named by no marker; they
are evidence until their partition is committed, and orphans after it. Everything else stays, as does
whatever does not look like ours, and all of a partition with a marker that cannot be read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from operators.errors import ConfigurationError, StorageError
from store.layout import LEASE, RUN, SHARD_KINDS, parse_attempt_key, parse_shard_key
from store.lease import TERM, Lease
from store.markers import all_generations, read_marker
from store.objects import ObjectInfo, ObjectMissing, ObjectStore
from store.threads import in_threads

GRACE_SECONDS = 24 * 3600.0
"""Default age under which nothing is removed: longer than a writer may hold a shard before its commit."""

BATCH = 1000  # S3 removes as many objects with one request


def orphans(store: ObjectStore, grace_seconds: float = GRACE_SECONDS, *, now: float | None = None) -> list[ObjectInfo]:
    """What `clean` would remove, in order of keys; removes nothing.

    Args:
        now: epoch seconds on the clock that gave the objects their times; by default this machine's.

    Raises `ConfigurationError` where there is no run.
    """
    if grace_seconds < 0:
        raise ConfigurationError("the grace period must not be negative")
    if store.head(RUN) is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    before = (time.time() if now is None else now) - grace_seconds
    # Objects before markers: a shard that is committed in between is then found to be named.
    old = [item for kind in (*SHARD_KINDS, "attempts") for item in store.list(f"{kind}/") if item.modified < before]
    named, committed, unreadable = _named(store)
    return sorted(
        (item for item in old if _is_orphan(item.key, named, committed, unreadable)), key=lambda item: item.key
    )


def clean(
    store: ObjectStore,
    grace_seconds: float = GRACE_SECONDS,
    *,
    term: float = TERM,
    take_over: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> list[ObjectInfo]:
    """Remove the orphans and return them.

    Holds the output's lease meanwhile, so that no driver commits what is being removed, and measures
    age on the store's own clock. `term`, `take_over` and `on_wait` are those of `Lease.acquire`. Raises
    `RunLocked` while a run is being written and `ConfigurationError` where there is no run.
    """
    if store.head(RUN) is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    with Lease.acquire(store, term=term, take_over=take_over, on_wait=on_wait, job="jobs.clean") as lease:
        taken = store.head(LEASE)
        found = orphans(store, grace_seconds, now=taken.modified if taken else None)
        for start in range(0, len(found), BATCH):
            lease.check()
            store.delete(item.key for item in found[start : start + BATCH])
    return found


def _named(store: ObjectStore) -> tuple[set[str], set[int], set[int]]:
    """Keys that any marker names, partitions that have a marker, and those with an unreadable one."""
    every = [(partition, number) for partition, numbers in all_generations(store).items() for number in numbers]
    named: set[str] = set()
    unreadable: set[int] = set()

    def read(place: tuple[int, int]) -> tuple[str, ...] | None:
        try:
            return tuple(entry.key for entry in read_marker(store, *place).shards)
        except ObjectMissing:
            raise
        except StorageError:
            return None

    for (partition, _), keys in zip(every, in_threads(read, every), strict=True):
        if keys is None:
            unreadable.add(partition)
        else:
            named.update(keys)
    return named, {partition for partition, _ in every}, unreadable


def _is_orphan(key: str, named: set[str], committed: set[int], unreadable: set[int]) -> bool:
    if shard := parse_shard_key(key):
        return key not in named and shard.partition not in unreadable
    if attempt := parse_attempt_key(key):
        return attempt.partition in committed and attempt.partition not in unreadable
    return False
