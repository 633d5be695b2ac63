"""Verdicts: every gate, its reason and its edge, before and after storage."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from operators.columns import select
from operators.video.tiers import HqGates, ScoredTiers, Tiers, TierSettings, Verdict, VisualGates, verdict

GOOD: dict[str, Any] = {
    "clip_duration": 6.0,
    "video_resolution": [720, 1280],
    "of_score": 2.0,
    "image_quality": 60.0,
    "ocr_score": 0.01,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"clip_duration": 4.999}, "shorter_than_min_duration"),
        ({"video_resolution": [719, 1280]}, "smaller_than_min_height"),
        ({"video_resolution": [1280, 608]}, "smaller_than_min_height"),
        ({"image_quality": 29.9}, "image_quality_below_floor"),
        ({"aesthetic_score": [3.9, 4.0, 4.0]}, "aesthetic_below_floor"),
        ({"ocr_score": 0.21}, "text_over_ceiling"),
        ({"of_score": 0.0}, "motion_below_floor"),
    ],
)
def test_the_gate_that_failed_is_named(change: dict[str, Any], reason: str):
    assert verdict({**GOOD, **change}, TierSettings()) == Verdict("visual", None, reason)


@pytest.mark.parametrize(
    "change",
    [
        {"clip_duration": 5.0},
        {"video_resolution": [1280, 720]},
        {"image_quality": 30.0},
        {"aesthetic_score": [4.0, 4.0, 4.0]},
        {"ocr_score": 0.2},
        {"of_score": 0.05},
        {"of_score": None},
        {"image_quality": None, "ocr_score": None, "video_resolution": None},
    ],
)
def test_a_clip_on_the_threshold_or_not_measured_passes(change: dict[str, Any]):
    assert verdict({**GOOD, **change}, TierSettings()) == Verdict("hq", None, None)


@pytest.mark.parametrize(("seconds", "kept"), [(1.0, False), (1.001, True)])
def test_the_visual_tier_wants_more_than_a_second(seconds: float, kept: bool):
    result = verdict({**GOOD, "clip_duration": seconds}, TierSettings())
    assert result.tier == ("visual" if kept else None)
    assert result.drop_reason == (None if kept else "shorter_than_min_duration")
    assert result.hq_drop_reason == "shorter_than_min_duration"


def test_a_clip_dropped_by_a_gate_that_hq_lacks_is_not_hq():
    settings = TierSettings(visual=VisualGates(max_motion=1.0))
    assert verdict(GOOD, settings) == Verdict(None, "motion_over_ceiling", "motion_over_ceiling")


def test_one_threshold_can_be_set_and_the_others_keep_their_defaults():
    settings = TierSettings.model_validate({"hq": {"min_height": 480}})
    assert settings.hq.min_duration == 5.0
    assert verdict({**GOOD, "video_resolution": [480, 640]}, settings).tier == "hq"


@pytest.mark.parametrize(
    "wrong", [{"hq": {"min_heigth": 1}}, {"hq": {"max_ocr": 2}}, {"visual": {"min_duration": -1}}]
)
def test_unknown_and_absurd_thresholds_are_errors(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        TierSettings.model_validate(wrong)


scores = st.floats(0, 100, allow_nan=False) | st.none()


@settings(deadline=None)
@given(
    quality=scores, ocr=st.floats(0, 1) | st.none(), motion=scores, floor=st.floats(0, 100), ceiling=st.floats(0, 1)
)
def test_storing_the_scores_does_not_change_the_verdict(
    quality: float | None, ocr: float | None, motion: float | None, floor: float, ceiling: float
):
    settings = TierSettings(hq=HqGates(min_image_quality=floor, min_motion=floor, max_ocr=ceiling))
    row = {**GOOD, "image_quality": quality, "ocr_score": ocr, "of_score": motion}
    table = pa.Table.from_pylist([row], schema=select(*Tiers.reads))
    assert verdict(table.to_pylist()[0], settings) == verdict(row, settings)


def test_as_an_operator_it_writes_three_columns_and_leaves_dropped_clips_alone():
    kept = {"record": "clip", "error": None, "provenance": {}, **GOOD}
    dropped = {**kept, "drop_reason": "elsewhere"}
    video = {"record": "video", "video_id": "v"}
    out = list(Tiers()([kept, dropped, video]))
    assert (out[0]["tier"], out[0]["drop_reason"], out[0]["hq_drop_reason"]) == ("hq", None, None)
    assert out[0]["provenance"] == {"tier": "tiers/1"}
    assert out[1:] == [dropped, video]


def test_reads_are_columns_that_storage_keeps():
    assert {field.name for field in select(*Tiers.reads)} == set(Tiers.reads)
    assert "keyframes" not in Tiers.reads


def test_scored_tiers_need_the_score_in_the_chain_and_use_it():
    assert set(ScoredTiers.reads) - set(Tiers.reads) == {"aesthetic_score"}
    assert (ScoredTiers.name, ScoredTiers.Settings) == (Tiers.name, Tiers.Settings)
    dull = {"record": "clip", "error": None, "provenance": {}, **GOOD, "aesthetic_score": [2.0, 3.0, 3.0]}
    [row] = ScoredTiers()([dull])
    assert (row["tier"], row["hq_drop_reason"]) == ("visual", "aesthetic_below_floor")
