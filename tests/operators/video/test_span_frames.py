"""Frames of spans out of the decoding process: the same as in this one, and alive after its deaths."""

from __future__ import annotations

import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from operators.errors import ErrorKind, RowFailure
from operators.video.decoding import Limits
from operators.video.span_frames import SpanFrames, frame_count

LIMITS = Limits(owner="landmarks")


@pytest.fixture(scope="session")
def film(lasting_films: Any) -> Path:
    """Four seconds of a texture that changes, larger than the pipe holds."""
    pictures = [lasting_films.texture(n, 640, 480) for n in range(40)]
    return lasting_films.make(pictures, "textures.mp4", fps=10, options={"g": "10"})


def test_frames_are_counted_by_duration_and_rate() -> None:
    assert frame_count((0.0, 10.0), 30) == 300
    assert frame_count((1.5, 1.51), 25) == 1
    assert frame_count((2.0, 3.019), 25) == 25


def test_the_child_shows_what_this_process_shows(film: Path) -> None:
    with SpanFrames(LIMITS) as frames, SpanFrames(isolate=False) as here:
        for span, crop in (((0.5, 2.5), None), ((3.0, 4.0), (0.25, 0.0, 0.5, 1.0))):
            there = list(frames.read(film, span, fps=20, crop=crop, longest_side=400))
            assert [index for index, _ in there] == list(range(frame_count(span, 20)))
            for (_, a), (_, b) in zip(there, here.read(film, span, fps=20, crop=crop, longest_side=400), strict=True):
                assert a.dtype == np.uint8 and a.flags.c_contiguous and not a.flags.writeable
                assert np.array_equal(a, b)


def test_a_standing_picture_is_the_same_array(film: Path) -> None:
    with SpanFrames(LIMITS) as frames:
        seen = [rgb for _, rgb in frames.read(film, (0.0, 1.0), fps=30)]
    assert [index for index in range(1, 30) if seen[index] is not seen[index - 1]] == list(range(3, 30, 3))


def test_failures_come_as_row_failures_and_the_child_serves_on(film: Path, tmp_path: Path) -> None:
    with SpanFrames(LIMITS) as frames:
        with pytest.raises(RowFailure) as missing:
            list(frames.read(tmp_path / "none.mp4", (0.0, 1.0), fps=25))
        assert missing.value.kind is ErrorKind.UNREADABLE
        pid = frames.pid
        assert len(list(frames.read(film, (0.0, 1.0), fps=25))) == 25
        assert frames.pid == pid is not None


def test_a_killed_child_costs_its_span_only(film: Path) -> None:
    with SpanFrames(LIMITS) as frames:
        reading = frames.read(film, (0.0, 4.0), fps=25)
        next(reading)
        assert frames.pid is not None
        os.kill(frames.pid, signal.SIGKILL)
        with pytest.raises(RowFailure, match="SIGKILL") as death:
            list(reading)
        assert death.value.kind is ErrorKind.WORKER_DIED
        assert len(list(frames.read(film, (0.0, 1.0), fps=25))) == 25


def test_a_child_that_hangs_is_killed_and_the_operators_setting_named(film: Path) -> None:
    with SpanFrames(Limits(owner="landmarks")) as frames:
        reading = frames.read(film, (0.0, 4.0), fps=25)
        next(reading)
        assert frames.pid is not None and frames._process is not None
        frames._process._limits = Limits(owner="landmarks", stall_seconds=1.0)  # not while the child starts
        os.kill(stopped := frames.pid, signal.SIGSTOP)
        with pytest.raises(RowFailure, match=r"landmarks\.stall_seconds") as stall:
            list(reading)
        assert stall.value.kind is ErrorKind.TIMEOUT
        assert not psutil.pid_exists(stopped)


def test_memory_is_limited(films: Any) -> None:
    big = films.make([films.scene(1, 3840, 2160)] * 12, options={"preset": "ultrafast"})
    with SpanFrames(Limits(owner="landmarks", memory_mb=150)) as frames:
        with pytest.raises(RowFailure, match=r"landmarks\.memory_mb") as failure:
            list(frames.read(big, (0.0, 0.48), fps=25))
        assert failure.value.kind is ErrorKind.OUT_OF_MEMORY


def test_a_reader_who_leaves_early_leaves_no_child_at_work(film: Path) -> None:
    with SpanFrames(LIMITS) as frames:
        reading = frames.read(film, (0.0, 4.0), fps=25)
        next(reading)
        reading.close()  # type: ignore[attr-defined]
        assert frames.pid is None
        assert len(list(frames.read(film, (0.0, 1.0), fps=25))) == 25
    assert frames.pid is None


def test_it_crosses_processes(film: Path) -> None:
    with pickle.loads(pickle.dumps(SpanFrames(LIMITS))) as frames:
        assert len(list(frames.read(film, (0.0, 1.0), fps=25))) == 25
