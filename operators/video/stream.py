"""Open a media file once: which stream to watch, how it is displayed, where its clock starts.

FFmpeg is given local files only, and only formats that hold media themselves: a playlist, a concat
script or a session description called `.mp4` could make it read other files or the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from operators.errors import ErrorKind, RowFailure
from operators.video.limits import Limits

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,ogg,mxf,gxf,wtv,rm,nut,"
    "dv,ivf,gif,h264,hevc,vvc,obu,av1,m4v,vc1,yuv4mpegpipe,swf,wav,w64,mp3,flac,aac,ac3,eac3,aiff,au,caf,amr,ape,tta,wv,dts"
)
"""FFmpeg demuxers that may be used. Others open files or addresses that their text names, or are pictures."""

OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
"""Of FFmpeg, for every file. References to other files in MOV are not followed by default (`enable_drefs`)."""

FPS_RANGE = (Fraction(1, 1000), Fraction(1000))
"""Frame rates outside this range are taken for a damaged header; `UNKNOWN_FPS` is used instead."""

UNKNOWN_FPS = Fraction(25)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How decoded pixels are displayed.

    `quarter_turns` clockwise are needed (0–3) after the width was multiplied by `pixel_aspect`.
    """

    width: int
    height: int
    pixel_aspect: Fraction
    quarter_turns: int

    @property
    def displayed(self) -> tuple[int, int]:
        """(width, height) in square pixels, after rotation."""
        width, height = max(1, round(self.width * self.pixel_aspect)), self.height
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def turn_vector(self, x: float, y: float) -> tuple[float, float]:
        """A vector of the coded picture (x right, y down) as the viewer sees it."""
        for _ in range(self.quarter_turns):
            x, y = -y, x
        return x, y


@dataclass(frozen=True, kw_only=True)
class OpenVideo:
    """An open container with its chosen streams.

    `origin`: seconds to subtract from stream times to get the presentation clock. `fps`: the nominal
    rate. `duration`: the header's claim in seconds, or None.
    """

    container: InputContainer
    video: VideoStream
    audio: AudioStream | None
    origin: float
    fps: Fraction
    duration: float | None
    codec: str


@contextmanager
def open_video(path: Path, limits: Limits | None = None) -> Iterator[OpenVideo]:
    """Open `path` for one pass, single-threaded. Raises `RowFailure`: unreadable, no_video, refused (by `limits`)."""
    limits = limits or Limits()
    container = _open(path, limits)
    try:
        if len(container.streams) > limits.max_streams:
            text = f"more than {limits.max_streams} streams in it; raise {limits.owner}.max_streams"
            raise RowFailure(ErrorKind.REFUSED, text)
        video = _best_video(container)
        if video is None:
            kinds = sorted({stream.type for stream in container.streams})
            found = f"only {' and '.join(kinds)}" if kinds else "nor any other"
            raise RowFailure(ErrorKind.NO_VIDEO, f"no video stream in it, {found}; leave it out of the input")
        _check_size(*_size(path, video), limits)
        # The decoder refuses larger pictures in mid-stream before it takes memory for them.
        video.codec_context.options = {"max_pixels": str(limits.max_pixels)}
        audio = container.streams.best("audio", related=video)
        if not isinstance(audio, AudioStream) or audio.codec_context is None:
            audio = None  # there is none, or no decoder for it
        for stream in (video, audio):
            if stream is not None:
                # AUTO and FRAME threads can hang when decoding stops early, and occupy more than one CPU.
                stream.codec_context.thread_type = "NONE"
                stream.codec_context.thread_count = 1
        yield OpenVideo(
            container=container,
            video=video,
            audio=audio,
            origin=_origin(container),
            fps=_rate(video),
            duration=_duration(container, video),
            codec=video.codec_context.codec.canonical_name,
        )
    finally:
        container.close()


def _size(path: Path, video: VideoStream) -> tuple[int, int]:
    """Width and height that the header tells."""
    size = video.codec_context.width, video.codec_context.height
    if min(size) > 0:
        return size
    # FFmpeg forgets a size that is over its bound; here it keeps it, and decodes no frame.
    options = {**OPTIONS, "skip_frame": "all"}
    try:
        with av.open(_place(path), options=options, metadata_errors="replace") as container:
            context = container.streams[video.index].codec_context
            return getattr(context, "width", 0), getattr(context, "height", 0)
    except (FFmpegError, ValueError, OSError, MemoryError, IndexError):
        return size


