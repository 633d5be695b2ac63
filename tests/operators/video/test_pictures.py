"""Operators on keyframes: every picture once and in order, portions that fit, clips that fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from operators.columns import select
from operators.contract import Row
from operators.errors import ConfigurationError
from operators.models.files import ModelFiles
from operators.video.pictures import PictureOperator, PictureSettings, shorter_side
from operators.video.stills import RGB
from tests.drawn_clips import assorted, clip, plain

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")


class MeanRed(PictureOperator):
    """Mean of the red channel, and a limit on how many pictures fit."""

    name = "red"
    writes = select("aesthetic_score")

    def __init__(self, settings: PictureSettings, *, portion: int = 8, fits: int = 1000) -> None:
        super().__init__(settings)
        self.portion, self.side, self.fits = portion, 64, fits
        self.calls: list[int] = []
        self.shapes: list[tuple[int, ...]] = []

    def files(self) -> tuple[ModelFiles, ...]:
        return ()

    def look(self, pictures: Sequence[RGB]) -> list[float]:
        self.calls.append(len(pictures))
        self.shapes += [picture.shape for picture in pictures]
        if len(pictures) > self.fits:
            raise torch.OutOfMemoryError("tried to allocate")
        if any(picture[..., 0].mean() > 250 for picture in pictures):
            raise ZeroDivisionError("nothing but red")
        return [float(picture[..., 0].mean()) for picture in pictures]

    def results(self, seen: Sequence[list[float]]) -> list[float]:
        return [value for values in seen for value in values]

    def columns(self, found: Sequence[float]) -> Row:
        return {"aesthetic_score": list(found)}


def red(**options: Any) -> MeanRed:
    operator = MeanRed(PictureSettings(device="cpu", batch=32), **options)
    operator.setup()
    return operator


def test_every_picture_is_looked_at_once_in_portions_across_clips():
    operator, clips = red(portion=8), assorted(7)
    whole = [row["aesthetic_score"] for row in operator(clips)]
    assert operator.calls == [8, 8, 5]
    alone = [row["aesthetic_score"] for one in clips for row in red()([one])]
    assert whole == alone


def test_broken_and_missing_keyframes_fail_their_clips_and_no_other():
    clips = assorted(32)
    whole = clips[3]["keyframes"]
    clips[3] = {**clips[3], "keyframes": [whole[0], b"\xff\xd8 broken", whole[2]]}
    clips[17] = {**clips[17], "keyframes": None}
    clips[31] = {**clips[31], "keyframes": [whole[0], whole[1], whole[2][:-40]]}
    rows = list(red()(clips))
    failed = {number: row["error"]["kind"] for number, row in enumerate(rows) if row["error"]}
    assert failed == {3: "decode", 17: "decode", 31: "decode"}
    assert rows[4]["aesthetic_score"] == next(iter(red()([clips[4]])))["aesthetic_score"]


def test_a_picture_that_the_model_cannot_bear_fails_its_clip_alone():
    clips = assorted(9)
    clips[5] = clip(plain((255, 0, 0)))
    rows = list(red()(clips))
    assert [row["error"] and row["error"]["kind"] for row in rows] == [None] * 5 + ["model"] + [None] * 3
    assert "ZeroDivisionError" in rows[5]["error"]["message"]


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_are_smaller():
    operator, clips = red(portion=30, fits=6), assorted(10)
    rows = list(operator(clips))
    assert [row["error"] for row in rows] == [None] * 10
    assert [row["aesthetic_score"] for row in rows] == [row["aesthetic_score"] for row in red()(clips)]
    operator.calls.clear()
    list(operator(assorted(10, seed=1)))
    assert max(operator.calls) <= 6


def test_very_long_pictures_are_cut_to_their_middle():
    operator = red()
    stripes = np.zeros((20, 1280, 3), np.uint8)
    stripes[:, 580:700] = (200, 0, 0)
    [row] = operator([clip(stripes)])
    assert operator.shapes == [(20, 120, 3)] * 3
    assert row["aesthetic_score"] == pytest.approx([200] * 3, abs=3)


def test_large_pictures_are_decoded_no_larger_than_needed():
    operator = red()
    list(operator([clip(plain((9, 9, 9), 720, 1280))]))
    assert operator.shapes == [(180, 320, 3)] * 3


def test_where_and_how_fast_it_runs_is_not_in_the_fingerprint():
    slow, quick = PictureSettings(device="cpu"), PictureSettings(device="cpu", threads=8, batch=3)
    assert slow.identity() == quick.identity()


@pytest.mark.parametrize(
    ("size", "side"),
    [({"shortest_edge": 224}, 224), ({"height": 384, "width": 320}, 320), ({"shortest_edge": 30, "height": None}, 30)],
)
def test_the_side_is_read_from_the_processor(size: dict[str, int], side: int):
    assert shorter_side(SimpleNamespace(size=size)) == side


def test_a_processor_of_an_unknown_kind_is_an_error():
    with pytest.raises(ConfigurationError, match="names no size"):
        shorter_side(SimpleNamespace(size={"max_pixels": 9}))
