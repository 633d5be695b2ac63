"""MediaPipe's face detectors and pose landmarker behind plain results, in image mode, on one CPU.

Image mode keeps no state between pictures, so what is found does not depend on what was seen before.
Boxes and points are in shares of the picture's width and height.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from operators import networks
from operators.errors import MissingExtra

SEEN = 0.5  # visibility from which a landmark is taken to be in view
SAME_FACE = 0.3  # overlap from which two boxes are one face


@dataclass(frozen=True)
class Box:
    """A box in shares of the picture: left and top edge, width and height; `score` from 0 to 1."""

    x: float
    y: float
    width: float
    height: float
    score: float = 1.0

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.width / 2, self.y + self.height / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        both = across * down
        return both / (self.width * self.height + other.width * other.height - both)


class FaceDetectors:
    """BlazeFace twice: a network for near faces and one for far ones."""

    def __init__(self, near_score: float, far_score: float) -> None:
        vision, base = _tasks()
        self._detectors = []
        for network, score in ((networks.FACES_NEAR, near_score), (networks.FACES_FAR, far_score)):
            options = vision.FaceDetectorOptions(
                base_options=base(model_asset_path=str(networks.path(network))), min_detection_confidence=score
            )
            with quiet():
                detector = _until_exit(vision.FaceDetector.create_from_options(options))
                detector.detect(_image(np.zeros((64, 64, 3), np.uint8)))
            self._detectors.append(detector)

    def __call__(self, rgb: np.ndarray) -> list[Box]:
        """Faces in a picture (uint8 H×W×3, RGB), larger scores first; one box where both networks agree."""
        height, width = rgb.shape[:2]
        found: list[Box] = []
        for detector in self._detectors:
            for detection in detector.detect(_image(rgb)).detections:
                box, score = detection.bounding_box, detection.categories[0].score
                found.append(
                    Box(box.origin_x / width, box.origin_y / height, box.width / width, box.height / height, score)
                )
        faces: list[Box] = []
        for box in sorted(found, key=lambda box: (-box.score, box.x, box.y)):
            if all(box.overlap(kept) < SAME_FACE for kept in faces):
                faces.append(box)
        return faces


@dataclass(frozen=True)
class Pose:
    """A body in one picture: 33 landmarks as (x, y, visibility), float32 33×3, in MediaPipe's order."""

    landmarks: np.ndarray

    @property
    def box(self) -> Box:
        """The box around the landmarks that can be seen in the picture."""
        x, y, visibility = self.landmarks.T
        seen = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1) & (visibility >= SEEN)
        if not seen.any():
            return Box(0.0, 0.0, 0.0, 0.0, 0.0)
        left, right, top, bottom = (float(v) for v in (x[seen].min(), x[seen].max(), y[seen].min(), y[seen].max()))
        return Box(left, top, right - left, bottom - top, self.visibility)

    @property
    def torso(self) -> float:
        """Distance from between the shoulders to between the hips along the picture's height."""
        shoulders, hips = self.landmarks[[11, 12], 1].mean(), self.landmarks[[23, 24], 1].mean()
        return abs(float(hips - shoulders))

    @property
    def visibility(self) -> float:
        """Mean visibility of shoulders and hips, 0 to 1."""
        return float(self.landmarks[[11, 12, 23, 24], 2].mean())


class PoseLandmarker:
    """BlazePose on single pictures."""

    def __init__(self, bundle: bytes, score: float, most: int = 1) -> None:
        vision, base = _tasks()
        options = vision.PoseLandmarkerOptions(
            base_options=base(model_asset_buffer=bundle),
            num_poses=most,
            min_pose_detection_confidence=score,
            min_pose_presence_confidence=score,
        )
        with quiet():
            self._landmarker = _until_exit(vision.PoseLandmarker.create_from_options(options))
        self._started = False

    def __call__(self, rgb: np.ndarray) -> list[Pose]:
        """Bodies in a picture (uint8 H×W×3, RGB)."""
        with contextlib.nullcontext() if self._started else quiet():
            bodies = self._landmarker.detect(_image(rgb)).pose_landmarks
        self._started = self._started or bool(bodies)
        return [
            Pose(np.array([(point.x, point.y, point.visibility) for point in body], np.float32)) for body in bodies
        ]


def _tasks() -> tuple[Any, Any]:
    os.environ.setdefault("GLOG_minloglevel", "3")
    try:
        with quiet():
            from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as problem:
        raise MissingExtra("mediapipe", "lite") from problem
    return vision, BaseOptions


def _image(rgb: np.ndarray) -> Any:
    import mediapipe

    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))


def _until_exit(task: Any) -> Any:
    """The task, let go of at the interpreter's exit.

    Closing it then would need MediaPipe's executor, which Python has shut down by that time, and its
    destructor would print a traceback for that. The process takes the native part along.
    """
    atexit.register(setattr, task, "_handle", None)
    return task


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing on the process's standard error: MediaPipe's native code logs every step of its start there."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
