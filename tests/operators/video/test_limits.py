"""Limits: the settings and what the process takes are the same, and a long film passes."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from operators.pose.landmarks import LandmarksSettings
from operators.pose.meshes.regressor_settings import DecodingSettings
from operators.video.limits import Limits, LimitSettings
from operators.video.shots import SplitShots


@pytest.mark.parametrize("settings", [LimitSettings, SplitShots.Settings, LandmarksSettings, DecodingSettings])
def test_every_limit_is_a_setting_with_the_same_default(settings: type[LimitSettings]) -> None:
    limits = {name: value for name, value in asdict(Limits()).items() if name not in ("owner", "output_mb")}
    assert settings().model_dump(include=set(limits)) == limits
    assert all(settings.model_fields[name].description for name in limits)


def test_a_film_of_three_hours_passes_and_a_file_without_frames_does_not() -> None:
    limits = Limits()
    slow = 0.04  # seconds of CPU for a frame in 4K; 0.005 in 720p
    frames = 3 * 3600 * 25
    assert frames * slow < limits.cpu_seconds
    assert 4 * frames * slow < limits.wall_allowed(frames), "on a machine that does four things at once"
    assert limits.wall_allowed(0) == 1800
    assert 7680 * 4320 <= limits.max_pixels < 16_384 * 16_384
    options = SplitShots().pass_options()
    assert options.max_clips == 50_000 and options.max_hours >= 3


def test_the_operator_hands_its_limits_to_the_process() -> None:
    shots = SplitShots(
        SplitShots.Settings.model_validate({"max_pixels": 1000, "output_mb": 7, "wall_seconds": 9, "max_clips": 3})
    )
    assert shots._process is not None
    limits = shots._process._limits
    assert (limits.owner, limits.max_pixels, limits.output_mb, limits.wall_seconds) == ("shots", 1000, 7, 9)
    assert shots.pass_options().max_clips == 3
