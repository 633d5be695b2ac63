"""Names for the colours of a picture: the eleven basic colour terms of English (Berlin and Kay, 1969).

Pixels are named by lightness, chroma and hue in CIELAB, and a colour is reported when it covers a
good part of the frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from operators.video.stills import RGB, active_picture, shrink

SIDE = 64  # px; names do not need detail
SHARE = 0.15  # of the picture; what covers less is not a main colour
MOST = 3  # colours named

TERMS = ("black", "grey", "white", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
_INDEX = {term: index for index, term in enumerate(TERMS)}

BLACK_LIGHTNESS, WHITE_LIGHTNESS = 20.0, 82.0  # L* under and over which an uncoloured pixel is black, white
GREY_CHROMA = 9.0  # C* under which a pixel has no colour
DEEP_CHROMA = 18.0  # C* that a pixel darker than BLACK_LIGHTNESS needs to be seen as coloured

# (from hue, to hue in degrees of CIELAB, term when light, term when dark, lightness between the two)
_HUES = (
    (0.0, 18.0, "pink", "red", 60.0),
    (18.0, 45.0, "pink", "red", 70.0),
    (45.0, 76.0, "orange", "brown", 58.0),
    (76.0, 105.0, "yellow", "brown", 60.0),
    (105.0, 195.0, "green", "green", 50.0),
    (195.0, 308.0, "blue", "blue", 50.0),  # the primary blue of sRGB is at 306°
    (308.0, 335.0, "purple", "purple", 50.0),
    (335.0, 360.0, "pink", "purple", 50.0),
)


def name_pixels(rgb: RGB) -> np.ndarray:
    """Indices into `TERMS`, uint8 H×W, for a picture (uint8 H×W×3, RGB)."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lightness, a, b = lab[..., 0], lab[..., 1], lab[..., 2]
    chroma = np.hypot(a, b)
    hue = np.degrees(np.arctan2(b, a)) % 360

    names = np.full(lightness.shape, _INDEX["grey"], np.uint8)
    names[lightness < BLACK_LIGHTNESS] = _INDEX["black"]
    names[lightness > WHITE_LIGHTNESS] = _INDEX["white"]
    coloured = (chroma >= GREY_CHROMA) & ((lightness >= BLACK_LIGHTNESS) | (chroma >= DEEP_CHROMA))
    for start, end, light, dark, limit in _HUES:
        here = coloured & (hue >= start) & (hue < end)
        names[here] = np.where(lightness[here] >= limit, _INDEX[light], _INDEX[dark])
    return names


def main_colours(frames: Sequence[RGB]) -> list[str]:
    """Names of the colours that cover at least `SHARE` of the frames, largest first, at most `MOST`."""
    counts = np.zeros(len(TERMS))
    for frame in frames:
        names = name_pixels(active_picture(shrink(frame, long_side=SIDE)))
        counts += np.bincount(names.ravel(), minlength=len(TERMS)) / names.size
    shares = counts / max(1, len(frames))
    order = sorted(range(len(TERMS)), key=lambda index: (-shares[index], index))
    return [TERMS[index] for index in order[:MOST] if shares[index] >= SHARE]
