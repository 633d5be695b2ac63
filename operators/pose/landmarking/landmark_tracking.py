"""MediaPipe's pose, hand and face landmarkers on the frames of one clip.

In video mode they follow what they found from frame to frame, and look for it anew only where it was
lost. That state belongs to one clip: a tracker is made for it and closed after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.errors import MissingExtra
from operators.pose.landmarking.bundles import Task, gives_blendshapes
from operators.pose.landmarking.landmarkers import quiet
from operators.pose.topology import BLENDSHAPE_NAMES, BODY, FACE_POINTS

UPPER_BODY = BODY["right_wrist"] + 1  # points: head, shoulders, arms

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """How many people may be in view, and scores from 0 to 1 from which something is found and followed."""

    people: int = 1
    body_score: float = 0.5
    hand_score: float = 0.5
    face_score: float = 0.5


@dataclass(frozen=True, eq=False)
class Body:
    """`points` 33×4: x, y, z in shares of the picture's width, height, width, and visibility; `world` 33×3: metres.

    `score`: mean presence of head, shoulders and arms, 0 to 1.
    """

    points: Floats
    world: Floats
    score: float


@dataclass(frozen=True, eq=False)
class Hand:
    """`points` 21×3 as a body's; `world` 21×3: metres about the hand's centre.

    `left`: how sure MediaPipe is, from 0 to 1, that it is the person's left hand.
    """

    points: Floats
    world: Floats
    left: float


@dataclass(frozen=True, eq=False)
class Face:
    """`points` 68×3 as a body's, in the order of `topology.FACE_POINTS`.

    `blendshapes`: 52 from 0 to 1 in the order of `topology.BLENDSHAPE_NAMES`, or None.
    """

    points: Floats
    blendshapes: Floats | None


@dataclass(frozen=True)
class Seen:
    """Everything that was found in one frame, in MediaPipe's order."""

    bodies: tuple[Body, ...]
    hands: tuple[Hand, ...]
    faces: tuple[Face, ...]


class LandmarkTracker:
    """The three landmarkers, for the frames of one clip in order.

    `bundles`: the bytes of a pose, a hand and a face landmarker's bundle (`operators.pose.landmarking.bundles`).
    Raises `MissingExtra` without MediaPipe.
    """

    def __init__(self, bundles: Mapping[Task, bytes], options: TrackingOptions) -> None:
        try:
            with quiet():
                import mediapipe
                from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as problem:
            raise MissingExtra("mediapipe", "lite") from problem
        self._image: Any = mediapipe.Image
        self._format = mediapipe.ImageFormat.SRGB
        self._blendshapes = gives_blendshapes(bundles["face"])
        mode = vision.RunningMode.VIDEO

        def base(task: Task) -> Any:
            return BaseOptions(model_asset_buffer=bundles[task])

        poses = vision.PoseLandmarkerOptions(
            base_options=base("pose"),
            running_mode=mode,
            num_poses=options.people,
            min_pose_detection_confidence=options.body_score,
            min_pose_presence_confidence=options.body_score,
        )
        hands = vision.HandLandmarkerOptions(
            base_options=base("hand"),
            running_mode=mode,
            num_hands=2 * options.people,
            min_hand_detection_confidence=options.hand_score,
            min_hand_presence_confidence=options.hand_score,
        )
        faces = vision.FaceLandmarkerOptions(
            base_options=base("face"),
            running_mode=mode,
            num_faces=options.people,
            min_face_detection_confidence=options.face_score,
            min_face_presence_confidence=options.face_score,
            output_face_blendshapes=self._blendshapes,
        )
        # One that is left to the garbage collector may wait for ever on the thread that it is collected in.
        with ExitStack() as made, quiet():
            self._poses = made.enter_context(vision.PoseLandmarker.create_from_options(poses))
            self._hands = made.enter_context(vision.HandLandmarker.create_from_options(hands))
            self._faces = made.enter_context(vision.FaceLandmarker.create_from_options(faces))
            self._made = made.pop_all()
        self._started = False

    def __enter__(self) -> LandmarkTracker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the landmarkers and of what they follow."""
        self._made.close()

    def __call__(self, rgb: NDArray[np.uint8], milliseconds: int) -> Seen:
        """What the next frame shows (uint8 H×W×3, RGB); `milliseconds` must grow from frame to frame."""
        image = self._image(image_format=self._format, data=rgb)
        if self._started:
            return self._look(image, milliseconds)
        with quiet():  # the first frame makes the native code tell about its set-up
            self._started = True
            return self._look(image, milliseconds)

    def _look(self, image: Any, milliseconds: int) -> Seen:
        poses = self._poses.detect_for_video(image, milliseconds)
        hands = self._hands.detect_for_video(image, milliseconds)
        faces = self._faces.detect_for_video(image, milliseconds)
        return Seen(
            tuple(map(_body, poses.pose_landmarks, poses.pose_world_landmarks)),
            tuple(map(_hand, hands.hand_landmarks, hands.hand_world_landmarks, hands.handedness)),
            tuple(
                _face(points, faces.face_blendshapes[number] if self._blendshapes else None)
                for number, points in enumerate(faces.face_landmarks)
            ),
        )


def _body(points: Any, world: Any) -> Body:
    values = np.array([(p.x, p.y, p.z, p.visibility) for p in points], np.float32)
    return Body(values, _xyz(world), float(np.mean([p.presence for p in points[:UPPER_BODY]])))


def _hand(points: Any, world: Any, handedness: Any) -> Hand:
    best = handedness[0]
    return Hand(_xyz(points), _xyz(world), best.score if best.category_name == "Left" else 1 - best.score)


def _face(points: Any, blendshapes: Any) -> Face:
    chosen = _xyz([points[index] for index in FACE_POINTS])
    if blendshapes is None:
        return Face(chosen, None)
    scores = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    for category in blendshapes:
        scores[category.index] = category.score
    return Face(chosen, scores)


def _xyz(points: Any) -> Floats:
    return np.array([(p.x, p.y, p.z) for p in points], np.float32)
