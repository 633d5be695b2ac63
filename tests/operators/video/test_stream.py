"""Opening files: which stream, which clock, which are refused."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pytest
from av.error import FFmpegError

from operators.errors import ErrorKind, RowFailure
from operators.video.limits import Limits
from operators.video.stream import Geometry, geometry, is_cut_short, open_video
from tests.hostile.sources import clip


@pytest.mark.parametrize(("turns", "seen"), [(0, (1, 2)), (1, (-2, 1)), (2, (-1, -2)), (3, (2, -1))])
def test_vectors_turn_with_the_picture(turns: int, seen: tuple[int, int]) -> None:
    shape = Geometry(width=4, height=2, pixel_aspect=Fraction(2), quarter_turns=turns)
    assert shape.turn_vector(1, 2) == seen
    assert shape.displayed == ((2, 8) if turns % 2 else (8, 2))


def test_facts_of_a_film(films: Any) -> None:
    path = films.make(films.scenes([30], 320, 180), fps=Fraction(30000, 1001), sound=films.tone(1.0), rotation=90)
    with open_video(path) as video:
        frame = next(iter(video.container.decode(video.video)))
        shape = geometry(video.video, frame)  # type: ignore[arg-type]
        assert video.audio is not None and video.codec == "h264" and video.origin == 0
        assert video.fps == Fraction(30000, 1001) and video.duration == pytest.approx(1.0, abs=0.05)
        assert (shape.quarter_turns, shape.displayed) == (3, (180, 320))
        assert video.video.codec_context.thread_count == 1
        assert not is_cut_short(video)


def test_transport_streams_start_at_their_own_zero(films: Any) -> None:
    path = films.make(films.scenes([10], 160, 96), "film.ts", codec="mpeg4", start=5.0)
    with open_video(path) as video:
        assert video.origin == pytest.approx(5.0, abs=2.0)
        first = next(iter(video.container.decode(video.video)))
        assert first.time - video.origin == pytest.approx(0, abs=0.05)


def test_the_container_is_closed_after_the_block(films: Any) -> None:
    path = films.make(films.scenes([10], 160, 96))
    with open_video(path) as video:
        container = video.container
    with pytest.raises((AssertionError, ValueError, FFmpegError)):
        next(container.demux())


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{film}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{film}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
)
def test_texts_that_name_other_files_are_not_followed(films: Any, text: str) -> None:
    film = films.make(films.scenes([10], 160, 96))
    trap = films.folder / "trap.mp4"
    trap.write_text(text.format(film=film))
    with pytest.raises(RowFailure) as caught, open_video(trap):
        pass
    assert caught.value.kind is ErrorKind.UNREADABLE


@pytest.mark.parametrize(
    "name", ["a b.mp4", "quo'te\".mp4", "münchen 東京.mp4", "concat:x|y.mp4", "-i.mp4", "%03d.mp4"]
)
def test_names_are_only_names(films: Any, name: str) -> None:
    path: Path = films.make(films.scenes([5], 64, 64)).rename(films.folder / name)
    with open_video(path) as video:
        assert video.codec == "h264"


def test_a_picture_is_no_video(films: Any) -> None:
    path = films.folder / "photo.mp4"
    path.write_bytes(cv2.imencode(".png", films.scene(1, 64, 64))[1].tobytes())
    with pytest.raises(RowFailure) as caught, open_video(path):
        pass
    assert caught.value.kind is ErrorKind.UNREADABLE


def test_pictures_and_streams_over_the_limit_are_refused_by_name(films: Any) -> None:
    film = films.make(films.scenes([5], 320, 180), sound=films.tone(0.2))
    for codec, name in (("mpeg4", "a.mp4"), ("mjpeg", "b.avi"), ("mpeg2video", "c.ts")):
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = films.make(films.scenes([5], 320, 180), name, codec=codec, pix_fmt=pixels)
        with (
            pytest.raises(
                RowFailure, match=r"320×180 pixels, over the limit of 57,599; raise x\.max_pixels"
            ) as caught,
            open_video(path, Limits(owner="x", max_pixels=320 * 180 - 1)),
        ):
            pass
        assert caught.value.kind is ErrorKind.REFUSED
    with (
        pytest.raises(RowFailure, match=r"more than 1 streams in it; raise x\.max_streams"),
        open_video(film, Limits(owner="x", max_streams=1)),
    ):
        pass
    with open_video(film, Limits(max_streams=2, max_pixels=320 * 180)) as video:
        assert video.audio is not None


def test_sound_without_a_decoder_is_no_sound(films: Any) -> None:
    path = films.folder / "film.mov"
    path.write_bytes(clip("mov", "mjpeg", "pcm_s16le").replace(b"sowt", b"apcn"))
    with open_video(path) as video:
        assert video.audio is None
