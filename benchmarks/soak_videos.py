"""Short videos for the soak: slices of real ones, small enough that a job of them takes about a minute."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.error import FFmpegError

SLICE_SECONDS = 5.0
HEIGHT = 180


def slices(source: Path, folder: Path, count: int) -> None:
    """Write `count` slices of the videos in `source` into `folder`: five seconds at 180 lines, with their sound.

    Where the videos are too short for so many, later slices begin between the earlier ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    films = [(path, _seconds(path)) for path in sorted(source.iterdir())]
    films = [(path, seconds) for path, seconds in films if seconds >= SLICE_SECONDS]
    if not films:
        raise ValueError(f"{source} has no video of {SLICE_SECONDS:g} s or more")
    written, shift = 0, 0.0
    while written < count:
        for path, seconds in films:
            begin = shift
            while begin + SLICE_SECONDS <= seconds and written < count:
                _cut(path, folder / f"{written:03d}-{path.stem}.mp4", begin)
                written, begin = written + 1, begin + SLICE_SECONDS
        shift = (shift + SLICE_SECONDS * 0.37) % SLICE_SECONDS


def _seconds(path: Path) -> float:
    try:
        with av.open(str(path)) as container:
            return (container.duration or 0) / av.time_base if container.streams.video else 0.0
    except (FFmpegError, OSError):
        return 0.0


def _cut(source: Path, target: Path, begin: float) -> None:
    with av.open(str(source)) as film, av.open(str(target), "w", options={"movflags": "faststart"}) as cut:
        picture = film.streams.video[0]
        rate = Fraction(picture.average_rate or 25)
        video = cast(Any, cut.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "crf": "28"}))
        video.height, video.width = HEIGHT, 2 * round(HEIGHT * picture.width / picture.height / 2)
        video.pix_fmt = "yuv420p"
        sound = film.streams.audio[0] if film.streams.audio else None
        audio = cut.add_stream_from_template(sound) if sound else None
        film.seek(int(begin * av.time_base))
        number = 0
        for packet in film.demux(*(stream for stream in (picture, sound) if stream)):
            if packet.pts is None or packet.time_base is None:
                continue
            when = float(packet.pts * packet.time_base) - begin
            if packet.stream is sound and audio is not None:
                if 0 <= when < SLICE_SECONDS:
                    packet.pts = packet.dts = int(when / packet.time_base)
                    packet.stream = audio
                    cut.mux(packet)
                continue
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame) and 0 <= float(frame.time or 0) - begin < SLICE_SECONDS:
                    small = frame.reformat(width=video.width, height=video.height, format="yuv420p")
                    small.pts, small.time_base = number, 1 / rate
                    number += 1
                    cut.mux(video.encode(small))
            if when > SLICE_SECONDS + 2:
                break
        cut.mux(video.encode(None))
