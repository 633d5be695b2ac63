"""Music of synthetic instruments: A minor at 120 beats per minute.

Sounds are float64 arrays of shape (samples, 2), left and right, between −1 and 1, at `RATE`.
"""

from __future__ import annotations

import numpy as np

RATE = 48_000  # samples per second
TEMPO = 120.0  # beats per minute
KEY = "A minor"
BEAT = 60 / TEMPO  # seconds
BAR = 4 * BEAT

# One bar each: A minor, F major, D minor, E major. MIDI note numbers; bass first, then the triad.
CHORDS = ((45, (57, 60, 64)), (41, (57, 60, 65)), (38, (57, 62, 65)), (40, (56, 59, 64)))
TUNE = (76, 72, 69, 72, 77, 76, 72, 69, 74, 77, 74, 69, 71, 76, 74, 68)  # one note a beat


def hertz(note: float) -> float:
    """Frequency of a MIDI note number (A4 = 69 = 440 Hz)."""
    return 440.0 * 2 ** ((note - 69) / 12)


def tone(note: float, seconds: float, harmonics: int, fall: float) -> np.ndarray:
    """Harmonics with amplitudes 1/n², dying away at `fall` per second after a soft 8 ms attack; mono."""
    time = np.arange(int(seconds * RATE)) / RATE
    number = np.arange(1, harmonics + 1)[:, None]
    wave = (np.sin(2 * np.pi * hertz(note) * number * time) / number**2).sum(axis=0)
    release = np.clip((seconds - time) / 0.03, 0, 1)
    return wave * np.exp(-fall * time) * np.clip(time / 0.008, 0, 1) * release


def kick() -> np.ndarray:
    """A falling sine, 0.3 s, mono."""
    time = np.arange(int(0.3 * RATE)) / RATE
    pitch = 48 + 90 * np.exp(-time * 32)
    return np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-time * 11)


def noise(random: np.random.Generator, seconds: float, fall: float, bright: bool) -> np.ndarray:
    """Noise that dies away at `fall` per second; its low half taken out where `bright`; mono."""
    time = np.arange(int(seconds * RATE)) / RATE
    hiss = random.standard_normal(len(time) + 1)
    return (np.diff(hiss) / 2 if bright else hiss[1:] / 2) * np.exp(-time * fall)


def boom(seconds: float = 0.7) -> np.ndarray:
    """One low drum stroke for a cut."""
    time = np.arange(int(seconds * RATE)) / RATE
    low = np.sin(2 * np.pi * np.cumsum(38 + 50 * np.exp(-time * 18)) / RATE) * np.exp(-time * 6)
    crack = noise(np.random.default_rng(3), seconds, 22, bright=False)
    hit = (0.8 * low + 0.25 * crack) * np.clip((seconds - time) / 0.05, 0, 1)
    return np.stack([hit, hit], axis=1)


def score(seconds: float, drums: bool = True, tune: bool = True) -> np.ndarray:
    """Music of this length: chords and bass, with drums and a tune where asked; ends on A minor."""
    random = np.random.default_rng(5)
    total = int(seconds * RATE)
    mix = np.zeros((total + 4 * RATE, 2))

    def play(start: float, sound: np.ndarray, level: float, pan: float = 0.0) -> None:
        first = round(start * RATE)
        mix[first : first + len(sound)] += np.outer(sound, (level * (1 - pan), level * (1 + pan)))

    beats = int(seconds / BEAT)
    last_bar = (beats - 1) // 4
    for bar in range(last_bar + 1):
        bass, triad = CHORDS[0 if bar == last_bar else bar % len(CHORDS)]
        for pan, note in zip((-0.4, 0.0, 0.4), triad, strict=True):
            play(bar * BAR, tone(note, BAR, 6, 0.5), 0.10, pan)
    for beat in range(beats):
        bar, start = beat // 4, beat * BEAT
        closing = bar == last_bar
        bass, triad = CHORDS[0 if closing else bar % len(CHORDS)]
        play(start, tone(bass, BEAT, 8, 3.0), 0.22)
        for half in range(2):
            note = triad[(2 * beat + half) % 3] + 12
            play(start + half * BEAT / 2, tone(note, BEAT / 2, 5, 5.0), 0.06, 0.5 - half)
        if tune and not closing:
            play(start, tone(TUNE[beat % len(TUNE)], BEAT, 4, 2.0), 0.11, 0.15)
        if drums:
            play(start, kick(), 0.40)
            if beat % 2:
                play(start, noise(random, 0.18, 24, bright=False), 0.14)
            for half in range(2):
                play(start + half * BEAT / 2, noise(random, 0.05, 90, bright=True), 0.10, -0.2)
    mix = mix[:total]
    mix[-RATE // 50 :] *= np.linspace(1, 0, RATE // 50)[:, None]
    return np.tanh(mix)
