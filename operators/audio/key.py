"""The musical key, by correlating pitch classes with key profiles.

Method: C. L. Krumhansl, "Cognitive Foundations of Musical Pitch", 1990 (the Krumhansl–Schmuckler
algorithm), with the probe-tone profiles of C. L. Krumhansl and E. J. Kessler, 1982. Pitch classes come
from the peaks of a spectrum of 256 ms windows, placed by parabolic interpolation, tuned to A = 440 Hz.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from operators.audio import spectrum
from operators.audio.waveform import SAMPLE_RATE, Samples

WINDOW, HOP = 4096, 2048  # samples: 256 ms, every 128 ms
LOWEST, HIGHEST = 100.0, 2000.0  # Hz
PIECE = 240  # frames worked on at once: 30 s
CONVINCING = 0.6  # correlation from which a key is named

TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}

_BINS = slice(round(LOWEST * WINDOW / SAMPLE_RATE), round(HIGHEST * WINDOW / SAMPLE_RATE))


class Key(NamedTuple):
    """A key such as 'A minor' and the correlation of the clip's pitch classes with its profile, −1 to 1."""

    name: str
    fit: float


def pitch_classes(samples: Samples) -> NDArray[np.float64]:
    """Summed amplitude of the spectral peaks of each pitch class, C first, per 128 ms, shape (frames, 12)."""
    own = []
    for rows, amplitudes in spectrum.pieces(samples, margin=0, piece=PIECE, window=WINDOW, hop=HOP):
        own.append(_folded(amplitudes[rows]))
    return np.concatenate(own) if own else np.zeros((0, 12))


def _folded(amplitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    left, peak, right = (amplitudes[:, _BINS.start + k : _BINS.stop + k] for k in (-1, 0, 1))
    frame, column = np.nonzero((peak > left) & (peak >= right) & (peak > spectrum.FLOOR))
    height = peak[frame, column]
    before, here, after = (
        np.log(values + spectrum.FLOOR * 1e-3) for values in (left[frame, column], height, right[frame, column])
    )
    offset = 0.5 * (before - after) / (before - 2 * here + after)
    frequency = (column + _BINS.start + offset) * SAMPLE_RATE / WINDOW
    pitch = np.round(12 * np.log2(frequency / 440) + 69).astype(int) % 12
    folded = np.bincount(frame * 12 + pitch, weights=height, minlength=12 * len(amplitudes))
    return folded.astype(np.float64).reshape(len(amplitudes), 12)


def find_key(classes: NDArray[np.floating]) -> Key | None:
    """The best of 24 keys for summed pitch classes of shape (12,); None where they are all alike."""
    if classes.std() == 0:
        return None
    keys = [
        Key(f"{tonic} {mode}", float(np.corrcoef(np.roll(profile, shift), classes)[0, 1]))
        for mode, profile in PROFILES.items()
        for shift, tonic in enumerate(TONICS)
    ]
    return max(keys, key=lambda key: key.fit)
