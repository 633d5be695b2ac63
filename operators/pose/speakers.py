"""Split videos into spans with one speaker each: the first operator of the chain for gestures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from operators import contract, networks
from operators.columns import select
from operators.contract import Media, Resources, Row
from operators.errors import ConfigurationError
from operators.models.digests import file_digest
from operators.pose.columns import PEOPLE
from operators.pose.landmarking.bundles import pose_bundle, read_bundle
from operators.pose.landmarking.landmarkers import FaceDetectors, PoseLandmarker
from operators.pose.people.people_finder import PeopleFinder
from operators.pose.people.person_detector import PersonDetector
from operators.pose.people.person_spans import Moment, Rules, Span, has_face, shows_hands, shows_upper_body, split
from operators.pose.people.person_tracks import Person, people
from operators.pose.people.speaker_identity import Speakers, mean_look
from operators.video.events import Clip, Ended, Opened
from operators.video.keyframes import PLACES
from operators.video.one_pass import PassOptions
from operators.video.shots import SplitShots, video_facts
from operators.video.sound import SAMPLE_RATE
from operators.video.stills import decode

MOST_BODIES = 4
SHOT_PER_CLIP = 3  # shots are cut at so many times the longest clip

ABOUT_PEOPLE = (*select("people", "person_height", "drop_reason"), *PEOPLE)
UNKNOWN: Row = {field.name: None for field in ABOUT_PEOPLE}


class YoloSettings(contract.Settings):
    """An optional person detector that confirms bodies and finds those that MediaPipe misses."""

    model: str | None = Field(
        default=None, description="path of a YOLO detector exported to ONNX, with Ultralytics' output (1, 84, N)"
    )
    min_score: float = Field(default=0.4, ge=0.05, le=1, description="score from which its person counts")


class SplitSpeakers(SplitShots):
    """One video row in; its spans out as clip rows, kept and dropped, and last, always, one video record.

    The pass is that of `SplitShots`, with samples of every shot on a regular clock. People are looked for
    in these samples, and every shot is cut into spans of one verdict: a person who can be used, or the
    reason for the drop. The spans of a video tile it. With `people=2` a kept span is two rows, `person`
    left and right, that name each other in `partner_clip_id`.

    `drop_reason` of a span: low_resolution, no_person, one_person (two are wanted), two_people,
    several_people, person_hidden (there, but not seen: behind another, or missed), person_too_small,
    upper_body_hidden, facing_away, hands_hidden, person_changed and positions_changed (between two spans
    that are kept), too_short.

    Columns of motion are those of the shot that the span lies in. `have` maps clip indices to spans as in
    `SplitShots`; people are looked for again, since who is who depends on all earlier spans.
    """

    name = "speakers"
    version = 2
    writes = pa.schema([*SplitShots.writes, *ABOUT_PEOPLE])
    resources = Resources(cpus=1.0, memory_mb=1400)

    NETWORKS: ClassVar = (networks.FACES_NEAR, networks.FACES_FAR, networks.POSE_DETECTOR, networks.POSE_LANDMARKS)

    class Settings(SplitShots.Settings):
        """Settings of the pass, and what a span must show to be kept."""

        people: Literal[1, 2] = Field(default=1, description="people in a span that is kept: a speaker, or two")
        samples_per_second: float = Field(
            default=2.5, ge=0.5, le=10, description="pictures in which people are sought"
        )
        min_resolution: int = Field(default=360, ge=1, description="shorter side of the picture at least, in pixels")
        min_clip_seconds: float = Field(default=2.0, ge=0.5, le=30, description="shortest span that is kept")
        max_clip_seconds: float = Field(default=60.0, ge=10, le=300, description="longer spans are split evenly")
        min_person_height: float = Field(
            default=0.3, ge=0, le=1, description="height of what is seen of a person, over the picture's"
        )
        min_face_share: float = Field(
            default=0.5, ge=0, le=1, description="share of samples with the face seen, within a second either way"
        )
        min_upper_body_share: float = Field(
            default=0.5,
            ge=0,
            le=1,
            description="share of samples with head, shoulders and elbows in view (of two people: head and shoulders)",
        )
        min_hands_share: float = Field(
            default=0.5, ge=0, le=1, description="share of the span's samples with a hand in view (of one person)"
        )
        min_face_score: float = Field(default=0.65, ge=0.3, le=1, description="score from which a face counts")
        min_pose_score: float = Field(default=0.5, ge=0.3, le=1, description="score from which a body counts")
        pose_bundle: str | None = Field(
            default=None,
            description="path of a MediaPipe pose_landmarker.task; by default it is built from pinned networks",
        )
        yolo: YoloSettings = YoloSettings()

    def pass_options(self) -> PassOptions:
        return replace(super().pass_options(), max_clip_seconds=SHOT_PER_CLIP * self.settings.max_clip_seconds)

    def check(self) -> None:
        for network in self.NETWORKS:
            networks.path(network)
        self._bundle()
        if self.settings.yolo.model:
            _digest(self.settings.yolo.model, "speakers.yolo.model")

    def revision(self) -> str:
        revision = networks.MEDIAPIPE.replace("==", "-")
        if self.settings.pose_bundle:
            revision += f"+{_digest(self.settings.pose_bundle, 'speakers.pose_bundle')}"
        if self.settings.yolo.model:
            revision += f"+{_digest(self.settings.yolo.model, 'speakers.yolo.model')}"
        return revision

    def setup(self) -> None:
        settings = self.settings
        faces = FaceDetectors(settings.min_face_score, settings.min_face_score)
        poses = PoseLandmarker(self._bundle() or pose_bundle(), settings.min_pose_score, MOST_BODIES)
        model, score = settings.yolo.model, settings.yolo.min_score
        self._find = PeopleFinder(faces, poses, PersonDetector(Path(model), score) if model else None)

    def _bundle(self) -> bytes | None:
        return read_bundle(Path(self.settings.pose_bundle)) if self.settings.pose_bundle else None

    def _clips(self, row: Row, record: Row, media: Media) -> Iterator[Row]:
        have: Mapping[int, tuple[int, int]] = row.get("have") or {}
        opened: Opened | None = None
        speakers = Speakers(row["video_id"])
        with closing(self._events(media.path, {})) as events:
            for event in events:
                if isinstance(event, Opened):
                    opened = event
                    record |= video_facts(event)
                elif isinstance(event, Clip):
                    assert opened is not None
                    for clip, people_columns in self._spans(row, opened, event, record["n_clips"], speakers):
                        known = have.get(clip.index)
                        if known is not None and tuple(known) != (clip.first, clip.end):
                            record["restart"] = True
                            return
                        if known is None:
                            yield self._clip_row(row, opened, clip, people_columns)
                        record["n_clips"] = clip.index + 1
                elif isinstance(event, Ended):
                    self._conclude(record, replace(event, clips=record["n_clips"]), have)

    def _spans(
        self, row: Row, opened: Opened, shot: Clip, index: int, speakers: Speakers
    ) -> Iterator[tuple[Clip, Row]]:
        """The shot's rows from clip `index` on: spans as clips, and the columns about people."""
        begin, end = Moment(shot.first, shot.start), Moment(shot.end, shot.stop)
        samples = [Moment(sample.position, sample.time) for sample in shot.samples]
        if min(opened.resolution) < self.settings.min_resolution:
            yield _cut(shot, begin, end, range(len(samples)), index), {**UNKNOWN, "drop_reason": "low_resolution"}
            return
        seen = [self._find(decode(sample.jpeg)) for sample in shot.samples]
        found = people(seen, [sample.time for sample in samples], 1 / self.settings.samples_per_second)
        rules = Rules(**self.settings.model_dump(include=set(Rules.__dataclass_fields__)))
        for span in split(begin, end, samples, found, rules):
            kept = span.subjects if span.reason is None else ()
            names = speakers.name(
                [
                    mean_look([figure.look for figure in span.seen(person) if figure.look is not None])
                    for person in kept
                ],
                [(shot.index, found.index(person)) for person in kept],
            )
            ids = [f"{row['video_id']}_{index + n:07d}" for n in range(len(kept))]
            for n, subject in enumerate(span.subjects or (None,)):
                about = _measures(span, subject, samples)
                if kept:
                    about["person"] = "only" if len(kept) == 1 else ("left", "right")[n]
                    about["partner_clip_id"] = ids[1 - n] if len(kept) == 2 else None
                    about["speaker_id"] = names[n]
                yield _cut(shot, span.begin, span.end, span.samples, index), about
                index += 1


