"""The sound of a video as 16 kHz mono, on the same clock as its pictures.

Samples are placed by presentation time: a late start and gaps are silence, overlaps are cut. Within
`DRIFT` a run of frames counts as unbroken, since containers round their times.
"""

from __future__ import annotations

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

SAMPLE_RATE = 16_000

DRIFT = SAMPLE_RATE * 3 // 100
"""Samples (30 ms) by which a frame may stray from where the last one ended before it counts as a gap."""


LOWEST_RATE = 1000
"""Samples per second at least (speech codecs have 8,000); at 1 Hz every byte would become 32 kB."""


class SoundTrack:
    """Collects decoded audio frames and hands out spans of int16 samples.

    `origin`: seconds to subtract from the frames' times.
    """

    def __init__(self, origin: float) -> None:
        self._origin = origin
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        self._chunks: list[tuple[int, np.ndarray]] = []
        self._next: int | None = None
        self._fed = 0.0

    @property
    def end(self) -> float:
        """Seconds up to which samples have come; minus infinity before the first."""
        return self._next / SAMPLE_RATE if self._next is not None else float("-inf")

    def feed(self, frame: AudioFrame) -> None:
        """Add a decoded frame. Raises what PyAV raises for a format that it cannot resample."""
        if frame.sample_rate < LOWEST_RATE:
            raise ValueError(f"sound with a sample rate of {frame.sample_rate} Hz")
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        start = None
        if frame.pts is not None and frame.time_base is not None:
            start = round((float(frame.pts * frame.time_base) - self._origin) * SAMPLE_RATE)
        if self._resampler is None or form != self._form or self._strays(start):
            self.flush()
            self._resampler, self._form = av.AudioResampler("s16", "mono", SAMPLE_RATE), form
            self._next = start if start is not None else (self._next or 0)
            self._fed = float(self._next)
        self._fed += frame.samples * SAMPLE_RATE / frame.sample_rate
        try:
            pieces = self._resampler.resample(frame)
        except (FFmpegError, ValueError):
            self._resampler = None  # it may be half made; the next frame gets a new one
            raise
        for piece in pieces:
            self._append(piece)

    def _strays(self, start: int | None) -> bool:
        return start is not None and abs(start - self._fed) > DRIFT

    def flush(self) -> None:
        """Take out what the resampler still holds; call at the end of the stream."""
        if self._resampler is not None:
            for piece in self._resampler.resample(None):
                self._append(piece)
            self._resampler = None

    def _append(self, piece: AudioFrame) -> None:
        samples = np.frombuffer(memoryview(piece.planes[0]), "<i2", piece.samples)
        assert self._next is not None
        self._chunks.append((self._next, samples))
        self._next += len(samples)

    def span(self, start: float, end: float) -> np.ndarray:
        """Samples of [start, end) seconds, int16, silence where none came.

        Spans that meet in time meet in samples: none is given twice and none is lost.
        """
        first, last = round(start * SAMPLE_RATE), round(end * SAMPLE_RATE)
        span = np.zeros(max(0, last - first), np.int16)
        filled = first
        for at, samples in self._chunks:
            low, high = max(at, filled), min(at + len(samples), last)
            if low < high:
                span[low - first : high - first] = samples[low - at : high - at]
                filled = high
        return span

    def forget(self, time: float) -> None:
        """Let go of samples before `time` seconds."""
        first = round(time * SAMPLE_RATE)
        self._chunks = [(at, samples) for at, samples in self._chunks if at + len(samples) > first]
