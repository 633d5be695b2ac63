"""How much of the frame is text: boxes of PP-OCRv4's text detector, a differentiable-binarisation network.

The network (Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", 2020, as
trained by PaddleOCR for Chinese and English) gives a map of text probability; its regions become
rotated boxes, widened as in that paper because the network is trained on shrunken ones. Text is found,
not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field

from operators import networks
from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.contract import Settings as OperatorSettings
from operators.video.stills import RGB, stills

STRIDE = 32  # px; the network's input sides are multiples of it
TEXT_PROBABILITY = 0.3  # of a pixel
WIDENING = 1.6  # box area × this ÷ perimeter is the margin given back
SMALLEST = 4.0  # px; shorter sides are specks
LARGEST_BOXES = 200


class TextSettings(OperatorSettings):
    """Size and threshold of the text detector."""

    long_side: int = Field(
        default=384, ge=64, le=1920, description="longer side in pixels at which text is looked for"
    )
    min_score: float = Field(default=0.6, ge=0, le=1, description="mean text probability from which a box counts")


class TextCoverage(ClipOperator):
    """`ocr_score`: the share of the frame under text boxes, mean over the keyframes; on one CPU thread."""

    name = "text"
    reads = ("keyframes",)
    writes = select("ocr_score")
    Settings = TextSettings
    NETWORKS: ClassVar = (networks.TEXT_DETECTOR,)
    _network: Any = None

    def check(self) -> None:
        networks.path(networks.TEXT_DETECTOR)

    def revision(self) -> str:
        return networks.TEXT_DETECTOR.requirement.replace("==", "-")

    def setup(self) -> None:
        cv2.setNumThreads(1)
        self._network = cv2.dnn.readNetFromONNX(str(networks.path(networks.TEXT_DETECTOR)), cv2.dnn.ENGINE_NEW)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"ocr_score": float(np.mean([self.coverage(frame) for frame in stills(clip)]))} for clip in clips]

    def coverage(self, frame: RGB) -> float:
        """Share of one frame (uint8 H×W×3, RGB) that text boxes cover, 0 to 1; overlaps count once."""
        probability = self.probability(frame)
        covered = np.zeros(probability.shape, np.uint8)
        for corners in boxes(probability, self.settings.min_score):
            cv2.fillConvexPoly(covered, np.round(corners).astype(np.int32), 1)
        return float(np.count_nonzero(covered)) / covered.size

    def probability(self, frame: RGB) -> np.ndarray:
        """Text probability, float32 h×w, at the working size."""
        height, width = frame.shape[:2]
        scale = min(1.0, self.settings.long_side / max(height, width))
        size = tuple(max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        # The network was trained on BGR.
        blob = cv2.dnn.blobFromImage(small, 1 / 127.5, size, (127.5, 127.5, 127.5), swapRB=True)
        self._network.setInput(blob)
        return self._network.forward()[0, 0]


def boxes(probability: np.ndarray, min_score: float) -> list[np.ndarray]:
    """Corners (float32 4×2, x and y in pixels) of the text boxes in a probability map (float32 h×w)."""
    regions = (probability > TEXT_PROBABILITY).astype(np.uint8)
    outlines, _ = cv2.findContours(regions, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for outline in outlines[:LARGEST_BOXES]:
        centre, (across, down), angle = cv2.minAreaRect(outline)
        if min(across, down) < SMALLEST or _mean(probability, outline) < min_score:
            continue
        margin = across * down * WIDENING / (2 * (across + down))
        found.append(cv2.boxPoints((centre, (across + 2 * margin, down + 2 * margin), angle)))
    return found


def _mean(probability: np.ndarray, outline: np.ndarray) -> float:
    left, top, width, height = cv2.boundingRect(outline)
    inside = np.zeros((height, width), np.uint8)
    cv2.fillPoly(inside, [outline - np.array([left, top])], 1)
    return float(cv2.mean(probability[top : top + height, left : left + width], inside)[0])
