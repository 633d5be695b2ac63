"""The short-time spectrum that the audio measures share.

Frames are 1,024 samples (64 ms) under a Hann window, one every 320 samples (20 ms), frame k centred
on sample 320 k. The signal counts as zero outside the clip.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from operators.audio.waveform import FULL_SCALE, SAMPLE_RATE, Samples

WINDOW = 1024  # samples
HOP = 320  # samples
FRAME_RATE = SAMPLE_RATE / HOP  # frames per second
BIN = SAMPLE_RATE / WINDOW  # Hz per bin
FLOOR = 1e-5  # -100 dBFS: added to amplitudes before a logarithm
PIECE = 1500  # frames worked on at once: 30 s, so that memory does not grow with the clip


def frame_count(samples: Samples, hop: int = HOP) -> int:
    """Frames of a clip: one per hop, the last one centred on or before its last sample."""
    return (len(samples) - 1) // hop + 1 if len(samples) else 0


def magnitudes(
    samples: Samples, first: int, count: int, *, window: int = WINDOW, hop: int = HOP
) -> NDArray[np.float32]:
    """Amplitudes of `count` frames from frame `first` on, float32 of shape (count, window // 2 + 1).

    A sine of full scale has amplitude 1 in its bin.
    """
    start = first * hop - window // 2
    stop = start + (count - 1) * hop + window
    signal = np.zeros(stop - start, dtype=np.float32)
    low, high = max(0, start), min(len(samples), stop)
    if high > low:
        signal[low - start : high - start] = samples[low:high]
    signal /= FULL_SCALE
    hann = np.hanning(window).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(signal, window)[::hop]
    spectrum = np.asarray(fft.rfft(frames * hann, axis=1))
    return np.abs(spectrum) * np.float32(2 / hann.sum())


def pieces(
    samples: Samples, margin: int, *, piece: int | None = None, window: int = WINDOW, hop: int = HOP
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The clip's spectrum piece by piece, each with up to `margin` frames of its neighbours on both sides.

    Yields (which rows are the piece's own, amplitudes): the own rows of all pieces, one after
    another, are the frames of the clip. A piece has `PIECE` rows of its own unless `piece` says otherwise.
    """
    total = frame_count(samples, hop)
    piece = PIECE if piece is None else piece
    for start in range(0, total, piece):
        stop = min(total, start + piece)
        low, high = max(0, start - margin), min(total, stop + margin)
        yield slice(start - low, stop - low), magnitudes(samples, low, high - low, window=window, hop=hop)