def _place(path: Path) -> str:
    return f"file:{path.absolute()}"


def _check_size(width: int, height: int, limits: Limits) -> None:
    """Raises `RowFailure` (refused) where a picture of so many pixels is over the limit."""
    if width * height > limits.max_pixels:
        text = f"pictures of {width}×{height} pixels, over the limit of {limits.max_pixels:,}"
        raise RowFailure(ErrorKind.REFUSED, f"{text}; raise {limits.owner}.max_pixels")


def _open(path: Path, limits: Limits) -> InputContainer:
    if path.is_dir():
        raise RowFailure(ErrorKind.UNREADABLE, "is a directory, not a media file; name the files in it")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError:
        raise RowFailure(ErrorKind.UNREADABLE, "no such file; check the path in the manifest") from None
    except PermissionError:
        raise RowFailure(ErrorKind.UNREADABLE, "no permission to read the file; run: chmod +r on it") from None
    except OSError as problem:
        raise RowFailure(ErrorKind.UNREADABLE, f"cannot be read: {problem.strerror or problem}") from None
    if empty:
        raise RowFailure(ErrorKind.UNREADABLE, "the file is empty; fetch it again")
    try:
        bounds = {"max_streams": str(limits.max_streams + 1), "max_pixels": str(limits.max_pixels)}
        return av.open(_place(path), options={**OPTIONS, **bounds}, metadata_errors="replace")
    except MemoryError:
        text = f"its header names absurd sizes, or more than {limits.max_streams} streams"
        raise RowFailure(ErrorKind.UNREADABLE, f"{text}: damaged; fetch it again") from None
    except EndOfStream:
        raise RowFailure(ErrorKind.NO_VIDEO, "the file ends after its header: it holds no frame") from None
    except (FFmpegError, ValueError, OSError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise RowFailure(
            ErrorKind.UNREADABLE,
            f"not a media file that FFmpeg can open ({reason}): truncated, or of another type; fetch it again",
        ) from None


def _best_video(container: InputContainer) -> VideoStream | None:
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic and s.codec_context]
    best = container.streams.best("video")
    if best in moving:
        return best  # type: ignore[return-value]
    return max(moving, key=lambda s: (s.codec_context.width * s.codec_context.height, -s.index), default=None)


def _origin(container: InputContainer) -> float:
    # Transport streams start their clock anywhere; elsewhere time 0 is where players start.
    arbitrary = any(name in ("mpegts", "mpeg", "mpegvideo", "wtv") for name in container.format.name.split(","))
    return container.start_time / av.time_base if arbitrary and container.start_time is not None else 0.0


def _rate(video: VideoStream) -> Fraction:
    for rate in (video.guessed_rate, video.average_rate, video.base_rate):
        if rate and FPS_RANGE[0] <= (exact := Fraction(rate.numerator, rate.denominator)) <= FPS_RANGE[1]:
            return exact
    return UNKNOWN_FPS


def _duration(container: InputContainer, video: VideoStream) -> float | None:
    if video.duration and video.time_base:
        return float(video.duration * video.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


def geometry(stream: VideoStream, frame: VideoFrame) -> Geometry:
    """How frames of this stream are displayed; absurd pixel aspects count as square."""
    ratio = stream.sample_aspect_ratio
    aspect = Fraction(ratio.numerator, ratio.denominator) if ratio and ratio.denominator else Fraction(1)
    if not Fraction(1, 10) <= aspect <= 10:
        aspect = Fraction(1)
    # PyAV reports the display matrix's angle counter-clockwise.
    turns = round(-(frame.rotation or 0) / 90) % 4
    return Geometry(width=frame.width, height=frame.height, pixel_aspect=aspect, quarter_turns=turns)


def is_cut_short(video: OpenVideo) -> bool:
    """Whether the container's own index points past the end of the file, as in an interrupted download."""
    size = video.container.size
    for stream in (video.video, video.audio):
        entries = stream.index_entries if stream is not None else ()
        if size and len(entries) and entries[len(entries) - 1].pos + entries[len(entries) - 1].size > size:
            return True
    return False
