"""Sounds that the audio tests make: notes, chords, drums, clicks, a voice, noise, and mixtures of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from scipy import signal

RATE = 16_000


class Studio:
    """Makes sounds as float64 in −1…1 at 16 kHz, and int16 and bytes of them. The same each time."""

    A_MINOR = ((57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64))  # MIDI notes of i iv V i
    C_MAJOR = ((60, 64, 67), (65, 69, 72), (67, 71, 74), (60, 64, 67))  # I IV V I

    def silence(self, seconds: float) -> np.ndarray:
        return np.zeros(round(seconds * RATE))

    def noise(self, seconds: float, level: float = 0.1, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(size=round(seconds * RATE)) * level

    def tone(self, seconds: float, hertz: float = 1000, level: float = 0.2) -> np.ndarray:
        return level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)

    def note(self, midi: int, seconds: float, kind: str) -> np.ndarray:
        time = np.arange(round(seconds * RATE)) / RATE
        phase = 2 * np.pi * 440 * 2 ** ((midi - 69) / 12) * time
        partials = {
            "piano": [(k, 0.7**k, 2 + k) for k in range(1, 9)],
            "organ": [(k, 1 / k, 0) for k in (1, 2, 3, 4, 6, 8)],
            "strings": [(k, 1 / k, 0) for k in range(1, 14)],
        }[kind]
        wave = np.sum([gain * np.sin(k * phase) * np.exp(-time * decay) for k, gain, decay in partials], axis=0)
        ramp = min(80, len(time) // 2)
        wave[:ramp] *= np.linspace(0, 1, ramp)
        wave[len(wave) - ramp :] *= np.linspace(1, 0, ramp)
        return wave

    def add(self, onto: np.ndarray, sound: np.ndarray, at: float) -> None:
        start = round(at * RATE)
        room = max(0, min(len(sound), len(onto) - start))
        onto[start : start + room] += sound[:room]

    def chords(
        self,
        seconds: float,
        *,
        tempo: float = 100,
        kind: str = "piano",
        progression: Sequence[Sequence[int]] = A_MINOR,
        melody: bool = True,
    ) -> np.ndarray:
        """A chord per bar of four beats, and a note of it on every beat."""
        music, beat = self.silence(seconds), 60 / tempo
        for bar in range(int(seconds / beat / 4) + 1):
            chord = progression[bar % len(progression)]
            for midi in chord:
                self.add(music, self.note(midi, beat * 3.9, kind), bar * beat * 4)
            for k in range(4 * melody):
                self.add(music, self.note(chord[k % 3] + 12, beat * 0.9, kind), (bar * 4 + k) * beat)
        return 0.4 * music / np.abs(music).max()

    def drums(self, seconds: float, tempo: float = 120) -> np.ndarray:
        """Kick and snare by turns on every beat."""
        music, beat = self.silence(seconds), 60 / tempo
        time = np.arange(round(0.15 * RATE)) / RATE
        kick = np.sin(2 * np.pi * (50 * time + 2 * (1 - np.exp(-time * 30)))) * np.exp(-time * 18)
        snare = self.noise(0.15, 0.5, seed=1) * np.exp(-time * 25)
        for k in range(int(seconds / beat) + 1):
            self.add(music, snare if k % 2 else kick, k * beat)
        return 0.5 * music / np.abs(music).max()

    def clicks(self, seconds: float, tempo: float) -> np.ndarray:
        music = self.silence(seconds)
        click = np.sin(2 * np.pi * 1000 * np.arange(400) / RATE) * np.exp(-np.arange(400) / 80)
        for k in range(int(seconds * tempo / 60) + 1):
            self.add(music, click, k * 60 / tempo)
        return 0.5 * music

    def voice(self, seconds: float, pitch: float = 120, seed: int = 3) -> np.ndarray:
        """Vowels at four to five syllables a second: pulses of a gliding pitch through moving formants."""
        random = np.random.default_rng(seed)
        count = round(seconds * RATE)
        time = np.arange(count) / RATE
        knots = np.arange(0, seconds + 0.4, 0.11)
        glide = np.interp(time, knots, random.uniform(-5, 5, len(knots)))
        source = np.diff(np.floor(np.cumsum(pitch * 2 ** (glide / 12)) / RATE), prepend=0)
        syllable = np.clip(np.sin(2 * np.pi * 4.4 * time) + 0.6, 0, None)
        out = np.zeros(count)
        vowels = ((700, 1100, 2500), (300, 2200, 2900), (500, 900, 2400), (400, 1900, 2600))
        for start in range(0, count, RATE // 5):
            stop = min(count, start + RATE // 5)
            part = source[max(0, start - 800) : stop]
            for formant in vowels[random.integers(len(vowels))]:
                b, a = signal.iirpeak(formant, 7, fs=RATE)
                out[start:stop] += signal.lfilter(b, a, part)[-(stop - start) :]
        out *= syllable
        return 0.3 * out / np.abs(out).max()

    def mixed(self, voice: np.ndarray, music: np.ndarray, decibels: float) -> np.ndarray:
        """Voice with music under it: the voice's RMS is `decibels` over the music's."""
        music = np.resize(music, len(voice))
        ratio = np.sqrt((voice**2).mean() / (music**2).mean())
        return voice + music * ratio * 10 ** (-decibels / 20)

    def samples(self, sound: np.ndarray) -> np.ndarray:
        return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)

    def clip(self, sound: np.ndarray | None, **row: object) -> dict:
        """A clip row with this sound."""
        return {
            "record": "clip",
            "clip_id": "v_0000000",
            "error": None,
            "drop_reason": None,
            "audio": None if sound is None else self.samples(sound).astype("<i2").tobytes(),
            "clip_duration": None if sound is None else len(sound) / RATE,
            **row,
        }

    def decode(self, path: Path) -> np.ndarray:
        """The first audio stream of a media file as mono floats at 16 kHz."""
        resampler = av.AudioResampler("s16", "mono", RATE)
        with av.open(str(path)) as container:
            frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
        return np.concatenate([frame.to_ndarray()[0] for frame in frames]) / 32768


@pytest.fixture(scope="session")
def studio() -> Studio:
    return Studio()
