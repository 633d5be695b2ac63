"""Landmarks of the speaker's body, hands and face on every frame of a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from operators import contract, networks
from operators.contract import ClipOperator, OpenMedia, Resources, Row, is_out_of_memory
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.pose import columns
from operators.pose.landmarking.attribution import Person, attribute
from operators.pose.landmarking.bundles import (
    NETWORKS,
    Task,
    face_bundle,
    gives_blendshapes,
    hand_bundle,
    pose_bundle,
    read_bundle,
)
from operators.pose.landmarking.landmark_columns import landmark_columns
from operators.pose.landmarking.landmark_tracking import LandmarkTracker, Seen, TrackingOptions
from operators.pose.landmarking.landmarkers import Box
from operators.tensors import read_tensor
from operators.video.limits import LimitSettings
from operators.video.local_media import open_local
from operators.video.span_frames import Crop, Limits, SpanFrames, frame_count, pixel_box

RGB = NDArray[np.uint8]

EUROPEAN = (25.0, 50.0)  # frames per second of sources that `auto` looks at 25 times a second
SAME_RATE = 0.01  # share by which a rate may be off

BUILDERS: Mapping[Task, Callable[[], bytes]] = {"pose": pose_bundle, "hand": hand_bundle, "face": face_bundle}


class LandmarksSettings(LimitSettings):
    """The clock, where to look, what counts as found, and MediaPipe's own bundles where they are preferred."""

    fps: Literal["auto", 25, 30] = Field(
        default="auto", description="frames per second that are looked at; auto: 25 for sources of 25 or 50, else 30"
    )
    margin: float = Field(
        default=0.2, ge=0, le=1, description="looked at around the person's boxes, over the longer side of their union"
    )
    longest_side: int = Field(
        default=1280, ge=256, le=4096, description="pixels; pictures with a longer side are shrunk to it"
    )
    min_body_score: float = Field(default=0.5, ge=0.1, le=1, description="score from which a body is found")
    min_hand_score: float = Field(
        default=0.3, ge=0.1, le=1, description="score from which a hand is found, at a wrist of the body"
    )
    min_face_score: float = Field(default=0.5, ge=0.1, le=1, description="score from which a face is found")
    pose_bundle: str | None = Field(
        default=None,
        description="path of a MediaPipe pose_landmarker.task; by default it is built from pinned networks",
    )
    hand_bundle: str | None = Field(default=None, description="likewise, a hand_landmarker.task")
    face_bundle: str | None = Field(
        default=None, description="likewise, a face_landmarker.task; MediaPipe's own also gives blendshapes"
    )


@dataclass(frozen=True)
class Track:
    """Where a person is: presentation times (N) in seconds, and boxes (N×4) x, y, width, height in shares."""

    times: NDArray[np.float64]
    boxes: NDArray[np.float32]

    def at(self, time: float) -> Box:
        """The box at a time, between the two nearest."""
        x, y, width, height = (float(np.interp(time, self.times, side)) for side in self.boxes.T)
        return Box(x, y, width, height)

    def crop(self, margin: float, width: int, height: int) -> Crop:
        """The box around all boxes and `margin` × its longer side, in a picture of so many pixels."""
        low, high = self.boxes[:, :2].min(axis=0), (self.boxes[:, :2] + self.boxes[:, 2:]).max(axis=0)
        around = margin * float(np.max((high - low) * (width, height)))
        left, top = float(low[0]) - around / width, float(low[1]) - around / height
        right, bottom = float(high[0]) + around / width, float(high[1]) + around / height
        return left, top, right - left, bottom - top


