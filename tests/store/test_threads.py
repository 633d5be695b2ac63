"""Many reads at once stay in order, bounded, and stop at the first problem."""

from __future__ import annotations

import threading
import time

import pytest

from store.threads import ahead, in_threads


def test_results_keep_the_order_of_the_items() -> None:
    def late(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number * number

    assert in_threads(late, range(60)) == [n * n for n in range(60)]
    assert list(ahead(late, range(60), workers=4, window=7)) == [n * n for n in range(60)]
    assert in_threads(late, []) == []


def test_the_first_problem_is_raised_and_the_rest_never_begins() -> None:
    seen = []

    def task(number: int) -> None:
        seen.append(number)
        raise ValueError(f"no {number}")

    with pytest.raises(ValueError, match="no 0"):
        in_threads(task, range(1000), workers=2)
    assert len(seen) < 1000


def test_no_more_than_the_window_is_read_ahead() -> None:
    lock, begun = threading.Lock(), []

    def task(number: int) -> int:
        with lock:
            begun.append(number)
        return number

    results = ahead(task, range(100), workers=8, window=5)
    assert begun == []
    assert next(results) == 0
    time.sleep(0.1)
    assert len(begun) <= 6
    results.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert len(begun) <= 6
