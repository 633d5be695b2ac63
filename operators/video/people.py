"""People in the keyframes: how many, where, how large, and the shot scale that follows from that.

A face makes a person. Without one, a body counts only as a lasting track, in the same place in at
least two keyframes: a pose network alone sees people in walls and drawings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import Field

from operators import networks
from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.contract import Settings as OperatorSettings
from operators.errors import ConfigurationError
from operators.pose.landmarking.bundles import pose_bundle, read_bundle
from operators.pose.landmarking.landmarkers import Box, FaceDetectors, Pose, PoseLandmarker
from operators.video.stills import RGB, shrink, stills

LONG_SIDE = 640  # px; the networks see at most 256×256
MOST_BODIES = 2
SURE_FACE = 0.75  # score from which one keyframe is enough
VISIBLE_BODY = 0.5  # mean visibility of shoulders and hips
SAME_PLACE = 0.5  # overlap of a body with itself in another keyframe
LASTING = 2  # keyframes
LEFT, RIGHT = 0.4, 0.6  # of the frame's width
FACE_PER_TORSO = 0.34  # face box over shoulder-to-hip distance: 0.75 of a head over 2.2 heads

SCALES = (
    (0.65, "extreme close-up"),
    (0.42, "close-up"),
    (0.28, "medium close-up"),
    (0.16, "medium shot"),
    (0.11, "medium long shot"),
    (0.04, "long shot"),
    (0.0, "extreme long shot"),
)
"""Face height over frame height from which a shot has this name. A full figure that fills the frame has 0.1."""


class PeopleSettings(OperatorSettings):
    """Thresholds and, where MediaPipe's own download is preferred, its file."""

    min_face_score: float = Field(default=0.65, ge=0.3, le=1, description="score from which a face counts")
    min_pose_score: float = Field(default=0.5, ge=0.3, le=1, description="score from which a body counts")
    pose_bundle: str | None = Field(
        default=None,
        description="path of a MediaPipe pose_landmarker.task; by default it is built from pinned networks",
    )


@dataclass(frozen=True)
class Sighting:
    """What one keyframe shows: faces and bodies, in shares of the frame."""

    faces: tuple[Box, ...]
    bodies: tuple[Pose, ...]


class People(ClipOperator):
    """MediaPipe's face detectors (near and far) and pose landmarker on the three keyframes."""

    name = "people"
    version = 2
    reads = ("keyframes",)
    writes = select("people", "faces", "person_height", "person_position", "person_scale")
    Settings = PeopleSettings

    NETWORKS: ClassVar = (networks.FACES_NEAR, networks.FACES_FAR, networks.POSE_DETECTOR, networks.POSE_LANDMARKS)

    def check(self) -> None:
        for network in self.NETWORKS:
            networks.path(network)
        self._bundle_file()

    def revision(self) -> str:
        given = self.settings.pose_bundle
        own = networks.MEDIAPIPE.replace("==", "-")
        return f"{own}+{_digest(Path(given))}" if given else own

    def setup(self) -> None:
        file = self._bundle_file()
        self._faces = FaceDetectors(self.settings.min_face_score, self.settings.min_face_score)
        self._bodies = PoseLandmarker(file or pose_bundle(), self.settings.min_pose_score, MOST_BODIES)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [summary([self.look(frame) for frame in stills(clip)]) for clip in clips]

    def look(self, frame: RGB) -> Sighting:
        """Faces and bodies in one frame (uint8 H×W×3, RGB)."""
        small = shrink(frame, long_side=LONG_SIDE)
        return Sighting(tuple(self._faces(small)), tuple(self._bodies(small)))

    def _bundle_file(self) -> bytes | None:
        return read_bundle(Path(self.settings.pose_bundle)) if self.settings.pose_bundle else None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    except OSError as problem:
        raise ConfigurationError(f"people.pose_bundle cannot be read: {problem}") from problem


def summary(sightings: Sequence[Sighting]) -> Row:
    """The columns for a clip's sightings, one per keyframe."""
    faces, tracks = count_faces(sightings), faceless_tracks(sightings)
    people = faces + len(tracks)
    columns: Row = {
        "people": people,
        "faces": [len(sighting.faces) for sighting in sightings],
        "person_height": None,
        "person_position": None,
        "person_scale": "",
    }
    if people == 0:
        return columns
    if faces:
        largest = [max(seen.faces, key=lambda box: (box.height, box.x)) for seen in sightings if seen.faces]
        face_height = float(np.median([box.height for box in largest]))
        middle = float(np.median([box.centre[0] for box in largest]))
    else:
        track = max(tracks, key=lambda poses: poses[0].box.height)
        face_height = float(np.median([FACE_PER_TORSO * pose.torso for pose in track]))
        middle = float(np.median([pose.box.centre[0] for pose in track]))
    columns["person_height"] = person_height(sightings, tracks)
    columns["person_position"] = "left" if middle < LEFT else "right" if middle > RIGHT else "centre"
    columns["person_scale"] = view_scale(face_height)
    return columns


def count_faces(sightings: Sequence[Sighting]) -> int:
    """Faces that make people: as many as two keyframes show, or one keyframe shows for sure."""
    counts = sorted((len(sighting.faces) for sighting in sightings), reverse=True)
    repeated = counts[LASTING - 1] if len(counts) >= LASTING else 0
    sure = max((sum(face.score >= SURE_FACE for face in sighting.faces) for sighting in sightings), default=0)
    return max(repeated, sure)


def faceless_tracks(sightings: Sequence[Sighting]) -> list[list[Pose]]:
    """Bodies that stay in their place over keyframes and that no face belongs to."""
    free = [
        [body for body in sighting.bodies if body.visibility >= VISIBLE_BODY and not _has_face(body, sightings)]
        for sighting in sightings
    ]
    tracks: list[list[Pose]] = []
    for first, bodies in enumerate(free):
        for body in bodies:
            if any(body is known for track in tracks for known in track):
                continue
            track = [body]
            for later in free[first + 1 :]:
                track += [other for other in later if body.box.overlap(other.box) >= SAME_PLACE][:1]
            if len(track) >= LASTING:
                tracks.append(track)
    return tracks


def _has_face(body: Pose, sightings: Sequence[Sighting]) -> bool:
    return any(_belongs(face, body) for sighting in sightings for face in sighting.faces)


def _belongs(face: Box, body: Pose) -> bool:
    nose_x, nose_y = body.landmarks[0, :2]
    (x, y), reach = face.centre, max(face.width, face.height)
    return body.box.overlap(face) > 0 or (abs(nose_x - x) < reach and abs(nose_y - y) < reach)


def person_height(sightings: Sequence[Sighting], tracks: Sequence[Sequence[Pose]]) -> float | None:
    """Height of the largest person as far as the frame shows it, median over keyframes; None without a body."""
    lasting = {id(pose) for track in tracks for pose in track}
    heights = []
    for sighting in sightings:
        here = []
        for body in sighting.bodies:
            own = [face for face in sighting.faces if _belongs(face, body)]
            if own or id(body) in lasting:
                top = min([body.box.y, *(max(0.0, face.y) for face in own)])
                bottom = max([body.box.y + body.box.height, *(min(1.0, face.y + face.height) for face in own)])
                here.append(bottom - top)
        if here:
            heights.append(max(here))
    return float(np.median(heights)) if heights else None


def view_scale(face_height: float) -> str:
    """The shot scale for a face's height over the frame's."""
    return next(name for least, name in SCALES if face_height >= least)
