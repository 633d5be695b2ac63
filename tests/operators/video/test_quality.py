"""Quality: each measure follows its defect, agrees with references, and no frame breaks it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data
from skimage.measure import blur_effect

from operators.video.quality import PictureMeasures, Quality, brightness, colourfulness, measure, sharpness
from tests.drawn_clips import clip, plain

ASTRONAUT = data.astronaut()


def blurred(sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(ASTRONAUT, (0, 0), sigma)


@pytest.mark.parametrize("sigma", [0.5, 1, 2, 4, 8])
def test_sharpness_agrees_with_scikit_image(sigma: float):
    luma = cv2.cvtColor(blurred(sigma), cv2.COLOR_RGB2GRAY)
    assert sharpness(luma) == pytest.approx(1 - float(np.max(blur_effect(luma, h_size=11))), abs=0.04)


def test_quality_falls_with_every_degree_of_blur():
    scores = [measure(ASTRONAUT).quality] + [measure(blurred(sigma)).quality for sigma in (1, 2, 4, 8)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 70
    assert scores[-1] < 30


@pytest.mark.parametrize("gain", [0.3, 0.1, 0.02])
def test_quality_falls_in_the_dark(gain: float):
    dark = measure((ASTRONAUT * gain).astype(np.uint8))
    assert dark.brightness < measure(ASTRONAUT).brightness
    assert dark.quality < measure(ASTRONAUT).quality


def test_burnt_out_and_flat_pictures_lose():
    burnt = np.clip(ASTRONAUT.astype(np.int32) * 3, 0, 255).astype(np.uint8)
    flat = (ASTRONAUT // 16 + 120).astype(np.uint8)
    assert measure(burnt).exposure < measure(ASTRONAUT).exposure
    assert measure(flat).contrast < measure(ASTRONAUT).contrast
    assert measure(flat).quality < measure(ASTRONAUT).quality


def test_colourfulness_is_that_of_hasler_and_suesstrunk():
    red, green, blue = (ASTRONAUT[..., channel].astype(np.float64) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    expected = np.sqrt(red_green.var() + yellow_blue.var()) + 0.3 * np.sqrt(
        red_green.mean() ** 2 + yellow_blue.mean() ** 2
    )
    assert colourfulness(ASTRONAUT) == pytest.approx(expected, rel=1e-5)
    assert colourfulness(plain((77, 77, 77))) == 0


def test_letterbox_bars_do_not_count():
    boxed = np.zeros((812, 512, 3), np.uint8)
    boxed[150:662] = ASTRONAUT
    assert measure(boxed).brightness == pytest.approx(measure(ASTRONAUT).brightness, abs=0.01)
    assert brightness(boxed) == pytest.approx(brightness(ASTRONAUT), abs=0.01)


@pytest.mark.parametrize(
    "frame",
    [
        plain((0, 0, 0)),
        plain((255, 255, 255)),
        plain((9, 9, 9), 1, 1),
        plain((90, 9, 9), 2000, 30),
        plain((9, 9, 9), 3, 900),
    ],
)
def test_any_frame_has_measures_in_range(frame: np.ndarray):
    [row] = Quality()([clip(frame)])
    assert row["error"] is None
    for column in ("sharpness", "brightness", "contrast", "exposure"):
        assert 0 <= row[column] <= 1
    assert 0 <= row["image_quality"] <= 100
    assert row["imaging_quality"] == row["image_quality"]


def test_means_over_the_keyframes_and_the_median_sharpness():
    frames = (ASTRONAUT, blurred(8), blurred(2))
    [row] = Quality()([clip(*frames)])
    each = [Quality().annotate([clip(frame)])[0] for frame in frames]
    assert row["brightness"] == pytest.approx(np.mean([one["brightness"] for one in each]))
    assert row["sharpness"] == pytest.approx(sorted(one["sharpness"] for one in each)[1])


def test_a_broken_keyframe_fails_its_own_clip_only_and_dropped_clips_are_measured():
    broken = {**clip(ASTRONAUT), "keyframes": [b"\xff\xd8 no"] * 3}
    good, bad, dropped = Quality()([clip(ASTRONAUT), broken, clip(ASTRONAUT, drop_reason="too dull")])
    assert bad["error"]["kind"] == "decode"
    assert good["image_quality"] == dropped["image_quality"]


def test_beside_a_model_the_same_is_measured_and_no_quality_claimed():
    [stated], [measured] = Quality()([clip(ASTRONAUT)]), PictureMeasures()([clip(ASTRONAUT, drop_reason="too dull")])
    assert measured["provenance"].keys() == {"sharpness", "brightness", "contrast", "exposure", "colourfulness"}
    assert "image_quality" not in measured
    assert all(measured[column] == stated[column] for column in measured["provenance"])
