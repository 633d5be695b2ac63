"""Text coverage: drawn text is found where it is, and pictures without text score nothing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from operators.video.text import TextCoverage, TextSettings, boxes
from tests.drawn_clips import clip, plain


@pytest.fixture(scope="module")
def text() -> TextCoverage:
    operator = TextCoverage()
    operator.setup()
    return operator


def titled(words: str, scale: float = 2.0, at: tuple[int, int] = (40, 200)) -> np.ndarray:
    frame = plain((40, 60, 90), 360, 640)
    cv2.putText(frame, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 4)
    return frame


def test_the_score_is_about_the_area_of_the_words(text: TextCoverage):
    words, scale = "Coming this summer", 1.8
    (width, height), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 4)
    share = width * height / (360 * 640)
    assert share < text.coverage(titled(words, scale)) < 2.5 * share


def test_boxes_lie_where_the_words_are(text: TextCoverage):
    probability = text.probability(titled("TRAILER", at=(300, 330)))
    corners = np.concatenate(boxes(probability, 0.6)) / probability.shape[::-1]
    assert corners[:, 0].min() > 0.4
    assert corners[:, 1].min() > 0.6


@pytest.mark.parametrize("frame", [data.astronaut()[:200, :200], data.coffee(), data.chelsea(), plain((0, 0, 0))])
def test_pictures_without_text_score_nothing(text: TextCoverage, frame: np.ndarray):
    assert text.coverage(frame) == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 3), (33, 31)])
def test_odd_sizes_have_a_score(text: TextCoverage, shape: tuple[int, int]):
    [row] = text([clip(plain((50, 99, 20), *shape))])
    assert row["error"] is None
    assert 0 <= row["ocr_score"] <= 1


def test_the_mean_over_keyframes_whatever_the_batch_or_the_instance(text: TextCoverage):
    mixed, bare = clip(titled("HELLO"), plain((1, 2, 3)), plain((1, 2, 3))), clip(data.coffee())
    one = text.annotate([mixed])[0]["ocr_score"]
    # JPEG changes a few pixels of the drawn frame.
    assert one == pytest.approx(text.coverage(titled("HELLO")) / 3, abs=0.01)
    fresh = TextCoverage()
    fresh.setup()
    assert [row["ocr_score"] for row in fresh.annotate([bare, mixed])][1] == one


def test_a_stricter_score_finds_no_more(text: TextCoverage):
    strict = TextCoverage(TextSettings(min_score=0.95))
    strict.setup()
    frame = titled("Coming this summer", 1.0)
    assert strict.coverage(frame) <= text.coverage(frame)


def test_a_broken_keyframe_is_a_row_error(text: TextCoverage):
    [row] = text([{**clip(data.coffee()), "keyframes": [b"?"]}])
    assert row["error"]["kind"] == "decode"


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("tapping.mp4", 0.03, 0.4),
        ("cartoon.mp4", 0.01, 0.2),
        ("two_women_talking.mp4", 0.01, 0.2),
        ("great_wall.mp4", 0, 0.002),
    ],
)
def test_titles_and_subtitles_of_real_video(
    text: TextCoverage, shared_media: Path, name: str, least: float, most: float
):
    with av.open(str(shared_media / name)) as container:
        frames = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in islice(container.decode(video=0), 90)
        ]
    scores = [text.coverage(frame) for frame in frames[::30]]
    assert least <= float(np.mean(scores)) <= most
