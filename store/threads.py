"""Many reads at once: an object store answers each in tens of milliseconds, and hundreds together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

READERS = 16  # hides an object store's latency, stays under its connection pool

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(task: Callable[[In], Out], items: Iterable[In], workers: int = READERS) -> list[Out]:
    """`task` of every item, in their order. The first exception is raised, and what had not begun never will."""
    return list(ahead(task, items, workers, window=None))


def ahead(
    task: Callable[[In], Out], items: Iterable[In], workers: int = READERS, window: int | None = READERS
) -> Iterator[Out]:
    """`task` of every item, in their order, with at most `window` results begun and not yet taken.

    An abandoned iteration ends once the tasks that run have ended.
    """
    pending: deque[Future[Out]] = deque()
    source = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="rushes-read") as pool:
        try:
            pending.extend(pool.submit(task, item) for item in islice(source, window))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(task, item) for item in islice(source, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
