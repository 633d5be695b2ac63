"""The clip's sound as a stored column: FLAC, lossless, for data sets in which motion goes with sound."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.error import FFmpegError

from operators.audio.waveform import SAMPLE_RATE, Samples, read_samples
from operators.contract import ClipOperator, Row
from operators.errors import ErrorKind, RowFailure
from operators.pose.columns import select

PIECE = SAMPLE_RATE  # samples handed to the encoder at once


class KeptSound(ClipOperator):
    """Keeps the sound of clips that are not dropped: the very samples that the other operators heard.

    A clip without sound gets null. FLAC by FFmpeg's encoder; about half the size of the samples.
    """

    name = "sound"
    version = 1
    reads = ("audio",)
    writes = select("sound")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"sound": encode_flac(samples)} for samples in map(_samples, clips)]


def _samples(clip: Row) -> Samples | None:
    return read_samples(clip.get("audio"))


def encode_flac(samples: Samples | None) -> bytes | None:
    """A FLAC file of int16 samples (n,), mono, 16 kHz; the same samples give the same bytes. None for None."""
    if samples is None:
        return None
    sink = io.BytesIO()
    with av.open(sink, "w", format="flac", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", options={"flags": "+bitexact"})
        for start in range(0, len(samples), PIECE):
            piece = np.ascontiguousarray(samples[None, start : start + PIECE], dtype=np.int16)
            frame = AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return sink.getvalue()


def decode_flac(data: bytes) -> Samples:
    """The samples of such a file, int16 (n,). Raises `RowFailure` (decode) where it is none."""
    try:
        with av.open(io.BytesIO(data), "r", format="flac") as container:
            pieces = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    except (FFmpegError, ValueError, IndexError) as problem:
        raise RowFailure(ErrorKind.DECODE, f"the sound is no whole FLAC file: {problem}") from problem
    if not pieces:
        raise RowFailure(ErrorKind.DECODE, "the sound is no whole FLAC file: it has no frame")
    return np.concatenate(pieces).astype(np.int16)
