"""The watchdog: a run that makes no progress is failed, and told which stage is stuck and why.

Progress is a task that ends, a block or a row that comes out, an actor or a node more than there ever were.
Signs of life (an actor that has work and uses its CPU or moves bytes, nodes that are on their way) put the end
off, but not for ever: `PATIENCE` times the limit.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from time import monotonic
from typing import Any, cast

import pyarrow as pa
from ray.data import DataContext, Dataset
from ray.data._internal.execution.execution_callback import ExecutionCallback
from ray.exceptions import RayActorError

from operators.errors import EngineError
from pipeline.chain import Stage
from pipeline.eviction import Evictor
from pipeline.heartbeat import Beat, forget_beats, read_beats
from pipeline.placement import Placement
from pipeline.stall import Facts, explain, look, nodes_coming

PATIENCE = 10
"""Limits that signs of life put the end off; the decoder's own limits end a video before (4 hours of CPU time)."""

BUSY = 0.03
"""CPUs that an actor with work uses at least while it works, also on a machine that is far too busy."""

MOVES = 1 << 20
"""Bytes between two beats that an actor reads or writes at least while it loads or downloads."""

BEAT_SECONDS = 30.0
"""Longest time between two words of an actor."""

WAITING = 256
"""Blocks of receipts that wait for the driver while it commits."""

START_SECONDS = 120.0
"""Time for an actor's process to come up, however short the limit is: it imports what its operators need."""

SHUTDOWN_SECONDS = 60.0

BEATS_MISSED = 3

TOKEN = "rushes_watchdog"
_dogs: dict[str, Watchdog] = {}


class Introduction(ExecutionCallback):
    """Tells the watchdog the executor, which Ray Data names to nobody before its first block. Ray makes these."""

    def before_execution_starts(self, executor: Any) -> None:
        dog = _dogs.get(executor._data_context.get_config(TOKEN))
        if dog is not None:
            dog.executor = executor


