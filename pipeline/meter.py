"""Counts clips, seconds and tokens per operator while rows stream through a chain."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

from operators.contract import ClipOperator, Operator, Row
from operators.spending import Account, charged_to
from pipeline.occupancy import Occupancy
from store.markers import OperatorTally


class Meter:
    """Runs operators as a chain and knows what each of them cost.

    Seconds are wall-clock seconds inside the operator itself: what it spent waiting for the operator
    before it is that one's. Whatever an operator charges (`operators.spending`) is on its own account, too.

    `occupancy` is the clock of the actor; `shared` says that the actor runs its one operator on several batches at
    once, each with a meter of its own.
    """

    def __init__(
        self, operators: Sequence[Operator], occupancy: Occupancy | None = None, *, shared: bool = False
    ) -> None:
        self._occupancy, self._shared = occupancy, shared
        self._actor_seconds = self._reserved = 0.0
        self._order = [operator.name for operator in operators]
        self._inclusive: defaultdict[str, float] = defaultdict(float)
        self._clips: Counter[str] = Counter()
        self._accounts: defaultdict[str, Account] = defaultdict(Counter)

    def run(self, operators: Sequence[Operator], rows: Iterable[Row]) -> Iterator[Row]:
        """`rows` through `operators`, lazily."""
        for operator in operators:
            rows = self._metered(operator, rows)
        return iter(rows)

    def tallies(self) -> dict[str, OperatorTally]:
        """Clips handled, seconds and tokens spent so far."""
        result, before = {}, 0.0
        if self._occupancy is not None:
            self._reserved += self._occupancy.claim()
        for name in self._order:
            own = max(0.0, self._inclusive[name] - before)
            before = self._inclusive[name]
            account = self._accounts[name]
            result[name] = OperatorTally(
                clips=self._clips[name],
                seconds=round(own, 4),
                tokens_in=account["tokens_in"],
                tokens_out=account["tokens_out"],
                actor_seconds=round(self._actor_seconds, 4) if self._shared else None,
                reserved_seconds=round(self._reserved, 4) if name == self._order[0] else 0.0,
            )
        return result

    def _metered(self, operator: Operator, rows: Iterable[Row]) -> Iterator[Row]:
        name = operator.name
        output = operator(self._counted(operator, rows) if isinstance(operator, ClipOperator) else rows)
        account = self._accounts[name]
        while True:
            start = perf_counter()
            try:
                with charged_to(account), self._at_work():
                    row = next(output)
            except StopIteration:
                return
            finally:
                self._inclusive[name] += perf_counter() - start
            if not isinstance(operator, ClipOperator) and row.get("record") == "clip":
                self._clips[name] += 1
            yield row

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Count the block's share of the actor's time, where several batches are with it."""
        if self._occupancy is None or not self._shared:
            yield
            return
        entered = self._occupancy.enter()
        try:
            yield
        finally:
            self._actor_seconds += self._occupancy.leave(entered)

    def _counted(self, operator: ClipOperator, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self._clips[operator.name] += operator.wants(row)
            yield row


def added(*tallies: Mapping[str, OperatorTally]) -> dict[str, OperatorTally]:
    """The sum of tallies, by operator."""
    total: dict[str, OperatorTally] = {}
    for name, tally in (item for each in tallies for item in each.items()):
        total[name] = total[name] + tally if name in total else tally
    return total
