"""Captions: everything measured is said in grammatical sentences, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from operators.language.caption import StatedCaption
from tests.drawn_clips import clip, plain

MEASURED: dict[str, Any] = {
    "people": 1, "faces": [1, 1, 0], "person_position": "left", "person_scale": "extreme close-up", "brightness": 0.2,
    "contrast": 0.2, "colourfulness": 60.0, "ocr_score": 0.08, "of_score": 1.0, "motion_residual": 0.3, "pan_x": 0.05,
    "pan_y": 0.0, "zoom": 0.0, "video_fps": 25.0, "keyframe_times": [1.0, 2.0, 3.0],
}  # fmt: skip
BLUE = plain((20, 40, 200))
PAN = [data.coffee()[40:360, left : left + 480] // 2 for left in (20, 44, 68)]  # 0.05 widths a second


def test_everything_measured_is_said():
    [row] = StatedCaption()([clip(*PAN, **MEASURED)])
    assert row["caption"] == (
        "An extreme close-up appears to show one person on the left. The picture is dim and strongly coloured, with "
        "brown, red and black as its main colours. Text covers about 8% of the screen. "
        "The camera seems to pan right slowly."
    )
    assert row["frame_caption"] == [
        "A dim frame with brown, red and black as its main colours, showing what looks like one face.",
        "A dim frame with brown, red and black as its main colours, showing what looks like one face.",
        "A dim frame with brown, red and black as its main colours.",
    ]
    assert row["movement"] == "pan right"
    assert row["speed"] == "moderate"
    assert row["dominant_colours"] == ["brown", "red", "black"]
    assert row["objects"] == ["person", "face", "on-screen text"]
    assert row["background"] is None
    assert row["provenance"]["caption"] == "caption/3"
    assert "background" not in row["provenance"]


def test_a_camera_movement_that_the_keyframes_deny_is_not_said():
    [row] = StatedCaption()([clip(PAN[0], **MEASURED)])
    assert row["movement"] is None
    assert "camera" not in row["caption"]


def test_two_people_and_a_still_camera():
    row = {**MEASURED, "people": 2, "faces": [2, 2, 2], "person_scale": "medium shot", "pan_x": 0.0, "of_score": 0.01}
    [out] = StatedCaption()([clip(BLUE, **row)])
    assert out["caption"].startswith("A medium shot appears to show two people, the larger of them on the left. ")
    assert out["caption"].endswith(" The camera is almost still, and hardly anything moves.")
    assert out["objects"][:2] == ["people", "faces"]


@pytest.mark.parametrize(
    ("missing", "unsaid"),
    [
        (("people",), "show"),
        (("of_score", "pan_x"), "movement"),
        (("pan_x",), "camera"),
        (("ocr_score",), "Text"),
        (("brightness",), "dim"),
        (("contrast",), "contrast"),
        (("colourfulness",), "coloured"),
    ],
)
def test_what_was_not_measured_is_not_said(missing: tuple[str, ...], unsaid: str):
    said = {**MEASURED, "contrast": 0.3, "pan_x": 0.0}
    assert unsaid in StatedCaption().annotate([clip(BLUE, **said)])[0]["caption"]
    [row] = StatedCaption()([clip(BLUE, **{**said, **dict.fromkeys(missing)})])
    assert row["error"] is None
    assert unsaid not in row["caption"]


def test_without_measures_the_colours_are_all_there_is():
    [row] = StatedCaption()([clip(BLUE)])
    assert row["caption"] == "The main colour is blue."
    assert row["objects"] == []
    assert (row["movement"], row["speed"]) == (None, None)


def test_faces_that_make_no_person_are_not_said():
    [row] = StatedCaption()([clip(BLUE, **{**MEASURED, "people": 0, "faces": [0, 0, 1]})])
    assert row["objects"] == ["on-screen text"]
    assert "face" not in " ".join([row["caption"], *row["frame_caption"]])


def test_only_the_borne_out_part_of_a_movement_is_said():
    [row] = StatedCaption()([clip(*PAN, **{**MEASURED, "zoom": -0.02, "pan_y": 0.03})])
    assert row["movement"] == "pan right"
    assert row["caption"].endswith("The camera seems to pan right slowly.")


@pytest.mark.parametrize(("contrast", "movement"), [(0.02, None), (0.2, "static")])
def test_stillness_cannot_be_told_from_a_picture_without_detail(contrast: float, movement: str | None):
    [row] = StatedCaption()([clip(BLUE, **{**MEASURED, "pan_x": 0.0, "contrast": contrast})])
    assert row["movement"] == movement
    assert ("camera" in row["caption"]) == ("movement" in row["caption"]) == (movement is not None)


def maybe(low: float, high: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(low, high)


@settings(deadline=None, max_examples=150)
@given(
    people=st.none() | st.integers(0, 12), faces=st.integers(0, 4), side=st.sampled_from([None, "left", "centre"]),
    scale=st.sampled_from(["", "close-up", "extreme long shot"]), brightness=maybe(0, 1), contrast=maybe(0, 0.5),
    colourfulness=maybe(0, 150), text=maybe(0, 1), motion=maybe(0, 50), residual=maybe(0, 50), pan=maybe(-3, 3),
    zoom=maybe(-3, 3),
)  # fmt: skip
def test_any_measures_give_whole_sentences(
    people: int | None, faces: int, side: str | None, scale: str, brightness: float | None, contrast: float | None,
    colourfulness: float | None, text: float | None, motion: float | None, residual: float | None, pan: float | None,
    zoom: float | None,
):  # fmt: skip
    measures = {
        "people": people, "faces": [faces] * 3, "person_position": side, "person_scale": scale,
        "brightness": brightness,
        "contrast": contrast, "colourfulness": colourfulness, "ocr_score": text, "of_score": motion,
        "motion_residual": residual, "pan_x": pan, "pan_y": pan, "zoom": zoom, "keyframe_times": [0.0, 1.0, 2.0],
    }  # fmt: skip
    [row] = StatedCaption().annotate([clip(*PAN, **measures)])
    for said in (row["caption"], *row["frame_caption"]):
        assert re.fullmatch(r"([A-Z][a-zA-Z0-9 ,%-]+\.)( [A-Z][a-zA-Z0-9 ,%-]+\.)*", said)
        assert "None" not in said
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", said.lower())
    assert not (re.search(r"\b(pan|tilt|zoom)\b", row["caption"]) and re.search("hardly|still", row["caption"]))
    assert row["caption"].count("camera") <= 1


def test_a_broken_keyframe_is_a_row_error():
    [row] = StatedCaption()([{**clip(BLUE), "keyframes": [b"", b"", b""]}])
    assert row["error"]["kind"] == "decode"
