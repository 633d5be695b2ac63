"""Chat requests answered by vLLM in this process, through the deaths of its engine.

A request whose engine died is asked again of a new engine, with the others that were in flight; the
third time alone, so that one that kills engines fails alone and takes none along.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from operators.errors import EngineError, ErrorKind, RowFailure
from operators.models.chat import ChatEngine, ChatRequest, ChatResult
from operators.models.vllm_engine import VllmEngine, VllmOptions

TOGETHER = 2
"""Attempts in company, before one alone."""

BARREN = 5
"""Engines in a row that die without a single answer: then the fault is not in the requests."""

STARTS, PAUSE = 3, 10.0
"""Attempts to start an engine, and the seconds between them: a dead one's memory is not free at once."""


class VllmChat(ChatEngine):
    """vLLM in this process. Raises `EngineError` where it does not start, or does not stay up."""

    def __init__(self, options: VllmOptions) -> None:
        self.options = options
        self._turns = _Turns()
        self._change = threading.Lock()
        self._barren = 0
        self._engine: VllmEngine | None = VllmEngine(options)
        atexit.register(self.close)  # before multiprocessing's, which waits for the engine's processes

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        results: list[ChatResult | None] = [None] * len(requests)
        for _ in range(TOGETHER):
            left = [place for place, result in enumerate(results) if result is None]
            if not left:
                break
            with self._turns.shared():
                found = self._tried([requests[place] for place in left])
            for place, result in zip(left, found, strict=True):
                results[place] = result
        return [
            result if result is not None else self._alone(request)
            for request, result in zip(requests, results, strict=True)
        ]

    @property
    def engine(self) -> VllmEngine:
        """The engine that answers now. Raises `EngineError` after `close`."""
        if self._engine is None:
            raise EngineError("this engine was closed")
        return self._engine

    def close(self) -> None:
        with self._change:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()
        atexit.unregister(self.close)

    def _alone(self, request: ChatRequest) -> ChatResult:
        with self._turns.alone():
            [result] = self._tried([request])
        return result or RowFailure(
            ErrorKind.MODEL, f"vLLM's engine died {TOGETHER + 1} times with this clip, the last time with it alone"
        )

    def _tried(self, requests: Sequence[ChatRequest]) -> list[ChatResult | None]:
        engine = self._living()
        results = engine.complete(requests)
        if any(result is not None for result in results):
            self._barren = 0
        if None in results:
            self._bury(engine)
        return results

    def _living(self) -> VllmEngine:
        with self._change:
            if self._engine is not None and self._engine.dead:
                self._engine.close()
                self._engine = self._restarted()
            return self.engine

    def _bury(self, engine: VllmEngine) -> None:
        """Put a new engine in the place of a dead one, once, whoever notices first."""
        with self._change:
            if self._engine is not engine:
                return
            self._barren += 1
            if self._barren >= BARREN:
                raise EngineError(f"vLLM's engine died {BARREN} times without an answer; its lines above say why")
            engine.close()
            self._engine = self._restarted()

    def _restarted(self) -> VllmEngine:
        for attempt in range(STARTS - 1):
            try:
                return VllmEngine(self.options)
            except EngineError:
                time.sleep(PAUSE * (attempt + 1))
        return VllmEngine(self.options)


class _Turns:
    """Lets many threads in together, or one alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._asking_alone = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._asking_alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._asking_alone += 1
            self._changed.wait_for(lambda: self._inside == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._asking_alone -= 1
                self._changed.notify_all()
