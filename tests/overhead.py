"""What an operator costs beside the calls of its model, on a machine that may be busy with other work.

Both sides are taken at their best over several rounds: whatever else runs can only add to a time, so that
more rounds come nearer to the truth. Rounds are added as long as the bound is missed, up to `MOST`; where other
work makes them slow, fewer than `FEWEST` must do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ParamSpec, TypeVar

from operators.models.chat import ChatAnswer, ChatEngine, ChatRequest, ChatResult

FEWEST, MOST = 5, 15  # rounds
PATIENCE = 60.0  # s after which no round is begun that is not needed
CEILING = 0.10  # of the time that the model's calls take

Asked = ParamSpec("Asked")
Batch = TypeVar("Batch")
Found = TypeVar("Found")


class Calls:
    """Seconds that pass inside of the calls that are wrapped by `timed`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[Asked, Found]) -> Callable[Asked, Found]:
        def wrapped(*args: Asked.args, **kwargs: Asked.kwargs) -> Found:
            began = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - began

        return wrapped


class Obedient(ChatEngine):
    """A running engine whose random weights write `tokens` tokens, in whose place stand the words of a good model.

    The engine does its whole work; then `answers`, one per request, give the operator's checks theirs. Where a
    random answer ends by itself, the engine has less to do, and what is beside it counts for more.
    """

    def __init__(self, engine: ChatEngine, tokens: int) -> None:
        self._engine, self._tokens = engine, tokens
        self.answers: Sequence[str] = ()
        self.calls = Calls()
        self._complete = self.calls.timed(engine.complete)

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        found = self._complete([replace(request, max_tokens=self._tokens) for request in requests])
        assert all(isinstance(answer, ChatAnswer) for answer in found), found
        return [ChatAnswer(text=text, whole=True) for text in self.answers[: len(found)]]


def overhead(batch: Callable[[int], Batch], work: Callable[[Batch], object], calls: Calls) -> float:
    """The least time that `work` spends outside of `calls` over the least inside; every round has its own batch."""
    outside: list[float] = []
    inside: list[float] = []
    work(batch(0))  # warms up
    started = time.perf_counter()
    for number in range(1, MOST + 1):
        given = batch(number)
        calls.seconds = 0.0
        began = time.perf_counter()
        work(given)
        outside.append(time.perf_counter() - began - calls.seconds)
        inside.append(calls.seconds)
        enough = number >= FEWEST or time.perf_counter() - started > PATIENCE
        if enough and min(outside) <= CEILING * min(inside):
            break
    print(f"outside {min(outside):.3f} s, inside {min(inside):.3f} s over {len(inside)} rounds")
    return min(outside) / min(inside)
