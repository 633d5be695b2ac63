"""Tiers: verdicts by thresholds on stored scores, which can be given again without the media.

    visual   every clip worth a caption of its picture
    hq       clips worth the expensive annotation

A clip that fails a gate of the visual tier is dropped: it keeps its scores and names that gate. The
thresholds of MMTrail are unpublished; the defaults are read off its released clips (at least 5 s,
720 lines, imaging quality over 30, mean aesthetic score over 4, text under 20 % of the frame).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.contract import Settings as OperatorSettings


class Gates(OperatorSettings):
    """Thresholds of one tier; None opens a gate, and a gate whose score was not measured stays open."""

    longer_than: ClassVar[bool] = False
    """Whether `min_duration` itself is too short."""

    min_duration: float | None = Field(default=None, ge=0, description="clip duration in seconds")
    min_height: int | None = Field(default=None, ge=1, description="shorter side of the picture as displayed, px")
    min_image_quality: float | None = Field(default=None, ge=0, le=100, description="image_quality, 0 to 100")
    min_aesthetic: float | None = Field(default=None, ge=0, le=10, description="mean aesthetic_score, where measured")
    max_ocr: float | None = Field(default=None, ge=0, le=1, description="ocr_score, text area over frame area")
    min_motion: float | None = Field(default=None, ge=0, description="of_score, px a frame step")
    max_motion: float | None = Field(default=None, ge=0, description="of_score, px a frame step; over it, cut again")


class VisualGates(Gates):
    """Gates of the visual tier: a clip must last longer than `min_duration`."""

    longer_than = True
    min_duration: float | None = Field(default=1.0, ge=0, description="a clip must last longer than this, in seconds")


class HqGates(Gates):
    """Gates of the hq tier: a clip must last at least `min_duration`."""

    min_duration: float | None = Field(default=5.0, ge=0, description="a clip must last at least this, in seconds")
    min_height: int | None = Field(default=720, ge=1, description="shorter side of the picture as displayed, px")
    min_image_quality: float | None = Field(default=30.0, ge=0, le=100, description="image_quality, 0 to 100")
    min_aesthetic: float | None = Field(default=4.0, ge=0, le=10, description="mean aesthetic_score, where measured")
    max_ocr: float | None = Field(default=0.2, ge=0, le=1, description="ocr_score, text area over frame area")
    min_motion: float | None = Field(default=0.05, ge=0, description="of_score, px a frame step; stills are under it")


class TierSettings(OperatorSettings):
    """Thresholds of both tiers."""

    visual: VisualGates = Field(default=VisualGates(), description="gates of the visual tier; what fails is dropped")
    hq: HqGates = Field(default=HqGates(), description="gates of the hq tier")


@dataclass(frozen=True)
class Verdict:
    """Where a clip belongs: `tier` is "hq", "visual" or None (dropped); reasons name the first failed gates."""

    tier: str | None
    drop_reason: str | None
    hq_drop_reason: str | None


def verdict(row: Mapping[str, Any], settings: TierSettings) -> Verdict:
    """The verdict on a clip by its stored columns alone.

    The same before and after storage: scores are compared in float32, as they are stored. A reason is
    the first failed gate in the order of `Gates`, such as "shorter_than_min_duration".
    """
    dropped = next(_failures(row, settings.visual), None)
    below_hq = next(_failures(row, settings.hq), None) or dropped
    if dropped is not None:
        return Verdict(None, dropped, below_hq)
    return Verdict("hq" if below_hq is None else "visual", None, below_hq)


def _failures(row: Mapping[str, Any], gates: Gates) -> Iterator[str]:
    duration = row.get("clip_duration")
    if duration is not None and gates.min_duration is not None:
        too_short = duration <= gates.min_duration if gates.longer_than else duration < gates.min_duration
        if too_short:
            yield "shorter_than_min_duration"
    for reason, score, limit, fails in (
        ("smaller_than_min_height", _short_side(row), gates.min_height, np.less),
        ("image_quality_below_floor", row.get("image_quality"), gates.min_image_quality, np.less),
        ("aesthetic_below_floor", _aesthetic(row), gates.min_aesthetic, np.less),
        ("text_over_ceiling", row.get("ocr_score"), gates.max_ocr, np.greater),
        ("motion_below_floor", row.get("of_score"), gates.min_motion, np.less),
        ("motion_over_ceiling", row.get("of_score"), gates.max_motion, np.greater),
    ):
        if _beyond(score, limit, fails):
            yield reason


def _beyond(score: float | None, limit: float | None, fails: Callable[[Any, Any], Any]) -> bool:
    return score is not None and limit is not None and bool(fails(np.float32(score), np.float32(limit)))


def _short_side(row: Mapping[str, Any]) -> int | None:
    sides = row.get("video_resolution")
    return min(sides) if sides else None


def _aesthetic(row: Mapping[str, Any]) -> float | None:
    scores = row.get("aesthetic_score")
    return float(np.mean(np.asarray(scores, np.float32), dtype=np.float64)) if scores else None


class Tiers(ClipOperator):
    """Gives every clip its tier, or the reason why it is dropped. No media, no model."""

    name = "tiers"
    reads = ("clip_duration", "video_resolution", "of_score", "image_quality", "ocr_score")
    writes = select("tier", "drop_reason", "hq_drop_reason")
    Settings = TierSettings

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [vars(verdict(clip, self.settings)) for clip in clips]


class ScoredTiers(Tiers):
    """Gives every clip its tier, also by its aesthetic score. No media, no model of its own."""

    reads = (*Tiers.reads, "aesthetic_score")
