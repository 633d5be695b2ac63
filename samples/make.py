"""Make the sample videos and their ground truth: `python -m samples.make [NAME …]`.

Needs the `dev` extra (scikit-image) and Flite (`apt-get install flite`). The same versions of
these, of PyAV and of Pillow give the same bytes; others give the same films.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from samples import music
from samples.edit import Film
from samples.films import LAUNCH_PAD, PORTRAIT, TRAILER

HERE = Path(__file__).parent
FILMS = {film.name: film for film in (TRAILER, LAUNCH_PAD, PORTRAIT)}
VIDEO_OPTIONS = {"crf": "26", "preset": "slow", "threads": "1", "g": "240"}
AUDIO_BITS = 96_000  # per second
INTERRUPTED = 40_000  # bytes of an upload that broke off


def encode(film: Film, target: Path) -> list[tuple[float, float, str]]:
    """Write the film as H.264 and AAC in MP4; gives the spans of its speech: (start, end, words)."""
    with av.open(str(target), "w", options={"fflags": "+bitexact"}) as container:
        video = container.add_stream("libx264", rate=film.rate, options=VIDEO_OPTIONS)
        width, height = film.size if film.rotation == 0 else film.size[::-1]
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        context = video.codec_context
        context.thread_count = 1
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        if film.rotation:
            video.set_display_rotation(film.rotation)
        samples, spans = film.sound()
        audio = None
        if film.has_audio:
            audio = container.add_stream("aac", rate=music.RATE, layout="stereo")
            audio.bit_rate = AUDIO_BITS
        blocks, heard = pieces(samples), 0
        for index, picture in enumerate(film.pictures()):
            frame = as_coded(picture, film.rotation)
            frame.pts, frame.time_base = index, Fraction(1, film.rate)
            container.mux(video.encode(frame))
            until = (index + 1) * music.RATE // film.rate
            while audio is not None and heard < until and (block := next(blocks, None)) is not None:
                container.mux(audio.encode(block))
                heard += block.samples
        for stream in (video, audio):
            if stream is not None:
                container.mux(stream.encode(None))
    return spans


def pieces(samples: np.ndarray, length: int = 1024) -> Iterator[av.AudioFrame]:
    """The sound track, float32 of shape (samples, 2), in blocks for the encoder."""
    for start in range(0, len(samples), length):
        planes = np.ascontiguousarray(samples[start : start + length].T)
        block = av.AudioFrame.from_ndarray(planes, format="fltp", layout="stereo")
        block.sample_rate, block.pts, block.time_base = music.RATE, start, Fraction(1, music.RATE)
        yield block


def as_coded(picture: np.ndarray, rotation: int) -> av.VideoFrame:
    """The displayed picture as the camera's sensor would have stored it, in BT.709."""
    turned = np.ascontiguousarray(np.rot90(picture, -rotation // 90))
    frame = av.VideoFrame.from_ndarray(turned, format="rgb24")
    return frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)


def main(names: list[str]) -> None:
    """Make the named films, or all of them and the upload that broke off."""
    videos = HERE / "videos"
    videos.mkdir(exist_ok=True)
    for name in names or FILMS:
        film = FILMS[name]
        target = videos / f"{name}.mp4"
        truth = film.truth(encode(film, target))
        (HERE / f"{name}.json").write_text(json.dumps(truth, indent=2) + "\n")
        print(f"{target.name}: {film.seconds:.2f} s, {target.stat().st_size / 1e6:.2f} MB")
    if not names:
        whole = (videos / "launch_pad.mp4").read_bytes()
        (videos / "interrupted.mp4").write_bytes(whole[:INTERRUPTED])


if __name__ == "__main__":
    main(sys.argv[1:])
