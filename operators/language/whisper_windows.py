"""What Whisper hears of a clip: its voices one after the other, in windows of at most 30 s.

Everything else is cut out, music and silence above all, in which Whisper hears words that nobody says.
Every word's time is led back to the clip through the pieces of its window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.audio.waveform import FULL_SCALE, LEVEL_FRAME, SAMPLE_RATE, Samples, mean_squares
from operators.language.speech import utterances

SECONDS = 30  # of Whisper's window
LONGEST = SECONDS * SAMPLE_RATE  # samples
SEARCH = 10 * SAMPLE_RATE  # samples before a window's end in which a longer utterance is cut where it is quietest
SHORTEST = SAMPLE_RATE // 10  # samples: less holds no word, and alignment needs some frames

Piece = tuple[int, int]
"""First sample in the clip, and one past the last."""


@dataclass(frozen=True)
class Window:
    """Pieces of a clip that are heard as one, in order and at most 30 s long."""

    samples: Samples
    pieces: tuple[Piece, ...]

    @property
    def seconds(self) -> float:
        """Length of the pieces together."""
        return sum(stop - start for start, stop in self.pieces) / SAMPLE_RATE

    def sound(self) -> NDArray[np.float32]:
        """The pieces one after the other, full scale = 1, float32 of shape (n,)."""
        parts = [self.samples[start:stop] for start, stop in self.pieces]
        return np.concatenate(parts).astype(np.float32) / np.float32(FULL_SCALE)

    def placed(self, start: float, end: float) -> tuple[float, float]:
        """A word's start and end in the window, in seconds from the clip's start.

        A word lies in one piece, the one that holds its middle.
        """
        middle = (start + end) / 2
        before = 0.0
        for number, (first, stop) in enumerate(self.pieces):
            length = (stop - first) / SAMPLE_RATE
            if middle < before + length or number == len(self.pieces) - 1:
                offset = first / SAMPLE_RATE - before
                low, high = first / SAMPLE_RATE, stop / SAMPLE_RATE
                return min(max(start + offset, low), high), min(max(end + offset, low), high)
            before += length
        raise ValueError("a window has at least one piece")


def speech_windows(samples: Samples, spans: Sequence[Sequence[float]], budget: float) -> list[Window]:
    """The voices of a clip in as few windows as hold them in order.

    `spans` are its voice activity in seconds, of which the first `budget` seconds are taken, each with the
    margin that speech recognition gets elsewhere (`operators.language.speech.utterances`).
    """
    pieces: list[Piece] = []
    for start, end in utterances(spans, budget):
        first, stop = round(start * SAMPLE_RATE), min(round(end * SAMPLE_RATE), len(samples))
        while stop - first > LONGEST:
            cut = quietest(samples, first + LONGEST - SEARCH, first + LONGEST)
            pieces.append((first, cut))
            first = cut
        if stop - first >= SHORTEST:
            pieces.append((first, stop))
    return [Window(samples, tuple(held)) for held in _packed(pieces)]


def quietest(samples: Samples, first: int, stop: int) -> int:
    """The middle of the quietest tenth of a second between two samples; the last of several."""
    levels = mean_squares(samples[first:stop])
    whole = levels[: (stop - first) // LEVEL_FRAME]
    number = len(whole) - 1 - int(np.argmin(whole[::-1]))
    return first + number * LEVEL_FRAME + LEVEL_FRAME // 2


def _packed(pieces: Sequence[Piece]) -> list[list[Piece]]:
    held: list[list[Piece]] = []
    room = 0
    for start, stop in pieces:
        if stop - start > room:
            held.append([])
            room = LONGEST
        held[-1].append((start, stop))
        room -= stop - start
    return held
