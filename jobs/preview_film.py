"""A short MP4 of drawn pictures with the sound of the video that they came from."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Colorspace
from numpy.typing import NDArray

from operators.errors import RowFailure
from operators.video.packets import Packets
from operators.video.sound import SAMPLE_RATE, SoundTrack
from operators.video.stream import open_video

SOUND_BITS = 64_000  # per second
VIDEO_OPTIONS = {"crf": "27", "preset": "veryfast", "threads": "1"}
BLOCK = 1024  # samples

Picture = NDArray[np.uint8]


class Film:
    """H.264 and AAC, `fps` pictures per second of `size` (width, height; both even). A context manager."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int], samples: NDArray[np.int16]) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        self._samples = samples
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})
        self._video = self._container.add_stream("libx264", rate=self._rate, options=VIDEO_OPTIONS)
        self._video.width, self._video.height = size
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.colorspace = Colorspace.ITU709
        self._audio = self._container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if len(samples) else None
        if self._audio is not None:
            self._audio.bit_rate = SOUND_BITS
        self._shown = self._heard = 0

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._container.mux(self._video.encode(None))
            if self._audio is not None:
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()

    def add(self, picture: Picture) -> None:
        """Append an RGB picture, and the sound up to its end."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        coded = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        coded.pts, coded.time_base = self._shown, 1 / self._rate
        self._container.mux(self._video.encode(coded))
        self._shown += 1
        until = int(self._shown / self._rate * SAMPLE_RATE)
        while self._audio is not None and self._heard < min(until, len(self._samples)):
            block = self._samples[self._heard : self._heard + BLOCK].astype(np.float32) / 32768
            sound = av.AudioFrame.from_ndarray(block[None], format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, self._heard, Fraction(1, SAMPLE_RATE)
            self._container.mux(self._audio.encode(sound))
            self._heard += len(block)


def sound_of(path: Path, start: float, stop: float) -> NDArray[np.int16]:
    """The sound of [start, stop) seconds of a video, mono, 16,000 samples per second; empty where there is none."""
    try:
        with open_video(path) as video:
            if video.audio is None or video.audio.time_base is None:
                return np.zeros(0, np.int16)
            track = SoundTrack(video.origin)
            wanted = max(0.0, start + video.origin - 1)
            video.container.seek(int(wanted / video.audio.time_base), stream=video.audio)
            packets = Packets(video, [video.audio], lambda: track.end)
            for packet in packets:
                for frame in packets.decode(packet):
                    track.feed(frame)
                if track.end >= stop:
                    break
            track.flush()
            return track.span(start, stop)
    except (FFmpegError, RowFailure, ValueError, OverflowError):
        return np.zeros(0, np.int16)
