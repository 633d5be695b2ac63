"""What is on display at the ticks of a clock: the same from a key frame as from the start of the file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.video.events import Clip, Ended, Opened, Shown
from operators.video.one_pass import PassOptions, watch
from operators.video.span_pass import SpanOptions, _Misled, _Span, pixel_box, show
from operators.video.stream import open_video

WIDTH, HEIGHT = 160, 96
BITS = 10


def numbered(count: int, width: int = WIDTH, height: int = HEIGHT) -> list[np.ndarray]:
    """Pictures that carry their number as black and white columns, with a moving texture below."""
    noise = np.random.default_rng(3).integers(60, 190, (height, width * 2, 3), np.uint8)
    pictures = []
    for number in range(count):
        picture = np.ascontiguousarray(np.roll(noise, 3 * number, axis=1)[:, :width])
        for bit in range(BITS):
            left, right = bit * width // BITS, (bit + 1) * width // BITS
            picture[: height // 2, left:right] = 255 if number >> bit & 1 else 0
        pictures.append(picture)
    return pictures


def number(rgb: np.ndarray) -> int:
    """The number that such a picture carries."""
    height, width = rgb.shape[:2]
    row = rgb[height // 8 : height * 3 // 8, :, 1].mean(axis=0)
    return sum(int(row[round((bit + 0.5) * width / BITS)] > 127) << bit for bit in range(BITS))


def pictures(path: Path, options: SpanOptions, seek: bool | None = None) -> list[np.ndarray]:
    """The pictures of a span, by `show` or by one way of reaching it only."""
    if seek is None:
        events = list(show(path, options))
        assert isinstance(events[-1], Ended) and events[-1].kind is None, events[-1]
    else:
        with open_video(path) as video:
            events = list(_Span(video, options).events(seek))
    seen: list[np.ndarray] = []
    for event in events:
        if isinstance(event, Shown):
            assert event.index == len(seen)
            fresh = None if event.rgb is None else np.frombuffer(event.rgb, np.uint8)
            seen.append(seen[-1] if fresh is None else fresh.reshape(event.height, event.width, 3))
    return seen


def numbers(path: Path, options: SpanOptions, seek: bool | None = None) -> list[int]:
    return [number(rgb) for rgb in pictures(path, options, seek)]


def ended(path: Path, options: SpanOptions) -> Ended:
    last = list(show(path, options))[-1]
    assert isinstance(last, Ended)
    return last


def test_every_frame_at_its_own_rate(films: Any) -> None:
    path = films.make(numbered(60), fps=25)
    assert numbers(path, SpanOptions(start=0.0, stop=2.4, fps=25, frames=(0, 60))) == list(range(60))
    assert numbers(path, SpanOptions(start=0.8, stop=1.6, fps=25, frames=(20, 40))) == list(range(20, 40))


def test_other_rates_show_what_is_on_display(films: Any) -> None:
    path = films.make(numbered(60), fps=Fraction(30000, 1001))
    options = SpanOptions(start=0.0, stop=2.0, fps=25)
    assert numbers(path, options) == [int((k / 25 + 0.001) * 30000 / 1001 + 1e-9) for k in range(50)]
    options = SpanOptions(start=0.0, stop=1.0, fps=60)
    assert numbers(path, options) == [int((k / 60 + 0.001) * 30000 / 1001) for k in range(60)]


def test_a_frame_that_stands_is_told_without_its_bytes(films: Any) -> None:
    path = films.make(numbered(10), fps=10)
    events = [e for e in show(path, SpanOptions(start=0.0, stop=1.0, fps=30)) if isinstance(e, Shown)]
    assert [event.index for event in events if event.rgb is not None] == list(range(0, 30, 3))


def test_variable_frame_rate(films: Any) -> None:
    times = np.cumsum(np.r_[0, np.tile([0.02, 0.05, 0.11], 12)])
    path = films.make(numbered(len(times)), times=[float(t) for t in times], fps=25)
    start, stop = float(times[6]), float(times[30])
    options = SpanOptions(start=start, stop=stop, fps=30, frames=(6, 30))
    expected = [int(np.searchsorted(times, start + k / 30 + 0.001, "right")) - 1 for k in range(options.count)]
    assert numbers(path, options) == expected


def test_a_late_start_counts_from_the_presentation_clock(films: Any) -> None:
    path = films.make(numbered(40), fps=25, start=5.0)
    assert numbers(path, SpanOptions(start=5.4, stop=5.8, fps=25, frames=(10, 20))) == list(range(10, 20))


def test_a_span_between_frames_begins_with_the_frame_on_display(films: Any) -> None:
    path = films.make(numbered(40), fps=10, options={"g": "8", "bf": "0"})
    for seek in (False, True):
        assert numbers(path, SpanOptions(start=2.05, stop=2.45, fps=10), seek) == [20, 21, 22, 23]


SOURCES = {
    "b-frames": ("film.mp4", "libx264", {"g": "12", "bf": "3", "preset": "medium"}),
    "open-gop": ("film.mp4", "libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "intra-refresh": ("film.mp4", "libx264", {"g": "12", "bf": "0", "x264-params": "intra-refresh=1"}),
    "hevc-open-gop": ("film.mp4", "libx265", {"x265-params": "keyint=12:open-gop=1:log-level=none"}),
    "matroska": ("film.mkv", "libx264", {"g": "12", "bf": "2"}),
    "vp9": ("film.webm", "libvpx-vp9", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "av1": ("film.mkv", "libsvtav1", {"preset": "12", "g": "12"}),
    "transport stream": ("film.ts", "libx264", {"g": "12", "bf": "2"}),
    "avi": ("film.avi", "mpeg4", {"g": "12", "bf": "0"}),
}


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_span_is_the_same_from_a_key_frame_as_from_the_start(films: Any, source: str) -> None:
    name, codec, options = SOURCES[source]
    path = films.make(numbered(72), name, codec=codec, options=options, fps=24)
    first = next(event.start for event in watch(path, PassOptions()) if isinstance(event, Clip))
    for begin, end in ((0, 10), (11, 20), (12, 14), (25, 40), (47, 61), (60, 72)):
        options = SpanOptions(start=round(first + begin / 24, 6), stop=first + end / 24, fps=24)
        reached, whole = pictures(path, options), pictures(path, options, seek=False)
        assert len(reached) == end - begin
        assert all(np.array_equal(a, b) for a, b in zip(reached, whole, strict=True)), (begin, end)
        assert [number(rgb) for rgb in whole] == list(range(begin, end))


def test_the_key_frame_before_the_span_is_used(films: Any) -> None:
    path = films.make(numbered(120), fps=24, options={"g": "12", "bf": "2"})
    options = SpanOptions(start=4.0, stop=4.5, fps=24, frames=(96, 108))
    assert numbers(path, options, seek=True) == list(range(96, 108))
    with open_video(path) as video:
        span = _Span(video, options)
        [first, *_] = [timed.time for timed in span._from_key_frame()]
    assert 3.4 < first <= 4.0


def test_where_no_frame_begins_with_the_span_the_index_is_not_believed(films: Any) -> None:
    path = films.make(numbered(48), fps=24)
    with pytest.raises(_Misled):
        pictures(path, SpanOptions(start=1.02, stop=1.5, fps=24, frames=(24, 36)), seek=True)


def test_broken_timestamps_are_mended_as_in_the_first_pass(films: Any, tmp_path: Path) -> None:
    """A raw stream has no timestamps at all: both passes give it a clock of its own."""
    import av

    path = tmp_path / "raw.h264"
    with av.open(str(films.make(numbered(48), fps=25, options={"g": "12", "bf": "0"}))) as source:
        filter_ = av.BitStreamFilterContext("h264_mp4toannexb", source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.dts is not None]
        path.write_bytes(b"".join(bytes(out) for packet in packets for out in filter_.filter(packet)))
    [clip] = [event for event in watch(path, PassOptions()) if isinstance(event, Clip)]
    options = SpanOptions(start=clip.start, stop=clip.stop, fps=25, frames=(clip.first, clip.end))
    assert numbers(path, options) == list(range(48))


def test_clips_of_a_film_with_cuts_are_read_frame_by_frame(films: Any) -> None:
    scenes = [films.scene(n, WIDTH, HEIGHT) for n in range(3)]
    path = films.make([scenes[n // 24] for n in range(72)], fps=24, options={"g": "250", "bf": "3"})
    clips = [event for event in watch(path, PassOptions()) if isinstance(event, Clip)]
    assert [(clip.first, clip.end) for clip in clips] == [(0, 24), (24, 48), (48, 72)]
    for clip, scene in zip(clips, scenes, strict=True):
        options = SpanOptions(start=clip.start, stop=clip.stop, fps=24, frames=(clip.first, clip.end))
        for rgb in pictures(path, options):
            assert np.abs(rgb[..., ::-1].astype(int) - scene).mean() < 8


def corners(rgb: np.ndarray) -> list[str]:
    """The colours at the four corners, clockwise from the top left."""
    height, width = rgb.shape[:2]
    places = (
        (height // 8, width // 8),
        (height // 8, -width // 8),
        (-height // 8, -width // 8),
        (-height // 8, width // 8),
    )
    return ["rgb"[int(np.argmax(rgb[y, x]))] if rgb[y, x].min() < 100 else "w" for y, x in places]


def flag(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """BGR: red, green, blue and white quarters, clockwise from the top left."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 2] = 230
    picture[: height // 2, width // 2 :, 1] = 230
    picture[height // 2 :, width // 2 :, 0] = 230
    picture[height // 2 :, : width // 2] = 230
    return picture


@pytest.mark.parametrize(("rotation", "expected"), [(0, "rgbw"), (90, "gbwr"), (180, "bwrg"), (-90, "wrgb")])
def test_pictures_are_turned_as_displayed(films: Any, rotation: int, expected: str) -> None:
    path = films.make([flag()] * 5, fps=25, rotation=rotation)
    [opened] = [event for event in watch(path, PassOptions()) if isinstance(event, Opened)]
    for rgb in pictures(path, SpanOptions(start=0.0, stop=0.2, fps=25)):
        assert rgb.shape[:2] == tuple(opened.resolution)
        assert "".join(corners(rgb)) == expected


def test_pixels_come_out_square(films: Any) -> None:
    path = films.make([flag()] * 5, fps=25, pixel_aspect=Fraction(3, 2))
    [first, *_] = pictures(path, SpanOptions(start=0.0, stop=0.2, fps=25))
    assert first.shape == (HEIGHT, WIDTH * 3 // 2, 3) and "".join(corners(first)) == "rgbw"


def test_a_crop_is_of_the_displayed_picture(films: Any) -> None:
    path = films.make([flag()] * 5, fps=25, rotation=90)
    options = SpanOptions(start=0.0, stop=0.2, fps=25, crop=(0.5, 0.0, 0.5, 0.5))
    [first, *_] = pictures(path, options)
    assert first.shape == (WIDTH // 2, HEIGHT // 2, 3) and set(corners(first)) == {"b"}


def test_large_pictures_are_shrunk_and_small_ones_left(films: Any) -> None:
    path = films.make([flag()] * 5, fps=25)
    assert pictures(path, SpanOptions(start=0.0, stop=0.2, fps=25, longest_side=80))[0].shape == (48, 80, 3)
    assert pictures(path, SpanOptions(start=0.0, stop=0.2, fps=25, longest_side=800))[0].shape == (HEIGHT, WIDTH, 3)


@given(st.tuples(*[st.floats(-0.2, 1.2)] * 2, *[st.floats(0.0, 1.4)] * 2), st.integers(1, 4000), st.integers(1, 4000))
def test_a_crop_in_pixels_holds_the_crop_in_shares(crop: tuple[float, ...], width: int, height: int) -> None:
    x, y, across, down = crop
    left, top, right, bottom = pixel_box((x, y, across, down), width, height)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    for low, high, share, length, size in ((left, right, x, across, width), (top, bottom, y, down, height)):
        if 0 <= share * size <= size - 1 and share + length <= 1 and length * size >= 1:
            assert low <= share * size + 1e-3 and high >= (share + length) * size - 1e-3
            assert high - low < length * size + 2 + 1e-3


def test_a_shorter_file_than_the_one_that_was_split_is_a_failure(films: Any) -> None:
    path = films.make(numbered(30), fps=25)
    end = ended(path, SpanOptions(start=0.4, stop=1.6, fps=25, frames=(10, 40)))
    assert end.kind == "decode" and "ends at 1.16 s" in (end.message or "")
    end = ended(path, SpanOptions(start=2.0, stop=3.0, fps=25, frames=(50, 75)))
    assert end.kind == "decode"


def test_a_clip_before_the_damage_is_whole(films: Any) -> None:
    path = films.make(numbered(200), fps=25, options={"g": "20", "bf": "0"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) * 9 // 10] = b"\xff" * (len(data) * 9 // 10 - len(data) // 2)
    path.write_bytes(data)
    clips = [event for event in watch(path, PassOptions()) if isinstance(event, Clip)]
    total = 0
    for clip in clips:
        options = SpanOptions(start=clip.start, stop=clip.stop, fps=25, frames=(clip.first, clip.end))
        seen = pictures(path, options)
        assert len(seen) == options.count
        total += len(seen)
    assert 80 < total < 200


def test_what_is_no_video_says_so(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"not a film")
    assert ended(path, SpanOptions(start=0.0, stop=1.0, fps=25)).kind == "unreadable"


def test_long_ways_to_the_span_give_signs_of_life(films: Any) -> None:
    path = films.make(numbered(200), "film.ts", fps=25)
    events = list(show(path, SpanOptions(start=7.2, stop=7.6, fps=25)))
    assert sum(not isinstance(event, Shown | Ended) for event in events) >= 2
    assert sum(isinstance(event, Shown) for event in events) == 10


@pytest.mark.parametrize("name", ["vfr_film.mp4", "rotated.mp4", "delayed_start.mp4", "h265.mp4", "av1.mkv"])
def test_real_media_by_both_ways(shared_media: Path, name: str) -> None:
    path = shared_media / name
    clips = [event for event in watch(path, PassOptions()) if isinstance(event, Clip)]
    for clip in clips[-2:]:
        options = SpanOptions(
            start=clip.start,
            stop=min(clip.stop, clip.start + 1),
            fps=25,
            crop=(0.25, 0.25, 0.5, 0.5),
            longest_side=200,
        )
        reached, whole = pictures(path, options), pictures(path, options, seek=False)
        assert len(reached) == options.count
        assert all(np.array_equal(a, b) for a, b in zip(reached, whole, strict=True))
