"""The README's picture says what the rows say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import ImageColor

from samples import picture

RATE, SECONDS = 10, 6


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Six seconds, 160×96; frame n is grey of level 40 + 3n."""
    target = tmp_path / "grey.mp4"
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for index in range(RATE * SECONDS):
            frame = av.VideoFrame.from_ndarray(np.full((96, 160, 3), 40 + 3 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target


def clip(index: int, start: float, end: float, tier: str | None, **facts: Any) -> picture.Clip:
    row = dict.fromkeys(picture.COLUMNS)
    length = end - start
    return {
        **row,
        "clip_index": index,
        "clip_start_end_time": [start, end],
        "keyframe_times": [round(start + share * length, 1) for share in (0.2, 0.5, 0.8)],
        "tier": tier,
        "merge_caption": "The picture is dark." if tier else None,
        **facts,
    }


def clips() -> list[picture.Clip]:
    return [
        clip(0, 0, 3, "hq", people=1, transcript="hello", speech_spans=[[1.0, 2.0]]),
        clip(1, 3, 5, "visual", music_share=1.0, tempo=120.0, key="A minor"),
        clip(2, 5, 6, None),
    ]


def test_keyframes_are_the_frames_of_their_times(video: Path) -> None:
    found = picture.keyframes(str(video), clips())
    assert sorted(found) == [0.6, 1.5, 2.4, 3.4, 4.0, 4.6, 5.2, 5.5, 5.8]
    for time, image in found.items():
        assert np.asarray(image).mean() == pytest.approx(40 + 3 * time * RATE, abs=2)


def test_tiers_and_lanes_lie_at_their_times(video: Path) -> None:
    rows = clips()
    drawn = picture.draw(rows, rows[:1], picture.keyframes(str(video), rows), "title")
    sheet = picture.Sheet(rows, {}, 10)
    assert drawn.width == picture.WIDTH
    below = picture.STRIP_TOP + picture.STRIP_HEIGHT + 8
    for row in rows:
        x = sheet.x(sum(row["clip_start_end_time"]) / 2)
        assert drawn.getpixel((x, below)) == ImageColor.getrgb(picture.TIERS[row["tier"]])

    def spread(colour: str) -> tuple[float, float]:
        """First and last second at which a lane has this colour."""
        lanes = np.asarray(drawn)[below + 12 : below + 12 + 5 * picture.LANE]
        columns = np.flatnonzero((lanes == ImageColor.getrgb(colour)).all(axis=2).any(axis=0))
        return tuple((columns[[0, -1]] - sheet.left) / sheet.per_second)

    assert spread(picture.SPEECH) == pytest.approx((1, 2), abs=0.05)
    assert spread(picture.MUSIC) == pytest.approx((3, 5), abs=0.05)
    assert spread(picture.PEOPLE) == pytest.approx((0, 3), abs=0.05)


def test_richest_shows_a_person_and_the_clip_most_is_known_of() -> None:
    rows = [*clips(), clip(3, 6, 9, "hq", transcript="words", key="A minor", tempo=120.0)]
    assert [row["clip_index"] for row in picture.richest(rows)] == [0, 3]


def test_sentences_take_the_colour_of_what_they_are_about(video: Path) -> None:
    rows = clips()
    rows[0]["merge_caption"] = "It is dark. The soundtrack carries music. What is said is “hello”."
    drawn = picture.draw(rows, rows[:1], picture.keyframes(str(video), rows), "title")
    caption = np.asarray(drawn)[-60:].reshape(-1, 3)
    colours = set(map(tuple, caption.tolist()))
    assert {ImageColor.getrgb(name) for name in (picture.INK, picture.MUSIC, picture.SPEECH)} <= colours


def test_a_folder_without_a_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert picture.main([str(tmp_path / "nothing"), "--to", str(tmp_path / "p.png")]) == 2
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "p.png").exists()
