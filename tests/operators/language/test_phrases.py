"""Words for measures, and silence where nothing was measured."""

from __future__ import annotations

from typing import Any

import pytest

from operators.language import phrases

STEADY: dict[str, Any] = {"pan_x": 0.0, "pan_y": 0.0, "zoom": 0.0, "of_score": 0.02, "motion_residual": 0.01}


@pytest.mark.parametrize(
    ("change", "words", "sentence"),
    [
        ({}, "static", "The camera is almost still, and hardly anything moves."),
        ({"pan_x": 0.05}, "pan right", "The camera seems to pan right slowly."),
        ({"pan_x": -0.3}, "pan left", "The camera seems to pan left quickly."),
        ({"pan_y": 0.15}, "tilt down", "The camera seems to tilt down."),
        ({"pan_y": -0.05, "zoom": 0.05}, "tilt up and zoom in", "The camera seems to tilt up and zoom in slowly."),
        (
            {"pan_x": 0.3, "pan_y": 0.05, "zoom": -0.05},
            "pan right, tilt down and zoom out",
            "The camera seems to pan right, tilt down and zoom out quickly.",
        ),
        (
            {"of_score": 2.0, "motion_residual": 1.9},
            "static",
            "The camera is almost still, with moderate movement in the picture.",
        ),
        (
            {"pan_x": 0.05, "of_score": 3.0, "motion_residual": 2.6},
            "pan right",
            "The camera seems to pan right slowly, with fast movement in the picture besides.",
        ),
        ({"zoom": 0.02}, "zoom in", "The camera seems to zoom in slowly."),
        ({"zoom": 0.009}, "static", "The camera is almost still, and hardly anything moves."),
        ({"of_score": 3.0, "motion_residual": 0.3}, None, "There is fast movement in the picture."),
        ({"pan_x": None}, None, "Hardly anything moves."),
        ({"zoom": None, "of_score": None}, None, None),
        ({"of_score": None}, "static", "The camera is almost still."),
    ],
)
def test_camera_movement(change: dict[str, Any], words: str | None, sentence: str | None):
    row = {**STEADY, **change}
    moves = phrases.moves(row)
    assert phrases.movement(moves) == words
    assert phrases.motion_sentence(row, moves) == sentence


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
    ("brightness", "word"), [(None, None), (0.02, "dark"), (0.2, "dim"), (0.5, None), (0.8, "bright")]
)
def test_light(brightness: float | None, word: str | None):
    assert phrases.light(brightness) == word


@pytest.mark.parametrize(
    ("colourfulness", "colours", "words"),
    [
        (None, ["red"], None),
        (1.0, ["grey"], "almost colourless"),
        (5.0, ["brown"], "muted in colour"),
        (20.0, ["grey", "brown"], "muted in colour"),
        (40.0, [], None),
        (60.0, [], "strongly coloured"),
        (100.0, ["red"], "vividly coloured"),
    ],
)
def test_strength(colourfulness: float | None, colours: list[str], words: str | None):
    assert phrases.strength(colourfulness, colours) == words


def test_main_colours():
    assert phrases.main_colours(["red"]) == "red as its main colour"
    assert phrases.main_colours(["red", "blue"]) == "red and blue as its main colours"


@pytest.mark.parametrize(
    ("share", "much", "long"),
    [
        (0.0, "a small part", "for a small part of the time"),
        (0.15, "part", "for part of the time"),
        (0.5, "about half", "for about half of the time"),
        (0.6, "most", "for most of the time"),
        (0.95, "all", "throughout"),
        (1.0, "all", "throughout"),
    ],
)
def test_proportions(share: float, much: str, long: str):
    assert phrases.proportion(share) == much
    assert phrases.lasting(share) == long


@pytest.mark.parametrize(
    ("tempo", "key", "level", "words"),
    [
        (None, None, "", "music"),
        (75.9, "A minor", "quiet", "slow, quiet music in A minor"),
        (76, None, "", "mid-tempo music"),
        (120, None, "loud", "fast, loud music"),
        (None, None, "loud", "loud music"),
    ],
)
def test_music(tempo: float | None, key: str | None, level: str, words: str):
    assert phrases.music(tempo, key, level) == words


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (None, None),
        (0.0, None),
        (0.01, "Some text is on the screen."),
        (0.123, "Text covers about 12% of the screen."),
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
