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


def assorted(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Clips of three unlike pictures each: coloured blocks, in frames of many sizes and shapes."""
    rng = np.random.default_rng(seed)
    sizes = [(90, 160), (360, 640), (200, 200), (480, 270), (37, 213), (64, 64)]
    clips = []
    for index in range(count):
        height, width = sizes[index % len(sizes)]
        blocks = [rng.integers(0, 256, (4, 5, 3), np.uint8) for _ in range(3)]
        frames = [cv2.resize(block, (width, height), interpolation=cv2.INTER_CUBIC) for block in blocks]
        clips.append(clip(*[np.asarray(frame, np.uint8) for frame in frames], clip_id=f"v_{index:07d}"))
    return clips
