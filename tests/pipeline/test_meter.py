from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep

import pytest

from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row
from operators.spending import charge
from pipeline.meter import Meter, added
from pipeline.occupancy import Occupancy
from store.markers import OperatorTally
from tests.pipeline.small_chain import clip_row, video_row


class Clock:
    """Time that passes only where a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pipeline.meter.perf_counter", clock)
    return clock


class Timed:
    """An operator that spends the clock's time."""

    clock: Clock | None = None

    def spend(self, seconds: float) -> None:
        if self.clock is not None:
            self.clock.spend(seconds)


class Cut(Timed, Operator):
    name = "cut"

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for _ in rows:
            for index in range(4):
                self.spend(1.0)
                yield clip_row("v", index, drop_reason="still" if index == 3 else None)
            yield video_row("v", 4)


class Slow(Timed, ClipOperator):
    name = "slow"
    writes = select("sharpness")
    resources = Resources(batch=2)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        self.spend(3.0 * len(clips))
        return [{"sharpness": 1.0} for _ in clips]


class Quick(ClipOperator):
    name = "quick"
    writes = select("brightness")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"brightness": 1.0} for _ in clips]


def _timed(clock: Clock) -> list[Operator]:
    operators = [Cut(), Slow(), Quick()]
    for operator in operators[:2]:
        operator.clock = clock
    return operators


def test_each_operator_is_charged_with_its_own_seconds_and_clips(clock: Clock):
    operators = _timed(clock)
    meter = Meter(operators)
    for _ in meter.run(operators, [{"record": "video_in"}]):
        clock.spend(5.0)  # whoever takes the rows is on nobody's account
    tallies = meter.tallies()
    assert list(tallies) == ["cut", "slow", "quick"]
    assert {name: tally.clips for name, tally in tallies.items()} == {"cut": 4, "slow": 3, "quick": 3}
    assert {name: tally.seconds for name, tally in tallies.items()} == {"cut": 4.0, "slow": 9.0, "quick": 0.0}


def test_parts_of_a_chain_are_metered_as_one_chain(clock: Clock):
    operators = _timed(clock)
    meter = Meter(operators)
    rows = meter.run(operators[:1], [{"record": "video_in"}])
    list(meter.run(operators[1:], rows))
    tallies = meter.tallies()
    assert {name: tally.seconds for name, tally in tallies.items()} == {"cut": 4.0, "slow": 9.0, "quick": 0.0}
    assert {name: tally.clips for name, tally in tallies.items()} == {"cut": 4, "slow": 3, "quick": 3}


class Chatty(ClipOperator):
    name = "chatty"
    writes = select("caption")
    resources = Resources(batch=2)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        for clip in clips:
            charge("tokens_in", 100 * (1 + clip["clip_index"]))
            charge("tokens_out", 5)
        return [{"caption": "said"} for _ in clips]


class Terse(Chatty):
    name = "terse"
    writes = select("merge_caption")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        charge("tokens_out", 1)
        return [{"merge_caption": "said"} for _ in clips]


def test_tokens_go_to_the_operator_that_spent_them_in_however_many_threads():
    operators = [Chatty(), Quick(), Terse()]

    def batch(number: int) -> dict[str, OperatorTally]:
        meter = Meter(operators)
        assert len(list(meter.run(operators, [clip_row("v", number + index) for index in range(4)]))) == 4
        return meter.tallies()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(batch, range(64)))
    for number, tallies in enumerate(found):
        assert tallies["chatty"].tokens_in == 100 * sum(range(number + 1, number + 5))
        spent = [(tally.tokens_in, tally.tokens_out) for name, tally in tallies.items() if name != "chatty"]
        assert (tallies["chatty"].tokens_out, spent) == (20, [(0, 0), (0, 2)])


def test_batches_that_an_actor_works_on_at_once_share_its_time():
    barrier = Barrier(3, timeout=60)

    class Engine(Quick):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
            barrier.wait()
            sleep(0.2)
            barrier.wait()
            return super().annotate(clips)

    actor = Occupancy()

    def batch(number: int) -> OperatorTally:
        meter = Meter([Engine()], actor, shared=True)
        assert len(list(meter.run([Engine()], [clip_row("v", number)]))) == 1
        return meter.tallies()["quick"]

    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(batch, range(3)))
    shares = [tally.actor_seconds or 0.0 for tally in found]
    assert min(tally.seconds for tally in found) >= 0.2
    assert sum(shares) >= 0.2
    assert sum(shares) <= sum(tally.reserved_seconds for tally in found) + 0.001  # an actor is never busier than there
    assert sum(shares) <= sum(tally.seconds for tally in found) - 0.35


def test_the_first_operator_tells_how_long_the_actor_was_there():
    operators = [Cut(), Quick()]
    meter = Meter(operators, Occupancy())
    list(meter.run(operators, [{"record": "video_in"}]))
    first = meter.tallies()
    again = meter.tallies()
    assert first["cut"].reserved_seconds > 0
    assert again["cut"].reserved_seconds >= first["cut"].reserved_seconds
    assert (again["quick"].reserved_seconds, again["quick"].actor_seconds) == (0.0, None)
    assert Meter(operators).tallies()["cut"].reserved_seconds == 0.0


def test_nothing_runs_before_it_is_asked_for_and_a_raise_is_passed_on():
    class Broken(Operator):
        name = "broken"

        def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
            for row in rows:
                yield row
                raise RuntimeError("half-way")

    meter = Meter([Broken()])
    rows = meter.run([Broken()], [clip_row("v", 0), clip_row("v", 1)])
    assert meter.tallies()["broken"].clips == 0
    assert next(rows)["clip_index"] == 0
    with pytest.raises(RuntimeError, match="half-way"):
        next(rows)
    assert meter.tallies()["broken"].clips == 1


def test_tallies_are_added_by_operator():
    one, two = OperatorTally(clips=1, seconds=0.5, tokens_in=7), OperatorTally(clips=2, seconds=0.25, tokens_out=3)
    both = OperatorTally(clips=3, seconds=0.75, tokens_in=7, tokens_out=3)
    assert added({"a": one}, {"b": two}, {"a": two}) == {"a": both, "b": two}
    assert added() == {}
    shared = OperatorTally(clips=1, seconds=1.0, actor_seconds=0.5, reserved_seconds=2.0)
    summed = added({"a": shared}, {"a": shared})["a"]
    assert (summed.actor_seconds, summed.reserved_seconds) == (1.0, 4.0)


def test_a_writer_stage_without_operators_passes_rows_on():
    rows = [clip_row("v", 0)]
    meter = Meter([])
    assert list(meter.run([], rows)) == rows
    assert meter.tallies() == {}
