"""What an operator spends beside time, told to whoever runs it.

An operator calls `charge` where it knows a figure, in the thread in which it was given its rows. Whoever runs
it opens an account for it; without one, nothing is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Spent = Literal["tokens_in", "tokens_out"]
"""Tokens of prompts, pictures included, and of answers, as the model counts them."""

Account = Counter[Spent]

_account: ContextVar[Account | None] = ContextVar("account", default=None)


def charge(what: Spent, amount: int) -> None:
    """Add `amount` to the open account of this thread."""
    account = _account.get()
    if account is not None:
        account[what] += amount


@contextmanager
def charged_to(account: Account) -> Iterator[None]:
    """Charges of this thread go to `account` until the block ends; a block inside of it has its own."""
    earlier = _account.set(account)
    try:
        yield
    finally:
        _account.reset(earlier)
