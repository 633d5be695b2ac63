"""Whole media that the mutators break: clips of a second in many containers, and excerpts of real films."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"

WIDTH, HEIGHT, RATE, FRAMES = 64, 48, 25, 24

SOUND_RATE = 16_000

CLIPS: tuple[tuple[str, str, str, str | None], ...] = (
    ("mp4", "mp4", "libx264", "aac"),
    ("mov", "mov", "mjpeg", "pcm_s16le"),
    ("mkv", "matroska", "libx264", "flac"),
    ("mkv", "matroska", "ffv1", None),
    ("webm", "webm", "libvpx", "libopus"),
    ("avi", "avi", "mpeg4", "pcm_s16le"),
    ("avi", "avi", "huffyuv", None),
    ("ts", "mpegts", "libx264", "aac"),
    ("mpg", "mpeg", "mpeg1video", None),
    ("flv", "flv", "flv", None),
    ("asf", "asf", "wmv2", None),
    ("nut", "nut", "mpeg4", None),
    ("mxf", "mxf", "mpeg2video", None),
    ("gif", "gif", "gif", None),
)
"""(suffix, muxer, codec of the picture, codec of the sound) of every clip that is made."""

_PIXELS = {"mjpeg": "yuvj420p", "huffyuv": "yuv422p", "gif": "rgb8"}

REAL = ("av1.mkv", "h265.mp4", "delayed_start.mp4", "counter.mp4")
"""Small files of the real media beside the checkout, taken whole."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A whole file: `kind` is its suffix without the dot."""

    name: str
    kind: str
    data: bytes


def made_clips() -> Iterator[Source]:
    """One clip of `CLIPS` after another: two shots of moving blocks, and a tone."""
    for kind, muxer, codec, sound in CLIPS:
        yield Source(name=f"{kind}-{codec}", kind=kind, data=clip(muxer, codec, sound))


def clip(muxer: str, codec: str, sound: str | None) -> bytes:
    """A film of `FRAMES` frames of `WIDTH`×`HEIGHT` pixels; the same bytes each time."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
        video: Any = container.add_stream(codec, RATE)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, _PIXELS.get(codec, "yuv420p")
        video.codec_context.thread_count = 1
        audio: Any = container.add_stream(sound, SOUND_RATE, layout="mono") if sound else None
        packets = [packet for picture in _pictures() for packet in video.encode(_frame(picture, video.pix_fmt))]
        packets += video.encode()
        if audio is not None:
            packets += _sounds(audio)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return sink.getvalue()


def _pictures() -> Iterator[np.ndarray]:
    rng = np.random.default_rng(3)
    shots = [rng.integers(0, 255, (6, 8, 3)).astype(np.uint8) for _ in range(2)]
    for number in range(FRAMES):
        blocks = np.kron(shots[number * 2 // FRAMES], np.ones((8, 8, 1), np.uint8))
        yield np.roll(blocks, number, axis=1)


def _frame(picture: np.ndarray, pixels: str) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format=pixels)


def _sounds(audio: Any) -> list[av.Packet]:
    packets = []
    for first in range(0, SOUND_RATE * FRAMES // RATE, 1024):
        wave = 0.3 * np.sin(np.arange(first, first + 1024) * (2 * np.pi * 440 / SOUND_RATE))
        frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = SOUND_RATE, Fraction(1, SOUND_RATE), first
        packets += audio.encode(frame)
    return [*packets, *audio.encode()]


def excerpt(path: Path, packets: int = 40) -> Source:
    """The first packets of a real film's streams, copied without decoding, as a small file of the same suffix."""
    kind = path.suffix.removeprefix(".")
    sink = io.BytesIO()
    muxer = {"mkv": "matroska", "ts": "mpegts"}.get(kind, kind)
    with av.open(str(path)) as film, av.open(sink, "w", format=muxer, options={"fflags": "+bitexact"}) as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in film.streams if s.type in ("video", "audio")}
        for packet in islice(film.demux([film.streams[index] for index in streams]), packets):
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    return Source(name=f"excerpt-{path.stem}", kind=kind, data=sink.getvalue())


def sources(shared: Path | None) -> Sequence[Source]:
    """All sources, in a fixed order: made clips, excerpts of the samples, and small real media where present."""
    found = [*made_clips(), excerpt(SAMPLES / "portrait.mp4"), excerpt(SAMPLES / "launch_pad.mp4")]
    for name in REAL if shared is not None and shared.is_dir() else ():
        path = shared / name  # type: ignore[operator]
        found.append(Source(name=path.stem, kind=path.suffix.removeprefix("."), data=path.read_bytes()))
    return found
