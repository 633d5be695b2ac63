"""A YOLO-family person detector exported to ONNX, run by ONNX Runtime on the CPU: an optional second opinion.

The network takes one RGB picture, float32 (1, 3, H, W) from 0 to 1, letterboxed with grey, and gives
float32 (1, 4 + classes, N) as Ultralytics exports it: centre x and y, width and height in the network's
pixels, then a score per class, of which the first is COCO's person. Overlapping boxes are OpenCV's to thin
out, so export without `nms=True`:  `yolo export model=yolov8n.pt format=onnx`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError, MissingExtra
from operators.pose.landmarking.landmarkers import Box

SIZE = 640  # px; for networks whose input size is free
PERSON = 0
SAME_PERSON = 0.5  # overlap from which two boxes are one person
GREY = 114


class PersonDetector:
    """Boxes of people in pictures. `score` is the least that counts."""

    def __init__(self, model: Path, score: float) -> None:
        try:
            import onnxruntime
        except ImportError as problem:
            raise MissingExtra("onnxruntime", "models") from problem
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session: Any = onnxruntime.InferenceSession(
                model.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as problem:  # ONNX Runtime's exceptions have no common base of their own
            raise ConfigurationError(f"speakers.yolo.model: {model} cannot be loaded: {problem}") from problem
        [entry, *others] = self._session.get_inputs()
        if others or len(entry.shape) != 4 or entry.type != "tensor(float)":
            raise ConfigurationError(
                f"speakers.yolo.model: {model} takes {entry.type} {entry.shape}, not one float picture (1, 3, H, W)"
            )
        self._input = entry.name
        self._size = tuple(side if isinstance(side, int) else SIZE for side in entry.shape[2:])
        self._score = score
        self._check(self._raw(np.zeros((8, 8, 3), np.uint8)), model)

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Box]:
        """People in a picture (uint8 H×W×3, RGB) as shares of it, larger scores first."""
        scale, left, top = self._placement(rgb)
        output = self._raw(rgb)[0]
        scores = output[4 + PERSON]
        chosen = scores >= self._score
        centres, sizes, scores = output[:2, chosen].T, output[2:4, chosen].T, scores[chosen]
        corners = (centres - sizes / 2 - (left, top)) / scale
        boxes = np.concatenate([corners, sizes / scale], axis=1)
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self._score, SAME_PERSON) if len(boxes) else []
        return [self._box(boxes[n], float(scores[n]), rgb) for n in np.asarray(kept, int).ravel()]

    def _placement(self, rgb: NDArray[np.uint8]) -> tuple[float, int, int]:
        """The scale to the network's input, and the margins left of and above the picture in it."""
        height, width = rgb.shape[:2]
        high, wide = self._size
        scale = min(high / height, wide / width)
        return scale, (wide - round(width * scale)) // 2, (high - round(height * scale)) // 2

    def _raw(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        scale, left, top = self._placement(rgb)
        height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
        canvas = np.full((*self._size, 3), GREY, np.uint8)
        canvas[top : top + height, left : left + width] = cv2.resize(rgb, (width, height))
        picture = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None]).astype(np.float32) / 255
        return self._session.run(None, {self._input: picture})[0]

    @staticmethod
    def _check(output: NDArray[np.float32], model: Path) -> None:
        if output.ndim != 3 or output.shape[0] != 1 or output.shape[1] < 5 or output.shape[1] > output.shape[2] > 0:
            raise ConfigurationError(
                f"speakers.yolo.model: {model} gives {output.shape}, not (1, 4 + classes, N); export it without nms"
            )

    @staticmethod
    def _box(box: NDArray[np.float32], score: float, rgb: NDArray[np.uint8]) -> Box:
        height, width = rgb.shape[:2]
        left, top = max(0.0, float(box[0]) / width), max(0.0, float(box[1]) / height)
        right, bottom = (min(1.0, float(box[n] + box[n + 2]) / side) for n, side in ((0, width), (1, height)))
        return Box(left, top, max(0.0, right - left), max(0.0, bottom - top), score)
