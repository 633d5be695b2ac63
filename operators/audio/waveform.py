"""The transient `audio` column as samples, and its levels.

The column holds signed 16-bit little-endian samples, mono, 16,000 per second. Samples stay int16
and are turned into float32 piece by piece, so that a clip of an hour costs no second copy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from operators.errors import ErrorKind, RowFailure

SAMPLE_RATE = 16_000  # samples per second
FULL_SCALE = 32_768.0  # the int16 value that is 0 dBFS
SILENCE = -96.0  # dBFS; lowest level written: half a quantisation step of 16 bits is about -96
LEVEL_FRAME = SAMPLE_RATE // 10  # samples over which silence is judged: 0.1 s
_PIECE = 60 * SAMPLE_RATE

Samples = NDArray[np.int16]


def read_samples(audio: bytes | None) -> Samples | None:
    """The samples, int16 of shape (n,), as a view of the bytes; None for a clip without audio.

    Raises `RowFailure` (bad_output) where the bytes are no whole number of samples.
    """
    if not audio:
        return None
    if len(audio) % 2:
        raise RowFailure(
            ErrorKind.BAD_OUTPUT,
            f"audio has {len(audio)} bytes, not a whole number of 16-bit samples; split the video again",
        )
    return np.frombuffer(audio, dtype="<i2")


def decibels(mean_square: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """dBFS of mean squares (full scale = 1), never below `SILENCE`. A full-scale square wave has 0 dBFS."""
    return 10 * np.log10(np.maximum(mean_square, 10 ** (SILENCE / 10)))


def mean_squares(samples: Samples, frame: int = LEVEL_FRAME) -> NDArray[np.float64]:
    """Power of each `frame` samples, full scale = 1, shape (ceil(n / frame),).

    Each frame's own mean is taken out first, so that a DC offset is not loud; with it goes what is
    slower than the frame. The last frame may be shorter than the others.
    """
    step = max(1, _PIECE // frame) * frame
    pieces = []
    for start in range(0, len(samples), step):
        piece = samples[start : start + step] / FULL_SCALE
        edges = np.arange(0, len(piece), frame)
        lengths = np.diff(edges, append=len(piece))
        centred = piece - np.repeat(np.add.reduceat(piece, edges) / lengths, lengths)
        pieces.append(np.add.reduceat(centred * centred, edges) / lengths)
    return np.concatenate(pieces) if pieces else np.zeros(0)


def energy(samples: Samples) -> NDArray[np.float64]:
    """RMS level of each second in dBFS, shape (ceil(seconds),); the last one may cover less than a second."""
    return decibels(_averages(samples, SAMPLE_RATE // LEVEL_FRAME))


def loudness(samples: Samples) -> float:
    """RMS level of the whole clip in dBFS; `SILENCE` for digital silence and for no samples."""
    tenths = -(-len(samples) // LEVEL_FRAME)
    return float(decibels(_averages(samples, tenths)[0])) if tenths else SILENCE


def _averages(samples: Samples, tenths: int) -> NDArray[np.float64]:
    """Power over each `tenths` tenths of a second, weighted by their lengths."""
    squares = mean_squares(samples)
    lengths = np.full(len(squares), LEVEL_FRAME, dtype=np.float64)
    lengths[-1:] = len(samples) - LEVEL_FRAME * (len(squares) - 1)
    edges = np.arange(0, len(squares), tenths)
    return np.add.reduceat(squares * lengths, edges) / np.add.reduceat(lengths, edges)
