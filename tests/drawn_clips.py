"""Keyframes that tests draw: JPEG bytes and clip rows around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np


def jpeg(rgb: np.ndarray, quality: int = 95) -> bytes:
    """A picture (uint8 H×W×3, RGB) as JPEG."""
    done, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def clip(*frames: np.ndarray, **columns: Any) -> dict[str, Any]:
    """A clip row with these keyframes; one frame stands for all three."""
    three: Sequence[np.ndarray] = frames if len(frames) == 3 else frames * 3
    return {
        "record": "clip", "error": None, "provenance": {}, "keyframes": [jpeg(frame) for frame in three], **columns
    }  # fmt: skip


def plain(colour: tuple[int, int, int], height: int = 90, width: int = 160) -> np.ndarray:
    """A picture of one colour."""
    return np.full((height, width, 3), colour, np.uint8)
