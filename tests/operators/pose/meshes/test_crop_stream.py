"""Crops decoded ahead: in order, bounded, and gone when nobody wants them any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from operators.contract import Media
from operators.pose.meshes.crop_stream import CropReaders, Cut, Failed, Wanted
from operators.pose.meshes.person_crops import PersonCrops
from operators.video.span_frames import Limits

FRAMES, SIZE = 40, (16, 16)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Each frame is brighter than the one before."""
    path = tmp_path_factory.mktemp("films") / "ramp.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in range(FRAMES):
            picture = np.full((48, 64, 3), 5 * frame, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@contextmanager
def open_media(uri: str) -> Iterator[Media]:
    yield Media(path=Path(uri), size=1, etag="e")


def wanted(number: int, path: Path | str) -> Wanted:
    centres, sizes = np.full((FRAMES, 2), 24.0), np.full((FRAMES, 2), 20.0)
    crops = PersonCrops(centres=centres, sizes=sizes, seen=np.ones(FRAMES, bool), width=64, height=48)
    row = {"video_path": str(path), "clip_start_end_time": [0.0, 2.0], "clip_start_end_idx": [0, FRAMES], "fps": 20.0}
    return Wanted(number, row, crops)


@pytest.fixture(params=[1, 3])
def readers(request) -> Iterator[CropReaders]:
    made = CropReaders(open_media, Limits(owner="lift.decoding"), request.param, ahead=5)
    yield made
    made.close()


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("crops-")}


def test_crops_come_clip_by_clip_and_frame_by_frame(readers, film):
    found = [item for item in readers.read([wanted(n, film) for n in range(4)], SIZE) if isinstance(item, Cut)]
    assert [(item.number, item.frame) for item in found] == [(n, f) for n in range(4) for f in range(FRAMES)]
    assert all(item.crop.shape == (*SIZE, 3) for item in found)
    brightness = np.array([item.crop.mean() for item in found]).reshape(4, FRAMES)
    np.testing.assert_allclose(brightness, np.tile(5.0 * np.arange(FRAMES), (4, 1)), atol=3)
    assert not running()


def test_a_clip_that_cannot_be_read_is_told_in_its_place(readers, film, tmp_path):
    found = list(readers.read([wanted(0, film), wanted(1, tmp_path / "gone.mp4"), wanted(2, film)], SIZE))
    assert [item.number for item in found] == [0] * FRAMES + [1] + [2] * FRAMES
    assert isinstance(found[FRAMES], Failed)
    assert found[FRAMES].failure.kind == "unreadable"


def test_stopping_half_way_leaves_no_thread_and_the_readers_at_hand(readers, film):
    for _ in range(2):
        with closing(readers.read([wanted(n, film) for n in range(4)], SIZE)) as items:
            for _ in range(7):
                next(items)
        assert not running()
    assert len(list(readers.read([wanted(0, film)], SIZE))) == FRAMES


def test_what_is_no_failure_of_a_row_is_raised_where_crops_are_taken(film):
    @contextmanager
    def broken(uri: str) -> Iterator[Media]:
        raise ZeroDivisionError(uri)
        yield  # pragma: no cover

    made = CropReaders(broken, Limits(), 2, ahead=5)
    with pytest.raises(ZeroDivisionError):
        list(made.read([wanted(0, film), wanted(1, film)], SIZE))
    assert not running()
    made.close()


def test_no_clips_no_crops(readers):
    assert list(readers.read([], SIZE)) == []
