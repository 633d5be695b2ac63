"""Image quality without a model: sharpness, light, contrast, exposure and colour of the keyframes.

`image_quality` fills the column that MMTrail filled with MUSIQ. It is not MUSIQ: it sees blur,
darkness, burnt-out or crushed areas and flatness, and knows nothing of noise, compression or content.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.video.stills import RGB, active_picture, shrink, stills

SHORT_SIDE = 512  # px; the size at which MMTrail's imaging quality was taken
COLOUR_SIDE = 256  # px; colour needs less detail
BLUR_TAPS = 11  # px; size of the blur that sharpness compares with, as in Crete et al. 2007
CRUSHED, CLIPPED = 5, 250  # of 255; luma beyond which no detail is left in JPEG
NO_EDGES = 0.05  # mean Sobel response (of 1020) under which a picture has no edge to judge

SOFT, CRISP = 0.30, 0.75  # sharpness of a picture blurred beyond use, and of one in focus
FLAT, PUNCHY = 0.02, 0.20  # contrast of fog, and of an ordinary scene
DARK, LIT = 0.02, 0.25  # mean luma of a night without light, and of an ordinary scene
MEASURED = ("sharpness", "brightness", "contrast", "exposure", "colourfulness")
WEIGHTS = {"sharpness": 0.6, "contrast": 0.15, "light": 0.15, "exposure": 0.1}


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What one frame shows; units as in the columns of the same names."""

    sharpness: float
    brightness: float
    contrast: float
    exposure: float
    colourfulness: float

    @property
    def quality(self) -> float:
        """0 to 100: weighted geometric mean of sharpness, contrast, light and exposure.

        Each measure counts by where it stands between the unusable and the good value named above, and
        good values are not rewarded further. One hopeless measure makes a hopeless picture, hence the
        geometric mean. The weights and anchors are this project's own choice.
        """
        parts = {
            "sharpness": _standing(self.sharpness, SOFT, CRISP),
            "contrast": _standing(self.contrast, FLAT, PUNCHY),
            "light": _standing(self.brightness, DARK, LIT),
            "exposure": self.exposure,
        }
        return 100.0 * float(np.prod([parts[name] ** weight for name, weight in WEIGHTS.items()]))


def _standing(value: float, worst: float, good: float) -> float:
    return min(1.0, max(0.0, (value - worst) / (good - worst)))


def measure(rgb: RGB) -> Measures:
    """Measures of one frame (uint8 H×W×3, RGB), black bars left out."""
    picture = active_picture(shrink(rgb, short_side=SHORT_SIDE))
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(luma)
    seen = np.count_nonzero((luma > CRUSHED) & (luma < CLIPPED)) / luma.size
    return Measures(
        sharpness=sharpness(luma),
        brightness=float(mean[0, 0]) / 255,
        contrast=float(deviation[0, 0]) / 255,
        exposure=float(seen),
        colourfulness=colourfulness(shrink(picture, long_side=COLOUR_SIDE)),
    )


def brightness(rgb: RGB) -> float:
    """Mean luma of one frame from 0 to 1, black bars left out."""
    picture = active_picture(shrink(rgb, long_side=COLOUR_SIDE))
    return float(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).mean()) / 255


def sharpness(luma: np.ndarray) -> float:
    """Edge acuity from 0 (no edge survives a comparison with its own blur) to 1; 0 without edges.

    One minus the perceptual blur of Crete, Dolmiere, Ladret and Nicolas, "The blur effect: perception
    and estimation with a new no-reference perceptual blur metric" (2007): how much of the gradient a
    further blur takes away. The worse direction counts. `luma` is uint8 H×W.
    """
    worst = 1.0
    for order, taps in (((1, 0), (BLUR_TAPS, 1)), ((0, 1), (1, BLUR_TAPS))):
        edges = _gradient(luma, order)
        left = _gradient(cv2.blur(luma, taps, borderType=cv2.BORDER_REFLECT), order)
        total = cv2.norm(edges, cv2.NORM_L1)
        kept = cv2.norm(cv2.min(edges, left), cv2.NORM_L1)
        worst = min(worst, 1 - kept / total if total > NO_EDGES * luma.size else 0.0)
    return worst


def _gradient(luma: np.ndarray, order: tuple[int, int]) -> np.ndarray:
    signed = cv2.Sobel(luma, cv2.CV_16S, *order, borderType=cv2.BORDER_REFLECT)
    return cv2.absdiff(signed, np.zeros_like(signed))


def colourfulness(rgb: RGB) -> float:
    """M3 of Hasler and Süsstrunk, "Measuring colourfulness in natural images" (2003); 0 to about 150.

    Their words for it: 15 slightly, 33 moderately, 45 averagely, 59 quite, 82 highly, 109 extremely.
    """
    channels = rgb.astype(np.float32)
    red, green, blue = channels[..., 0], channels[..., 1], channels[..., 2]
    red_green = red - green
    yellow_blue = 0.5 * (red + green) - blue
    spread = np.hypot(float(red_green.std(dtype=np.float64)), float(yellow_blue.std(dtype=np.float64)))
    offset = np.hypot(float(red_green.mean(dtype=np.float64)), float(yellow_blue.mean(dtype=np.float64)))
    return float(spread + 0.3 * offset)


class Quality(ClipOperator):
    """Measures the keyframes with OpenCV: means, except sharpness, which is the median.

    Clips that were dropped are measured too, so that other thresholds can be tried later.
    """

    name = "quality"
    reads = ("keyframes",)
    writes = select("image_quality", "imaging_quality", *MEASURED)
    on_dropped = True

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._columns([measure(frame) for frame in stills(clip)]) for clip in clips]

    def _columns(self, frames: list[Measures]) -> Row:
        quality = float(np.mean([frame.quality for frame in frames]))
        return {"image_quality": quality, "imaging_quality": quality, **_means(frames)}


class PictureMeasures(ClipOperator):
    """Measures the keyframes with OpenCV like `Quality`, and leaves the verdict on quality to a model.

    Clips that were dropped are measured too, so that other thresholds can be tried later.
    """

    name = "quality"
    reads = ("keyframes",)
    writes = select(*MEASURED)
    on_dropped = True

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [_means([measure(frame) for frame in stills(clip)]) for clip in clips]


def _means(frames: list[Measures]) -> Row:
    return {
        "sharpness": float(np.median([frame.sharpness for frame in frames])),
        "brightness": float(np.mean([frame.brightness for frame in frames])),
        "contrast": float(np.mean([frame.contrast for frame in frames])),
        "exposure": float(np.mean([frame.exposure for frame in frames])),
        "colourfulness": float(np.mean([frame.colourfulness for frame in frames])),
    }