def _measures(span: Span, person: Person | None, samples: Sequence[Moment]) -> Row:
    """The columns about a span and its subject; nobody has shares of 0."""
    about: Row = {
        **UNKNOWN,
        "people": span.people,
        "drop_reason": span.reason,
        "track_times": [samples[k].time for k in span.samples],
        "face_share": 0.0,
        "upper_body_share": 0.0,
        "hands_share": 0.0,
    }
    if person is not None:
        boxes = person.boxes(span.samples).astype(np.float32)
        boxes[[not person.is_there(k) for k in span.samples]] = 0.0
        about |= {
            "person_height": span.height(person),
            "track_boxes": boxes,
            "face_share": span.share(person, has_face),
            "upper_body_share": span.share(person, shows_upper_body),
            "hands_share": span.share(person, shows_hands),
        }
    return about


def _cut(shot: Clip, begin: Moment, end: Moment, samples: Sequence[int], index: int) -> Clip:
    """The part [begin, end) of a shot as a clip; its keyframes are samples where it is not the whole shot."""
    clip = replace(shot, index=index, first=begin.frame, end=end.frame, start=begin.time, stop=end.time, samples=())
    if (begin.frame, end.frame) == (shot.first, shot.end):
        return clip
    inside = [shot.samples[k] for k in samples]
    wanted = [begin.time + place * (end.time - begin.time) for place in PLACES]
    chosen = [min(inside, key=lambda sample: (abs(sample.time - time), sample.position)) for time in wanted]
    audio = shot.audio
    if audio is not None:
        origin = round(shot.start * SAMPLE_RATE)
        low, high = (2 * (round(time * SAMPLE_RATE) - origin) for time in (begin.time, end.time))
        audio = audio[low:high]
    return replace(
        clip,
        keyframe_times=tuple(sample.time for sample in chosen),
        keyframes=tuple(sample.jpeg for sample in chosen),
        audio=audio,
    )


def _digest(path: str, setting: str) -> str:
    try:
        return file_digest(Path(path))[:12]
    except OSError as problem:
        raise ConfigurationError(f"{setting} cannot be read: {problem}") from problem
