"""The narrator: CMU Flite's voice `rms`, run as a program while the samples are made.

Flite (https://github.com/festvox/flite, Debian package `flite`) and its voices are free software
under Carnegie Mellon's BSD-like licence. Of seven voices tried, PocketSphinx understands this one best.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import resample_poly

from samples.music import RATE

VOICE = "rms"
PACE = 1.1  # duration relative to the voice's own
PEAK = 0.6  # largest sample of a spoken line
FLOOR = 0.02  # share of the peak below which a line has not begun or is over
MARGIN = 0.03  # seconds kept before and after


def say(words: str) -> np.ndarray:
    """The spoken line without silence around it: float64, shape (samples, 2), at `RATE`.

    Raises `FileNotFoundError` where Flite is not installed.
    """
    program = shutil.which("flite")
    if program is None:
        raise FileNotFoundError("flite is not installed; on Debian and Ubuntu: apt-get install flite")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "line.wav"
        options = ["-voice", VOICE, "--setf", f"duration_stretch={PACE}"]
        subprocess.run([program, *options, "-t", words, "-o", str(target)], check=True)
        rate, samples = wavfile.read(target)
    wave = resample_poly(samples.astype(np.float64), RATE, rate)
    wave *= PEAK / np.abs(wave).max()
    loud = np.flatnonzero(np.abs(wave) > FLOOR * PEAK)
    margin = int(MARGIN * RATE)
    wave = wave[max(0, loud[0] - margin) : loud[-1] + margin]
    return np.stack([wave, wave], axis=1)
