"""Beat and tempo from the rhythm of onsets.

The onset curve is the half-wave rectified rise, over 20 ms, of the square root of the amplitude in 24
mel bands, summed, less its mean over a second, 100 values per second. Its autocorrelation is read at a
period and at two, three and four times that period (a comb); the mean is the pulse's clarity, near 1
for a metronome and under 0.16 for speech (measured on 6 s windows).

The tempo is the fastest pulse, from 50 to 205 beats per minute, whose clarity is at least 65 % of the
best one's, since every multiple of a period fits as well as the period itself. So a metronome is exact
from 60 to 180, and kick and snare by turns are counted on every stroke. Known limit: octaves. Under 102
beats per minute, eighth notes as strong as the beats are counted as beats (twice the tempo); notes much
weaker than the chords they fall between are not (half the tempo).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from operators.audio import spectrum
from operators.audio.waveform import SAMPLE_RATE, Samples

WINDOW, HOP = 512, 160  # samples: 32 ms, every 10 ms
RATE = SAMPLE_RATE / HOP  # values of the onset curve per second
BANDS, LOWEST, HIGHEST = 24, 60.0, 7500.0  # mel bands, Hz
RISE = 2  # values
LOCAL = 101  # values: 1.01 s
SLOWEST, FASTEST = 50.0, 205.0  # beats per minute
TEETH = 4  # multiples of the period in the comb
NEARLY = 0.65  # share of the best clarity that a faster pulse must reach
FEWEST_PAIRS = 1.0  # s: fewer pairs at a lag say nothing about it
PRECISION = 0.1  # values of the onset curve: the steps in which periods are tried

AUDIBLE = 0.12  # clarity from which music is given a tempo
CLEAR = 0.4  # clarity of a beat strong enough to be music by itself
SPAN, STEP = 6.0, 3.0  # s: windows in which that is judged
SHORTEST = 4.0  # s: less holds too few beats


class Pulse(NamedTuple):
    """The regular beat of some music: `tempo` in beats per minute, `clarity` from 0 to 1."""

    tempo: float
    clarity: float


def _mel_bands() -> NDArray[np.float32]:
    """Triangular weights, shape (WINDOW // 2 + 1, BANDS)."""
    lowest, highest = (2595 * np.log10(1 + limit / 700) for limit in (LOWEST, HIGHEST))
    mel = np.linspace(lowest, highest, BANDS + 2)
    edge = 700 * (10 ** (mel / 2595) - 1)
    frequency = np.arange(WINDOW // 2 + 1)[:, None] * SAMPLE_RATE / WINDOW
    rising = (frequency - edge[:-2]) / (edge[1:-1] - edge[:-2])
    falling = (edge[2:] - frequency) / (edge[2:] - edge[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)


_MEL_BANDS = _mel_bands()


def onsets(samples: Samples) -> NDArray[np.float64]:
    """The onset curve, `RATE` values per second, none negative, shape (ceil(n / 160),)."""
    own = []
    for rows, amplitudes in spectrum.pieces(samples, margin=RISE, window=WINDOW, hop=HOP):
        bands = np.sqrt(amplitudes @ _MEL_BANDS)
        rise = np.zeros(len(bands), dtype=np.float32)
        rise[RISE // 2 : len(bands) - RISE // 2] = np.clip(bands[RISE:] - bands[:-RISE], 0, None).sum(axis=1)
        own.append(rise[rows])
    if not own:
        return np.zeros(0)
    curve = np.concatenate(own).astype(np.float64)
    return np.clip(curve - ndimage.uniform_filter1d(curve, LOCAL, mode="constant"), 0, None)


def _autocorrelation(curve: NDArray[np.floating], judged: NDArray[np.bool_], longest: int) -> NDArray[np.float64]:
    """Autocorrelation over the pairs of judged values, up to lag `longest`, 1 at lag 0, smoothed over ±10 ms."""
    centred = np.where(judged, curve - curve[judged].mean(dtype=np.float64), 0)
    centred /= np.abs(centred).max() or 1.0  # or the squares of the faintest curves vanish
    products, pairs = (
        np.fft.irfft(np.abs(np.fft.rfft(values, 2 * len(values))) ** 2)[: longest + 1]
        for values in (centred, judged.astype(np.float64))
    )
    enough = pairs > FEWEST_PAIRS * RATE
    means = np.where(enough, products / np.maximum(pairs, 1), 0)
    return ndimage.gaussian_filter1d(means / means[0], 1.0)


def find_pulse(curve: NDArray[np.floating], judged: NDArray[np.bool_] | None = None) -> Pulse | None:
    """The beat of an onset curve; None where it is flat, or without any regularity, or less than 4 s are judged.

    `judged` says which of its values count (all of them by default).
    """
    judged = np.ones(len(curve), dtype=bool) if judged is None else judged
    if judged.sum() < SHORTEST * RATE or not np.ptp(curve[judged]):
        return None
    longest = min(int(60 / SLOWEST * RATE * TEETH) + 2, len(curve) - int(RATE))
    correlation = _autocorrelation(curve, judged, longest)
    periods = np.arange(60 / FASTEST * RATE, 60 / SLOWEST * RATE, PRECISION)
    teeth = periods[:, None] * np.arange(1, TEETH + 1)
    inside = teeth < longest
    read = np.interp(teeth, np.arange(longest + 1), correlation)
    clarity = np.where(inside, read, 0).sum(axis=1) / inside.sum(axis=1)
    peaks = np.flatnonzero((clarity[1:-1] >= clarity[:-2]) & (clarity[1:-1] > clarity[2:])) + 1
    peaks = peaks[clarity[peaks] > 0]
    if not len(peaks):
        return None
    fastest = peaks[clarity[peaks] >= NEARLY * clarity[peaks].max()][0]
    return Pulse(tempo=float(60 * RATE / periods[fastest]), clarity=float(min(1.0, clarity[fastest])))


def beaten(curve: NDArray[np.floating], voiced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a clear, regular beat goes on, one value per value of the onset curve.

    Judged in windows of 6 s (the whole curve where it is shorter) that hold at least 4 s without a voice,
    and on these: syllables can be as regular as drums. `voiced` says where a voice is, value by value.
    """
    found = np.zeros(len(curve), dtype=bool)
    span, step = int(SPAN * RATE), int(STEP * RATE)
    for start in range(0, max(1, len(curve) - step), step):
        window = slice(max(0, min(start, len(curve) - span)), min(start + span, len(curve)))
        pulse = find_pulse(curve[window], ~voiced[window])
        if pulse is not None and pulse.clarity >= CLEAR:
            found[window] = True
    return found
