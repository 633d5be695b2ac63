"""Text on the screen: drawn and real titles are read, noise is not, and what is read stays harmless data."""

from __future__ import annotations

import sys
import unicodedata
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from operators.errors import ConfigurationError, MissingExtra
from operators.video import screen_text
from operators.video.screen_text import (
    BETWEEN,
    TEXT_CHARACTERS,
    Line,
    ScreenText,
    ScreenTextSettings,
    coverage,
    joined,
)
from operators.video.text import TextCoverage
from tests.drawn_clips import clip, plain

pytest.importorskip("rapidocr", reason="rapidocr is not installed (extra: models)")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: models)")


@pytest.fixture(scope="module")
def reader() -> ScreenText:
    operator = ScreenText()
    operator.check()
    operator.setup()
    return operator


def titled(*words: str, scale: float = 1.5) -> np.ndarray:
    frame = plain((40, 60, 90), 360, 640)
    for number, line in enumerate(words):
        cv2.putText(frame, line, (40, 90 + 90 * number), cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 3)
    return frame


def test_each_keyframe_has_its_own_words_from_top_to_bottom(reader: ScreenText):
    frames = titled("Coming this summer", "Only in theatres"), data.coffee(), titled("THE END")
    [row] = reader([clip(*frames)])
    assert row["error"] is None
    assert row["screen_text"] == [f"Coming this summer{BETWEEN}Only in theatres", "", "THE END"]
    assert row["provenance"]["screen_text"].startswith("text/1@rapidocr-onnxruntime-1.4.4+rapidocr-3.")


def test_the_area_is_that_of_the_words_and_about_that_of_the_lite_preset(reader: ScreenText):
    words, frame = "Coming this summer", titled("Coming this summer")
    (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, 1.5, 3)
    share = width * height / (360 * 640)
    [row] = reader([clip(frame)])
    lite = TextCoverage()
    lite.setup()
    assert share < row["ocr_score"] < 2.5 * share
    assert row["ocr_score"] == pytest.approx(lite.coverage(frame), rel=0.3)


@pytest.mark.parametrize(
    "frame",
    [data.coffee(), data.chelsea(), data.retina(), data.astronaut()[:200, :200], plain((255, 255, 255), 720, 1280)],
)
def test_pictures_without_text_have_none(reader: ScreenText, frame: np.ndarray):
    [row] = reader([clip(frame)])
    assert row["screen_text"] == ["", "", ""]
    assert row["ocr_score"] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 1280), (1280, 3), (33, 31)])
def test_odd_sizes_have_a_result(reader: ScreenText, shape: tuple[int, int]):
    [row] = reader([clip(plain((50, 99, 20), *shape))])
    assert row["error"] is None
    assert 0 <= row["ocr_score"] <= 1


def test_a_clip_reads_the_same_whatever_came_before_and_in_another_instance(reader: ScreenText):
    one, other = clip(titled("HELLO WORLD")), clip(titled("SOMETHING ELSE", "of another length", scale=1.0))
    alone = reader.annotate([one])
    fresh = ScreenText()
    fresh.setup()
    assert fresh.annotate([other, one])[1:] == alone == reader.annotate([one])


def test_a_lone_letter_is_not_text_and_a_lone_sign_of_a_script_without_letters_is(reader: ScreenText):
    corners, found = np.zeros((1, 4, 2), np.float32), SimpleNamespace(scores=(0.99,))
    for word, kept in (("O", False), ("2", False), (" X ", False), ("OK", True), ("大", True)):
        found.boxes, found.txts = corners, (word,)
        reader_of_one = ScreenText()
        reader_of_one._engine = lambda picture: found
        assert bool(reader_of_one.lines(plain((1, 2, 3)))) == kept, word


def test_the_confidence_floor_leaves_words_out_and_the_area_alone(reader: ScreenText):
    frame = titled("PLAIN WORDS")
    cv2.putText(frame, "~w1l.", (500, 340), cv2.FONT_HERSHEY_SCRIPT_COMPLEX, 0.5, (60, 80, 110), 1)
    sources = [clip(frame)]
    open_floor, strict = (ScreenText(ScreenTextSettings(min_confidence=floor)) for floor in (0.0, 1.0))
    for operator in (open_floor, strict):
        operator.setup()
    [every], [none] = open_floor.annotate(sources), strict.annotate(sources)
    assert "PLAIN WORDS" in every["screen_text"][0]
    assert none["screen_text"] == ["", "", ""]
    assert every["ocr_score"] == none["ocr_score"] > 0


def test_a_broken_keyframe_is_a_row_error(reader: ScreenText):
    [row] = reader([{**clip(data.coffee()), "keyframes": [b"?"]}])
    assert row["error"]["kind"] == "decode"


@given(st.lists(st.text()))
def test_text_of_any_kind_becomes_one_short_line_without_unseen_characters(texts: list[str]):
    found = joined(texts)
    assert len(found) <= TEXT_CHARACTERS
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for char in found)
    assert found == found.strip()


def test_a_frame_full_of_text_is_cut():
    assert joined(["x" * 10_000]) == "x" * 200
    assert len(joined(["word " * 30] * 500)) <= TEXT_CHARACTERS


def test_networks_that_do_not_load_are_an_error_at_setup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    broken = tmp_path / "recogniser.onnx"
    broken.write_bytes(b"no network")
    monkeypatch.setattr(screen_text, "_recogniser", lambda: broken)
    with pytest.raises(ConfigurationError, match="cannot load its networks"):
        ScreenText().setup()


def test_overlapping_boxes_count_once():
    corners = np.array([[0, 0], [9, 0], [9, 4], [0, 4]], np.float32)
    lines = [Line(corners, "a", 1.0), Line(corners, "b", 0.2)]
    assert coverage((10, 10), lines) == 0.5


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(screen_text, "_package", lambda: None)
    with pytest.raises(MissingExtra, match=r"rushes\[models\]"):
        ScreenText().check()


def test_without_its_runtime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rapidocr"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtra, match=r"onnxruntime.*rushes\[models\]"):
        ScreenText().setup()


def test_a_package_without_the_networks_is_an_error_before_the_cluster_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(screen_text, "_package", lambda: tmp_path)
    with pytest.raises(ConfigurationError, match=r"PP-OCRv6_rec_small\.onnx.*install rapidocr"):
        ScreenText().check()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tapping.mp4", ["泰式邦一拍灵之拍打胃部"]),
        ("cartoon.mp4", ["YOUKU", "我一下就把你们逮住了"]),
        ("leaf_cuts.mp4", ["www.bcastell.com"]),
        ("great_wall.mp4", []),
    ],
)
def test_titles_and_subtitles_of_real_video(reader: ScreenText, shared_media: Path, name: str, words: list[str]):
    with av.open(str(shared_media / name)) as container:
        frames = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in islice(container.decode(video=0), 61)
        ]
    [row] = reader([clip(frames[10], frames[30], frames[60])])
    found = " ".join(row["screen_text"])
    assert all(word in found for word in words), found
    assert words or not found.strip()
