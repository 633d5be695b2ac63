"""Words for measures, and silence where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest

from operators.language import phrases

STEADY: dict[str, Any] = {"pan_x": 0.0, "pan_y": 0.0, "zoom": 0.0, "of_score": 0.02, "motion_residual": 0.01}


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        ({}, "static", "The camera is almost still."),
        ({"pan_x": 0.05}, "pan right", "The camera appears to pan right slowly."),
        ({"pan_x": -0.3}, "pan left", "The camera appears to pan left quickly."),
        ({"pan_y": 0.15}, "tilt down", "The camera appears to tilt down."),
        ({"pan_y": -0.05, "zoom": 0.05}, "tilt up and zoom in", "The camera appears to tilt up and zoom in slowly."),
        (
            {"pan_x": 0.3, "pan_y": 0.05, "zoom": -0.05},
            "pan right, tilt down and zoom out",
            "The camera appears to pan right, tilt down and zoom out quickly.",
        ),
        ({"of_score": 2.0, "motion_residual": 1.9}, "static", "The camera is almost still."),
        ({"of_score": 3.0, "motion_residual": 0.3}, None, None),
        ({"pan_x": None}, None, None),
        ({"zoom": None}, None, None),
    ],
)
def test_camera_movement(change: dict[str, Any], words: str | None, sentence: str | None):
    row = {**STEADY, **change}
    moves = phrases.moves(row)
    assert phrases.movement(moves) == words
    assert phrases.camera_sentence(row, moves) == sentence


@pytest.mark.parametrize(
    ("score", "fps", "pace"),
    [
        (None, 25, None),
        (0.0, 25, "still"),
        (0.5, 25, "slow"),
        (1.0, None, "moderate"),
        (4.0, 25, "fast"),
        (1.3, 60, "fast"),
    ],
)
def test_pace_counts_per_second_and_not_per_frame(score: float | None, fps: float | None, pace: str | None):
    assert phrases.pace({"of_score": score, "video_fps": fps}) == pace


@pytest.mark.parametrize(
    ("brightness", "word"), [(None, None), (0.02, "dark"), (0.2, "dim"), (0.5, "evenly lit"), (0.8, "bright")]
)
def test_light(brightness: float | None, word: str | None):
    assert phrases.light(brightness) == word


@pytest.mark.parametrize(
    ("colourfulness", "colours", "words"),
    [
        (None, [], None),
        (None, ["red"], "mainly red colours"),
        (1.0, ["grey"], "hardly any colour"),
        (20.0, ["grey", "brown"], "muted colours, mainly grey and brown"),
        (40.0, [], "moderate colours"),
        (100.0, ["red", "green", "blue"], "vivid colours, mainly red, green and blue"),
    ],
)
def test_palette(colourfulness: float | None, colours: list[str], words: str | None):
    assert phrases.palette(colourfulness, colours) == words


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (None, None),
        (0.0, None),
        (0.01, "Some text is on the screen."),
        (0.123, "Text covers about 12 % of the screen."),
    ],
)
def test_text(share: float | None, sentence: str | None):
    assert phrases.text_sentence(share) == sentence


def test_small_words():
    assert [phrases.number(count) for count in (0, 1, 9, 10)] == ["no", "one", "nine", "10"]
    assert phrases.listing([]) == ""
    assert phrases.listing(["a", "b", "c"]) == "a, b and c"
    assert [phrases.with_article(word) for word in ("evenly lit picture", "dim picture")] == [
        "an evenly lit picture",
        "a dim picture",
    ]