class Landmarks(ClipOperator):
    """MediaPipe's pose, hand and face landmarkers in video mode, made anew for every clip.

    Each clip is looked at through one crop: around all boxes of its person, or the whole picture where
    there is no track. What is not found has presence 0 and zeros; nothing is filled in.
    """

    name = "landmarks"
    version = 1
    reads = (
        "video_path", "video_resolution", "video_fps", "clip_start_end_time", "clip_start_end_idx",
        "person", "track_times", "track_boxes",
    )  # fmt: skip
    writes = columns.select(*(field.name for field in columns.LANDMARKS))
    Settings = LandmarksSettings
    resources = Resources(cpus=1.0, memory_mb=1200)

    NETWORKS: ClassVar = tuple(network for pair in NETWORKS.values() for network in pair)

    def __init__(
        self, settings: contract.Settings | None = None, *, open_media: OpenMedia | None = None, isolate: bool = True
    ) -> None:
        super().__init__(settings, open_media=open_media)
        limits = self.settings.model_dump(include=set(LimitSettings.model_fields))
        self._frames = SpanFrames(Limits(owner=self.name, **limits), isolate=isolate)

    def check(self) -> None:
        for task, pair in NETWORKS.items():
            if self._given(task) is not None:
                self._bundle(task)
                continue
            for network in pair:
                networks.path(network)

    def revision(self) -> str:
        given = [f"{task}-{_digest(path, task)}" for task in NETWORKS if (path := self._given(task))]
        return "+".join([networks.MEDIAPIPE.replace("==", "-"), *given])

    def setup(self) -> None:
        self._bundles: dict[Task, bytes] = {task: self._bundle(task) for task in NETWORKS}
        self._blendshapes = gives_blendshapes(self._bundles["face"])
        try:
            self.tracker().close()
        except (RuntimeError, ValueError) as problem:
            raise ConfigurationError(f"the landmarkers cannot be made of their bundles: {problem}") from problem

    def close(self) -> None:
        """End the decoding process; the next clip starts a new one."""
        self._frames.close()

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        return [self._annotated(clip) for clip in clips]

    def _annotated(self, clip: Row) -> Row | RowFailure:
        try:
            return self.landmarks(clip)
        except RowFailure as failure:
            return failure

    def landmarks(self, clip: Row) -> Row:
        """The columns of one clip. Raises `RowFailure`."""
        start, stop = (float(value) for value in clip["clip_start_end_time"])
        first, end = (int(value) for value in clip["clip_start_end_idx"])
        fps = _rate(self.settings.fps, float(clip["video_fps"]))
        height, width = (int(value) for value in clip["video_resolution"])
        track = _track(clip)
        edges = pixel_box(track.crop(self.settings.margin, width, height) if track else None, width, height)
        crop = edges[0] / width, edges[1] / height, (edges[2] - edges[0]) / width, (edges[3] - edges[1]) / height

        def box(index: int) -> Box | None:
            return _in_crop(track.at(start + index / fps), crop) if track else None

        with (self.open_media or open_local)(clip["video_path"]) as media:
            pictures = self._frames.read(
                media.path,
                (start, stop),
                fps=fps,
                frames=(first, end),
                crop=crop,
                longest_side=self.settings.longest_side,
            )
            people = 1 if clip.get("person") in (None, "only") else 2
            found = list(self.follow(pictures, fps, people, box))
        if len(found) != frame_count((start, stop), fps):
            raise RowFailure(ErrorKind.DECODE, f"{len(found)} frames came of {frame_count((start, stop), fps)}")
        return landmark_columns(found, fps, crop, blendshapes=self._blendshapes)

    def follow(
        self,
        pictures: Iterable[tuple[int, RGB]],
        fps: float,
        people: int = 1,
        box: Callable[[int], Box | None] = lambda _: None,
    ) -> Iterator[Person]:
        """The person in each of a clip's pictures, (index, uint8 H×W×3 RGB) in order.

        `people`: as many may be in view; `box` gives the box of the person's track at a picture, in shares
        of it, or None. Raises `RowFailure` (model).
        """
        last: RGB | None = None
        person = Person(None, None, None, None)
        with self.tracker(people) as tracker:
            for index, rgb in pictures:
                if rgb is not last:  # else the same picture is still on display
                    seen = _seen(tracker, rgb, round(1000 * index / fps))
                    person = attribute(seen, (rgb.shape[1], rgb.shape[0]), box(index))
                    last = rgb
                yield person

    def tracker(self, people: int = 1) -> LandmarkTracker:
        """The three landmarkers, new, for one clip; after `setup`."""
        options = TrackingOptions(
            people=people,
            body_score=self.settings.min_body_score,
            hand_score=self.settings.min_hand_score,
            face_score=self.settings.min_face_score,
        )
        return LandmarkTracker(self._bundles, options)

    def _given(self, task: Task) -> str | None:
        return getattr(self.settings, f"{task}_bundle")

    def _bundle(self, task: Task) -> bytes:
        path = self._given(task)
        return BUILDERS[task]() if path is None else read_bundle(Path(path), task)


def _rate(wanted: str | int, source: float) -> float:
    if wanted != "auto":
        return float(wanted)
    return 25.0 if any(abs(source - rate) <= SAME_RATE * rate for rate in EUROPEAN) else 30.0


def _track(clip: Row) -> Track | None:
    """The person's track; None where there is none."""
    if clip.get("track_times") is None or clip.get("track_boxes") is None:
        return None
    boxes = read_tensor(clip, "track_boxes", 4)
    times = np.asarray(clip["track_times"], np.float64)
    if len(times) != len(boxes):
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{len(times)} track_times for {len(boxes)} track_boxes")
    whole = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    return Track(times[whole], boxes[whole]) if whole.any() else None


def _in_crop(box: Box, crop: Crop) -> Box:
    x, y, width, height = crop
    return Box((box.x - x) / width, (box.y - y) / height, box.width / width, box.height / height)


def _seen(tracker: LandmarkTracker, rgb: RGB, milliseconds: int) -> Seen:
    try:
        return tracker(rgb, milliseconds)
    except Exception as problem:
        if is_out_of_memory(problem):
            raise
        raise RowFailure(ErrorKind.MODEL, f"MediaPipe: {type(problem).__name__}: {problem}") from problem


def _digest(path: str, task: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:12]
    except OSError as problem:
        raise ConfigurationError(f"landmarks.{task}_bundle cannot be read: {problem}") from problem
