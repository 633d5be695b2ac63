"""Packets of files with holes in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operators.errors import ErrorKind, RowFailure
from operators.video.packets import CORRUPT_IN_A_ROW, Packets
from operators.video.stream import open_video


def damaged(film: Path, spans: list[tuple[float, float]]) -> Path:
    """The file with these shares of its bytes, of all but the header, set to 0xFF."""
    data = bytearray(film.read_bytes())
    for first, last in spans:
        begin, end = int(first * len(data)), int(last * len(data))
        data[begin:end] = b"\xff" * (end - begin)
    film.write_bytes(data)
    return film


def film(films: Any, frames: int) -> Path:
    pictures = [films.texture(n % 3, 160, 96) for n in range(frames)]
    options = {"g": "1", "bf": "0"}
    return films.make(pictures, "holes.mp4", codec="libx264", options=options)


def decoded(path: Path) -> tuple[int, Packets]:
    with open_video(path) as video:
        packets = Packets(video, [video.video], lambda: 1.5)
        return sum(len(packets.decode(packet)) for packet in packets), packets


def test_a_whole_file_gives_every_frame(films: Any):
    frames, packets = decoded(film(films, 30))
    assert (frames, packets.failures) == (30, 0)


def test_single_failures_are_passed_over(films: Any):
    frames, packets = decoded(damaged(film(films, 60), [(0.5, 0.55)]))
    assert 0 < packets.failures < CORRUPT_IN_A_ROW
    assert 50 <= frames < 60


def test_a_long_run_of_failures_is_the_end(films: Any):
    path = damaged(film(films, 4 * CORRUPT_IN_A_ROW), [(0.2, 0.9)])
    with pytest.raises(RowFailure, match=r"damaged after 1\.50 s .*fetch the file again") as failure:
        decoded(path)
    assert failure.value.kind is ErrorKind.DECODE
