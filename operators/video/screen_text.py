"""Text on the screen, found and read through RapidOCR on one CPU thread.

Lines are found by the same network and rules as in the lite preset (PP-OCRv4's detector; `operators.video.text`) and
read by PP-OCRv6, which ships inside the `rapidocr` package. That package's own detector, PP-OCRv6, took whole frames
without text for one large letter and is not used. What is read comes from strangers: it is data for a column, brought
to one line of bounded length, and never an instruction to anyone.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydantic import Field

from operators import networks
from operators.columns import select
from operators.contract import ClipOperator, Resources, Row
from operators.contract import Settings as OperatorSettings
from operators.errors import ConfigurationError, MissingExtra
from operators.language.quotation import one_line
from operators.video.stills import RGB, stills
from operators.video.text import TEXT_PROBABILITY, WIDENING

RECOGNISER = "PP-OCRv6_rec_small.onnx"
WORD = "RUSHES"
BETWEEN = " / "
"""Stands between the lines of one keyframe, as between lines of verse."""
MOST_LINES = 100
LINE_CHARACTERS = 200
TEXT_CHARACTERS = 1000


@dataclass(frozen=True)
class Line:
    """One line of text: corners (float32 4×2, x and y in px of the frame), reading, and its confidence 0 to 1."""

    corners: np.ndarray
    text: str
    confidence: float


class ScreenTextSettings(OperatorSettings):
    """Size and thresholds of the reader."""

    long_side: int = Field(
        default=736,
        ge=64,
        le=2048,
        description="longer side in pixels at which text is looked for; it is read at full size",
    )
    min_score: float = Field(default=0.6, ge=0, le=1, description="mean text probability from which a box counts")
    min_confidence: float = Field(
        default=0.7, ge=0, le=1, description="confidence of the reader under which a line is left out of screen_text"
    )


class ScreenText(ClipOperator):
    """Reads the text on the keyframes: `screen_text`, and `ocr_score`, the share of the frame under text boxes.

    A box counts for `ocr_score` at whatever confidence it was read, unless nothing was read in it or only
    one letter or digit: round things and hands are read as O and 2.
    """

    name = "text"
    reads = ("keyframes",)
    writes = select("ocr_score", "screen_text")
    Settings = ScreenTextSettings
    resources = Resources(memory_mb=768)

    def check(self) -> None:
        networks.path(networks.TEXT_DETECTOR)
        _recogniser()

    def revision(self) -> str:
        detector = networks.TEXT_DETECTOR.requirement.replace("==", "-")
        return f"{detector}+rapidocr-{importlib.metadata.version('rapidocr')}" if _package() else detector

    def setup(self) -> None:
        cv2.setNumThreads(1)
        detector, recogniser = networks.path(networks.TEXT_DETECTOR), _recogniser()
        if importlib.util.find_spec("onnxruntime") is None:  # rapidocr looks no sooner than at the first picture
            raise MissingExtra("onnxruntime", "models")
        try:
            from rapidocr import RapidOCR
        except ImportError as problem:
            raise MissingExtra(problem.name or "rapidocr", "models") from problem
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_preprocess_img": False,  # would blow up very narrow frames
                "Global.use_cls": False,  # looks for lines that stand on their head
                "Global.text_score": 0.0,  # lines are chosen here
                "Det.model_path": str(detector),
                "Det.limit_type": "max",
                "Det.limit_side_len": self.settings.long_side,
                "Det.thresh": TEXT_PROBABILITY,
                "Det.box_thresh": self.settings.min_score,
                "Det.unclip_ratio": WIDENING,
                "Det.use_dilation": False,
                "Det.score_mode": "slow",  # over the region's outline, as in the lite preset
                "Rec.model_path": str(recogniser),
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )
        self._try()

    def _try(self) -> None:
        """Read a word, because rapidocr loads its networks no sooner than they are needed."""
        try:
            found = self.lines(_title())
        except Exception as problem:  # onnxruntime and rapidocr raise kinds of their own
            raise ConfigurationError(f"text: rapidocr cannot load its networks: {problem!s:.300}") from problem
        if [line.text for line in found] != [WORD]:
            raise ConfigurationError(f"text: rapidocr read {found} where {WORD} is written; install it again")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._columns([(frame, self.lines(frame)) for frame in stills(clip)]) for clip in clips]

    def lines(self, frame: RGB) -> list[Line]:
        """The lines of text in one frame (uint8 H×W×3, RGB), top to bottom and left to right."""
        found = self._engine(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        texts = getattr(found, "txts", None)
        if not texts:
            return []
        read = zip(found.boxes, texts, found.scores, strict=True)
        lines = [Line(np.asarray(box, np.float32), str(text), float(score)) for box, text, score in read]
        return [line for line in lines if not _lone_letter(line.text)]

    def _columns(self, frames: Sequence[tuple[RGB, Sequence[Line]]]) -> Row:
        return {
            "ocr_score": float(np.mean([coverage(frame.shape[:2], lines) for frame, lines in frames])),
            "screen_text": [self._legible(lines) for _, lines in frames],
        }

    def _legible(self, lines: Sequence[Line]) -> str:
        sure = [line.text for line in lines if line.confidence >= self.settings.min_confidence]
        return joined(sure)


def joined(texts: Sequence[str]) -> str:
    """Lines as one text: without control characters, in NFC, of at most `TEXT_CHARACTERS` characters."""
    plain = [one_line(text[:LINE_CHARACTERS]) for text in texts[:MOST_LINES]]
    return BETWEEN.join(text for text in plain if text)[:TEXT_CHARACTERS].rstrip()


def coverage(shape: tuple[int, ...], lines: Sequence[Line]) -> float:
    """Share, 0 to 1, of a frame (H, W) that the lines' boxes cover; overlaps count once."""
    covered = np.zeros(shape, np.uint8)
    for line in lines:
        cv2.fillConvexPoly(covered, np.round(line.corners).astype(np.int32), 1)
    return float(np.count_nonzero(covered)) / covered.size


@lru_cache(maxsize=1)
def _package() -> Path | None:
    """The folder of rapidocr, which is not imported for it; None where it is not installed."""
    found = importlib.util.find_spec("rapidocr")
    return Path(found.origin).parent if found is not None and found.origin else None


def _recogniser() -> Path:
    package = _package()
    if package is None:
        raise MissingExtra("rapidocr", "models")
    path = package / "models" / RECOGNISER
    if not path.is_file():
        raise ConfigurationError(f"text: this rapidocr has no {RECOGNISER} in {path.parent}; install rapidocr 3.10")
    return path


def _lone_letter(text: str) -> bool:
    word = text.strip()
    return len(word) == 1 and word.isascii()


def _title() -> RGB:
    frame = np.zeros((160, 480, 3), np.uint8)
    cv2.putText(frame, WORD, (40, 110), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (255, 255, 255), 5)
    return frame
