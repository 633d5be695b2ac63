"""The time of one actor: how long it was there, and how long each of the batches that it works on had it.

An actor of an engine works on several batches at once. Their wall-clock seconds overlap, so their sum says
nothing about the GPU; here every moment is shared evenly among the batches that are in the operator.
"""

from __future__ import annotations

from threading import Lock
from time import perf_counter


class Occupancy:
    """Clock of an actor; safe to use from several threads. It starts when it is made.

    The shares of all batches add up to the time in which at least one was at work, and what `claim` returns
    adds up to the time from the start to the last claim.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._at_work = 0
        self._share = 0.0  # seconds that a batch which was at work all the time would have had
        self._turned = self._claimed = perf_counter()

    def enter(self) -> float:
        """A batch goes to work. Returns what `leave` wants back."""
        return self._turn(1)

    def leave(self, entered: float) -> float:
        """The batch stops working: its share of the time since it entered, in seconds."""
        return self._turn(-1) - entered

    def claim(self) -> float:
        """Seconds since the last claim of any batch, or since the start."""
        with self._lock:
            before, self._claimed = self._claimed, perf_counter()
            return self._claimed - before

    def _turn(self, change: int) -> float:
        with self._lock:
            now = perf_counter()
            if self._at_work:
                self._share += (now - self._turned) / self._at_work
            self._at_work, self._turned = self._at_work + change, now
            return self._share
