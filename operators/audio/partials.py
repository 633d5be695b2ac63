"""Music by its sustained partials: continuous frequency activation.

Method: K. Seyerlehner, T. Pohle, M. Schedl and G. Widmer, "Automatic music detection in television
productions", DAFx 2007. Notes leave horizontal bars in a spectrogram, even under speech. The spectrum
is made binary (a bin is on where it stands out of its neighbourhood), summed over time in blocks of
2.56 s, and the five most prominent peaks of that sum are added: 0 for none, 5 for five partials that
last through the block.

Bars that are there through the whole clip, such as mains hum and camera whine, are taken out where the
clip is long enough to tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.audio import spectrum
from operators.audio.waveform import Samples

LOWEST, HIGHEST = 200.0, 5000.0  # Hz
NEIGHBOURHOOD = 21  # bins: 328 Hz
STANDS_OUT = 2.0  # dB over the neighbourhood's mean
BLOCK, STEP = 128, 64  # frames: 2.56 s, half overlapped
SHORTEST = 64  # frames: under 1.28 s a long vowel and a note look the same
PEAKS = 5
DRONE = 0.9  # share of a clip through which a bin must be on to count as a drone
DRONE_FROM = 4 * BLOCK  # frames: about 10 s

_BINS = slice(round(LOWEST / spectrum.BIN), round(HIGHEST / spectrum.BIN))


def standing_out(amplitudes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which bins stand out of their neighbourhood in frequency, shape (frames, bins)."""
    levels = 20 * np.log10(amplitudes + spectrum.FLOOR)
    mean = ndimage.uniform_filter1d(levels, NEIGHBOURHOOD, axis=1, mode="nearest")
    return (levels - mean > STANDS_OUT)[:, _BINS]


def prominence(curve: NDArray[np.floating]) -> float:
    """Sum of the `PEAKS` largest peaks of a curve, each over the higher of the valleys beside it."""
    rising, falling = curve[1:-1] >= curve[:-2], curve[1:-1] > curve[2:]
    peaks = np.flatnonzero(rising & falling) + 1
    dips = np.flatnonzero((curve[1:-1] <= curve[:-2]) & (curve[1:-1] <= curve[2:])) + 1
    valleys = np.concatenate([[0], dips, [len(curve) - 1]])
    right = np.searchsorted(valleys, peaks)
    heights = curve[peaks] - np.maximum(curve[valleys[right - 1]], curve[valleys[right]])
    return float(np.sort(heights)[-PEAKS:].sum())


def activation(samples: Samples) -> NDArray[np.float64]:
    """Sustained partials per frame of 20 ms, from 0 to `PEAKS`, shape (frames,).

    A frame's value is the mean of the blocks over it. Empty where the clip is too short to tell
    (under 1.28 s).
    """
    frames = spectrum.frame_count(samples)
    if frames < SHORTEST:
        return np.zeros(0)
    halves = []
    for rows, amplitudes in spectrum.pieces(samples, margin=0, piece=STEP * (spectrum.PIECE // STEP)):
        on = standing_out(amplitudes)[rows]
        edges = np.arange(0, len(on), STEP)
        halves.append(np.add.reduceat(on.astype(np.int64), edges, axis=0))
    sums = np.concatenate(halves)
    lengths = np.full(len(sums), STEP)
    lengths[-1] = frames - STEP * (len(sums) - 1)
    if frames >= DRONE_FROM:
        sums = np.where(sums.sum(axis=0) > DRONE * frames, 0, sums)
    if lengths[-1] < STEP and len(sums) > 1:
        sums, lengths = _joined(sums, lengths)
    width = BLOCK // STEP
    blocks = [sums[k : k + width].sum(axis=0) / lengths[k : k + width].sum() for k in range(max(1, len(sums) - 1))]
    scores = np.array([prominence(block) for block in blocks])
    per_half = (np.append(scores, scores[-1]) + np.insert(scores, 0, scores[0])) / 2 if len(sums) > 1 else scores
    return np.repeat(per_half, lengths)


def _joined(sums: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The last, shorter half block added to the one before it."""
    return (
        np.concatenate([sums[:-2], sums[-2:].sum(axis=0, keepdims=True)]),
        np.concatenate([lengths[:-2], [lengths[-2:].sum()]]),
    )