class Watchdog:
    """Guards the executions of one run, one after the other.

    `seconds` is how long there may be no progress, `session` names the run's heartbeats; `warn` is told in words
    at half the time, and with "" when it goes on. A stage that finds no place is given one before that.
    """

    def __init__(
        self,
        seconds: float,
        session: str,
        stages: Sequence[Stage],
        placement: Placement,
        warn: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._seconds, self._session, self._stages, self._warn = seconds, session, tuple(stages), warn
        self._placement, self._evictor = placement, Evictor(self._stages, placement, warn)
        self.executor: Any = None

    @property
    def evictions(self) -> int:
        """Actors so far that were restarted to make room for others."""
        return self._evictor.count

    def introduce(self, context: DataContext) -> None:
        """Make the executions of `context` known to this watchdog, and silence Ray's own."""
        context.execution_no_progress_timeout_s = -1
        context.custom_execution_callback_classes = [*context.custom_execution_callback_classes, Introduction]
        context.set_config(TOKEN, self._session)

    def guarded(self, dataset: Dataset) -> Generator[pa.Table]:
        """The blocks of an execution. Raises `EngineError` where it makes no progress.

        A thread waits for Ray; this one stays free to look around. Leaving early ends the execution.
        """
        self.executor, ended, problem = None, False, None
        self._evictor.forget()
        _dogs[self._session] = self
        pump = _Pump(dataset)
        watch = _Watch(self._seconds, self._session, self._placement, self._warn)
        try:
            while True:
                try:
                    item = pump.blocks.get(timeout=watch.pause)
                except queue.Empty:
                    watch.look(self.executor, self._stages)
                    self._make_room()
                    continue
                if item is None:
                    ended = True
                    return
                if isinstance(item, BaseException):
                    self._raise(item)
                else:
                    yield item
                watch.note_progress()  # after the yield: the driver's own time is no standstill of Ray
        except BaseException as raised:
            problem = raised
            raise
        finally:
            _dogs.pop(self._session, None)
            pump.stopped.set()
            if not ended:
                self._shut_down(problem)
            with suppress(Exception):
                forget_beats(self._session)
            self.executor = None

    def _make_room(self) -> None:
        if self.executor is not None:
            with suppress(Exception):  # where Ray is slow to answer the next look asks again
                self._evictor.look(self.executor)

    def _raise(self, problem: BaseException) -> None:
        """Raise Ray's own error; where actors died at their start, one that names the stage."""
        if self.executor is None or not isinstance(problem, RayActorError):
            raise problem
        stage = max(
            look(self.executor, self._stages, {}, self._placement).stages, key=lambda stage: stage.start_deaths
        )
        if not stage.start_deaths:
            raise problem
        raise EngineError(
            f"the actors of stage {stage.name} die at their start, {stage.start_deaths} in a row: {_gist(problem)}. "
            "What is committed stays: run the same command to go on"
        ) from problem

    def _shut_down(self, problem: BaseException | None) -> None:
        """End the execution and kill its actors, also those that hang."""
        executor = self.executor
        if executor is None:
            return
        cause = problem if isinstance(problem, Exception) else EngineError("stopped")
        closing = threading.Thread(
            target=lambda: executor.shutdown(force=True, exception=cause), name="ray-data-shutdown", daemon=True
        )
        closing.start()
        closing.join(SHUTDOWN_SECONDS)


class _Pump:
    """A thread that takes the blocks of a dataset: then None, or the exception that ended it."""

    def __init__(self, dataset: Dataset) -> None:
        self.blocks: queue.Queue[pa.Table | BaseException | None] = queue.Queue(WAITING)
        self.stopped = threading.Event()
        self._dataset = dataset
        threading.Thread(target=self._run, name="receipts", daemon=True).start()

    def _run(self) -> None:
        try:
            for table in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                if not self._hand_over(cast(pa.Table, table)):
                    return
        except BaseException as problem:
            self._hand_over(problem)
        else:
            self._hand_over(None)

    def _hand_over(self, item: pa.Table | BaseException | None) -> bool:
        while not self.stopped.is_set():
            with suppress(queue.Full):
                self.blocks.put(item, timeout=1.0)
                return True
        return False


def beat_seconds(limit: float) -> float:
    """How often actors tell what they are at, in a run that may stand still for `limit` seconds."""
    return min(BEAT_SECONDS, limit / 6)


class _Watch:
    """The clock of one execution."""

    def __init__(self, seconds: float, session: str, placement: Placement, warn: Callable[[str], None]) -> None:
        self._seconds, self._session, self._placement, self._warn = seconds, session, placement, warn
        self.pause = min(5.0, seconds / 10)
        self._best: dict[str, float] = {}
        self._beats: dict[str, tuple[Beat, float]] = {}
        self._progress = self._life = self._looked = monotonic()
        self._warned = False

    def note_progress(self) -> None:
        """Something came out."""
        self._progress = self._life = monotonic()
        if self._warned:
            self._warned = False
            self._warn("")

    def look(self, executor: Any, stages: Sequence[Stage]) -> None:
        """Take a look; raises `EngineError` once nothing has happened for too long.

        `executor` is None until Ray Data has planned and begun.
        """
        now = monotonic()
        if executor is None:
            if now - self._progress >= max(self._seconds, START_SECONDS):
                raise EngineError(_verdict(now - self._progress, ["Ray Data has not begun to execute"]))
            return
        try:
            beats = self._new_beats(now)
            facts = look(executor, stages, beats, self._placement)
        except Exception as problem:  # a head node that is slow to answer, or another Ray: no reason to fail a run
            if now - self._progress >= PATIENCE * self._seconds:
                raise EngineError(_verdict(now - self._progress, [_blind(problem)])) from problem
            return
        if self._better({**facts.done, **{f"rows of {key}": beat.rows for key, beat in beats.items()}}):
            self.note_progress()
            return
        silent = now - self._progress
        if silent < self._seconds / 2:
            return
        starting = any(stage.starting for stage in facts.stages)
        if nodes_coming() or (silent < START_SECONDS and starting):
            self._life = now
        if not self._warned:
            self._warned = True
            self._warn(f"no progress for {_span(silent)}: {_explained(facts)[0]}")
        longest = max(PATIENCE * self._seconds, START_SECONDS if starting else 0.0)
        if (silent >= self._seconds and now - self._life >= self._seconds) or silent >= longest:
            raise EngineError(_verdict(silent, _explained(facts)))

    def _better(self, counts: dict[str, float]) -> bool:
        """Whether a count is higher than it ever was: what comes and goes again is no progress."""
        better = [name for name, count in counts.items() if count > self._best.get(name, 0)]
        self._best.update({name: counts[name] for name in better})
        return bool(better)

    def _new_beats(self, now: float) -> dict[str, Beat]:
        """The latest beat of every actor; notes signs of life."""
        for key, beat in read_beats(self._session).items():
            before, seen = self._beats.get(key, (beat, now))
            if beat.number == before.number:
                self._beats[key] = (before, seen)
                continue
            span = max(now - seen, 0.001)
            if beat.at and (beat.cpu - before.cpu >= BUSY * span or beat.moved - before.moved >= MOVES):
                self._life = now
            self._beats[key] = (beat, now)
        late = BEATS_MISSED * beat_seconds(self._seconds)
        return {
            key: replace(beat, silent=now - seen if now - seen > late else 0.0)
            for key, (beat, seen) in self._beats.items()
        }


def _explained(facts: Facts) -> list[str]:
    try:
        return explain(facts)
    except Exception as problem:
        return [_blind(problem)]


def _blind(problem: Exception) -> str:
    return f"Ray does not tell why ({type(problem).__name__}: {str(problem)[:200]})"


def _verdict(silent: float, reasons: Sequence[str]) -> str:
    first, *others = reasons
    more = "".join(f"\n  {line}" for line in itertools.islice(others, 8))
    return (
        f"no progress for {_span(silent)}: {first}{more}\n"
        "What is committed stays: run the same command to go on; a longer run.stall_seconds waits longer"
    )


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _gist(problem: BaseException) -> str:
    """The end of a message, where Ray quotes the actor's own error."""
    return " ".join(str(problem).split())[-500:] or type(problem).__name__
