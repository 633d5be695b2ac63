"""Films of a photograph of a person that moves, grows and turns by known transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SIDE = 512  # px of the photograph
CANVAS = 640  # px
GREY = (90, 90, 90)


def photograph() -> np.ndarray:
    """A woman from the waist up who faces the camera, uint8 512×512×3 RGB; her hands cannot be seen."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed")
    return np.ascontiguousarray(data.astronaut())


def placed(scale: float = 1.0, degrees: float = 0.0, x: float = CANVAS / 2, y: float = CANVAS / 2) -> np.ndarray:
    """The 2×3 matrix from the photograph's pixels to the canvas's: its middle comes to (x, y)."""
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), degrees, scale)
    matrix[:, 2] += (x - SIDE / 2, y - SIDE / 2)
    return matrix


def pictures(matrices: Sequence[np.ndarray], size: tuple[int, int] = (CANVAS, CANVAS)) -> list[np.ndarray]:
    """The photograph under each matrix, uint8 H×W×3 RGB of `size` (width, height)."""
    still = photograph()
    return [
        np.asarray(cv2.warpAffine(still, m, size, flags=cv2.INTER_LINEAR, borderValue=GREY), np.uint8)
        for m in matrices
    ]


def back(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (…×2) of the canvas as points of the photograph."""
    return (points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


MOTIONS: dict[str, Callable[[int], np.ndarray]] = {
    "moved": lambda k: placed(x=290 + 2 * k, y=320 - k),
    "scaled": lambda k: placed(scale=0.8 + 0.015 * k),
    "rotated": lambda k: placed(degrees=-16 + 1.2 * k),
}


def film(studio: Any, matrices: Sequence[np.ndarray], name: str = "photograph.mp4", **more: Any) -> Path:
    """A film of the photograph at 25 frames per second."""
    bgr = [np.ascontiguousarray(rgb[..., ::-1]) for rgb in pictures(matrices)]
    return studio.make(bgr, name, fps=25, options={"crf": "15"}, **more)
