"""Photographs, cards and the camera that moves over them.

The photographs are those of scikit-image that are in the public domain or under CC0; the letters
are Aileron (CC0), which Pillow carries. Pictures are uint8 RGB arrays of shape (height, width, 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

PHOTOGRAPHS = {
    "astronaut": skimage.data.astronaut,
    "camera": skimage.data.camera,
    "cat": skimage.data.chelsea,
    "coffee": skimage.data.coffee,
    "gravel": skimage.data.gravel,
    "hubble": skimage.data.hubble_deep_field,
    "retina": skimage.data.retina,
    "rocket": skimage.data.rocket,
}

NIGHT = (10, 14, 36)  # the empty sky; pure black has no hue, and cut detectors compare hues
LARGEST = 3.0  # a photograph is enlarged this far at most before the camera looks at it


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A crop that moves at constant speed.

    `x`, `y` is the centre and `width` the width of the first frame, in pixels of the photograph.
    `pan_x` is in frame widths per second (positive: the camera turns right), `pan_y` in frame
    heights per second (positive: down), `zoom` in 1/s: the scale grows by exp(zoom · t).
    """

    x: float
    y: float
    width: float
    pan_x: float = 0.0
    pan_y: float = 0.0
    zoom: float = 0.0

    def crop(self, seconds: float, aspect: float) -> tuple[float, float, float]:
        """Centre x, centre y and width of the crop after `seconds`, for frames `aspect` times as wide as high."""
        return (
            self.x + self.pan_x * self.width * seconds,
            self.y + self.pan_y * self.width / aspect * seconds,
            self.width * math.exp(-self.zoom * seconds),
        )


@dataclass(frozen=True)
class Still:
    """A photograph enlarged `scale` times and sharpened, ready for the camera."""

    pixels: np.ndarray
    scale: float

    def frame(self, camera: Camera, seconds: float, size: tuple[int, int]) -> np.ndarray:
        """What the camera sees after `seconds`, as a frame of `size` (width, height)."""
        width, height = size
        x, y, crop = camera.crop(seconds, width / height)
        step = crop * self.scale / width
        view = np.array(
            [
                [step, 0, (x + 0.5) * self.scale - 0.5 - step * (width - 1) / 2],
                [0, step, (y + 0.5) * self.scale - 0.5 - step * (height - 1) / 2],
            ]
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(self.pixels, view, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def still(name: str, smallest_crop: float, frame_width: int) -> Still:
    """The photograph `name`, enlarged so that its smallest crop about fills a frame's width."""
    pixels = planet() if name == "planet" else photograph(name)
    scale = min(LARGEST, max(1.0, frame_width / smallest_crop))
    large = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)
    soft = cv2.GaussianBlur(large, (0, 0), 0.8 * scale)
    return Still(cv2.addWeighted(large, 1.8, soft, -0.8, 0), scale)


def photograph(name: str) -> np.ndarray:
    """A photograph in RGB; the dark sky loses its noise, which costs bits and shows nothing."""
    pixels = rgb(PHOTOGRAPHS[name]())
    if name == "hubble":
        calm = cv2.fastNlMeansDenoisingColored(pixels, None, 7, 10, 5, 15)
        return np.maximum(calm, np.array(NIGHT, np.uint8))
    return pixels


def rgb(picture: np.ndarray) -> np.ndarray:
    """Grey pictures get three equal channels; colour pictures stay as they are."""
    return np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else np.ascontiguousarray(picture)


def planet(width: int = 1600, height: int = 900, radius: int = 330) -> np.ndarray:
    """A red planet before the stars: the retina's disc, darker towards its rim and on its right."""
    sky = cv2.resize(photograph("hubble")[:562], (width, height), interpolation=cv2.INTER_CUBIC)
    sky = sky.astype(np.float32) * 0.55
    disc = photograph("retina")[25:1386, 25:1386]
    disc = cv2.resize(disc, (2 * radius, 2 * radius), interpolation=cv2.INTER_AREA).astype(np.float32)
    y, x = np.mgrid[-radius:radius, -radius:radius].astype(np.float32) / radius
    depth = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    light = np.clip(-0.55 * x - 0.35 * y + 0.76 * depth, 0.05, 1)[:, :, None]
    cover = np.clip((1 - np.hypot(x, y)) * radius, 0, 1)[:, :, None]
    top, left = (height - 2 * radius) // 2, (width - 2 * radius) // 2
    window = sky[top : top + 2 * radius, left : left + 2 * radius]
    window[:] = window * (1 - cover) + disc * light * cover
    return np.clip(sky, 0, 255).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Lettering:
    """Words on the screen: centre and height of the letters as shares of the frame's width and height;
    `edge` draws a black rim.
    """

    words: str
    x: float = 0.5
    y: float = 0.5
    height: float = 0.1
    colour: tuple[int, int, int] = (255, 244, 224)
    edge: bool = False


def write(frame: np.ndarray, letterings: tuple[Lettering, ...]) -> np.ndarray:
    """The frame with words on it."""
    if not letterings:
        return frame
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    for lettering in letterings:
        points = lettering.height * image.height
        font = ImageFont.load_default(size=points)
        place = (lettering.x * image.width, lettering.y * image.height)
        edge = {"stroke_width": round(points / 16), "stroke_fill": (0, 0, 0)} if lettering.edge else {}
        draw.text(place, lettering.words, fill=lettering.colour, font=font, anchor="mm", **edge)
    return np.asarray(image)


def card(size: tuple[int, int], colour: tuple[int, int, int]) -> np.ndarray:
    """A plain background of `size` (width, height), darker towards its corners."""
    width, height = size
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    light = 1 - 0.25 * np.clip(x * x + y * y, 0, 2) / 2
    return np.rint(light[:, :, None] * np.array(colour, np.float32)).astype(np.uint8)
