from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ImageColor, ImageFont

from jobs.preview_panel import (
    ACCENT,
    CAPTION_TOP,
    FOOT_TOP,
    GROUND,
    HEIGHT,
    HIT,
    MARGIN,
    MARKED,
    PHONES_TOP,
    QUIET,
    RAIL_TOP,
    USABLE,
    VOID,
    Panel,
    _lines,
    _told,
)
from operators.pose.gates import PoseGates
from operators.pose.motion.frame_spans import as_span
from operators.pose.skeleton import JOINT
from tests.talking_poses import talking_row

WIDTH = 324  # the clip's 300 frames are a pixel each


def row(**columns: Any) -> dict[str, Any]:
    return {
        "clip_id": "v_0000000",
        "fps": 30.0,
        "frame_mask": [True] * 300,
        "usable_spans": [as_span((0, 300), 30)],
        "gates": [],
        "words": [word("ask", 1.0, 1.4), word("not", 1.4, 2.0), word("what", 5.0, 6.0)],
        "phonemes": [{"phoneme": "AE", "start": 1.0, "end": 1.2, "word": 0}],
        **columns,
    }


def word(text: str, start: float, end: float) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end, "confidence": 1.0}


def gated(quarantine: int = 15) -> dict[str, Any]:
    clip = talking_row(300)
    clip["raw_poses"][100:, JOINT["head"], 0] = 0.8
    clip["reprojection_error"][250:260] = 0.3
    (found,) = PoseGates(PoseGates.Settings(quarantine=quarantine)).annotate([clip])
    assert isinstance(found, dict)
    return row(**found)


def colours(picture: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}


def rgb(name: str) -> tuple[int, ...]:
    return ImageColor.getrgb(name)


def test_the_rail_shows_what_is_usable_and_why_the_rest_is_not():
    below = Panel(gated(), WIDTH, 300).below(0)
    assert below.shape == (HEIGHT, WIDTH, 3)
    rail = below[RAIL_TOP + 2]
    shown = {frame: tuple(rail[MARGIN + frame]) for frame in (101, 200, 255, 290)}
    assert shown[101] == rgb(VOID)
    assert shown[200] == rgb(USABLE)
    assert shown[255] == rgb(MARKED)
    assert shown[290] not in {rgb(USABLE), rgb(VOID), rgb(MARKED)}
    assert tuple(below[RAIL_TOP + 12, MARGIN + 100]) == rgb(HIT)


def test_the_legend_names_what_the_clip_has_and_leaves_the_name_its_room():
    plain = Panel(row(clip_id="v" * 200), WIDTH, 300).below(0)[FOOT_TOP:]
    full = Panel(gated() | {"clip_id": "v" * 200}, WIDTH, 300).below(0)[FOOT_TOP:]
    assert rgb(USABLE) in colours(plain) and rgb(VOID) not in colours(plain)
    assert {rgb(USABLE), rgb(VOID), rgb(MARKED), rgb(HIT)} <= colours(full)
    for foot in (plain, full):
        square = int(np.flatnonzero((foot == rgb(USABLE)).all(axis=2).any(axis=0))[0])
        assert (foot[:, square - 6 : square] == rgb(GROUND)).all()


def test_the_playhead_moves_with_the_frame():
    rails = [Panel(row(), WIDTH, 300).below(frame)[RAIL_TOP - 2] for frame in (10, 200)]
    assert [int(np.flatnonzero(rail.max(axis=1) > 200)[0]) - MARGIN for rail in rails] == pytest.approx(
        [10, 200], abs=2
    )


def test_a_frame_that_passed_is_left_alone():
    picture = np.full((90, WIDTH, 3), 128, np.uint8)
    assert Panel(row(), WIDTH, 300).over(picture, 5) is picture
    assert (
        Panel(row(usable_spans=None, gates=None, frame_mask=None, words=None), WIDTH, 300).over(picture, 5) is picture
    )


@pytest.mark.parametrize(("frame", "border"), [(101, HIT), (110, HIT), (255, HIT), (262, MARKED)])
def test_a_frame_that_did_not_pass_has_a_border_and_a_name(frame: int, border: str):
    picture = np.full((90, WIDTH, 3), 128, np.uint8)
    over = Panel(gated(), WIDTH, 300).over(picture, frame)
    assert tuple(over[0, 0]) == tuple(over[-1, -1]) == rgb(border)
    label = MARKED if border == MARKED else VOID
    assert rgb(label) in colours(over[8:34, 8:60])
    assert (picture == 128).all()


def test_gates_are_told_with_joint_value_and_unit():
    span = as_span((0, 3), 30)
    assert _told({"gate": "pose_change", "joint": "left_elbow", "value": 41.25, **span}) == (
        "pose change  left elbow  41.2°"
    )
    assert _told({"gate": "reprojection", "joint": None, "value": 0.123, **span}) == "reprojection  12%"
    assert _told({"gate": "missing", "joint": "head", "value": 0.5, **span}) == "missing  head  0.5 s"
    assert _told({"gate": "quarantine", "joint": None, "value": None, **span}) == "quarantine"


def test_the_spoken_word_and_phoneme_are_lit():
    panel = Panel(row(), WIDTH, 300)
    caption, phones = slice(CAPTION_TOP, CAPTION_TOP + 22), slice(PHONES_TOP + 2, PHONES_TOP + 20)
    lit = panel.below(33)
    assert rgb(ACCENT) in colours(lit[caption])
    assert rgb(QUIET) in colours(lit[caption])
    assert (lit[phones] == rgb(ACCENT)).all(axis=2).sum() > 300
    silent = panel.below(120)
    assert len(colours(silent[caption])) == 1
    assert (silent[phones] == rgb(ACCENT)).all(axis=2).sum() < 50


def test_lines_break_at_pauses_and_at_the_edge():
    font = ImageFont.load_default(size=16)
    words = [word(f"word{n}", n * 0.5, n * 0.5 + 0.4) for n in range(12)]
    lines = _lines(words, font, 200)
    assert [w for line in lines for w in line] == words
    assert all(font.getlength(" ".join(w["word"] for w in line)) <= 200 for line in lines)
    assert len(_lines([word("a", 0, 1), word("b", 3, 4)], font, 200)) == 2
    assert len(_lines([word("x" * 500, 0, 1), word("b", 1, 2)], font, 200)) == 2
    assert _lines([], font, 200) == []


def test_hostile_text_is_drawn_short_and_harmless():
    words = [word("\u202e\x00\n" * 50, 0, 1), word("", 1, 2), word("é漢字😀", 2, 3)]
    clip = row(words=words, clip_id="v\n" * 300, speaker_id="\x1b[2J", drop_reason="noisy")
    for frame in (0, 45, 75):
        assert Panel(clip, WIDTH, 300).below(frame).shape == (HEIGHT, WIDTH, 3)
