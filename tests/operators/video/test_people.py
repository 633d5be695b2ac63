"""People: found where the photograph puts them, never made up from one frame's body alone."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from skimage import data

from operators import networks
from operators.errors import ConfigurationError
from operators.pose.landmarking.landmarkers import Box, Pose
from operators.video.people import People, PeopleSettings, Sighting, count_faces, faceless_tracks, summary, view_scale
from tests.drawn_clips import clip, plain

ASTRONAUT = data.astronaut()
NOTHING = Sighting((), ())


@pytest.fixture(scope="module")
def people() -> People:
    operator = People()
    operator.setup()
    return operator


def scene(*places: tuple[float, float, int]) -> np.ndarray:
    """A 720p frame with the astronaut's photograph at these (left, top, side in pixels)."""
    frame = plain((90, 90, 90), 720, 1280)
    for left, top, side in places:
        x, y = int(left * 1280), int(top * 720)
        frame[y : y + side, x : x + side] = cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA)
    return frame


@pytest.mark.parametrize(
    ("left", "position"), [(0.0, "left"), (0.22, "centre"), (0.4375, "right")]
)  # fmt: skip
def test_one_person_where_the_photograph_is(people: People, left: float, position: str):
    [row] = people([clip(scene((left, 0.0, 720)))])
    assert row["error"] is None
    assert row["people"] == 1
    assert row["faces"] == [1, 1, 1]
    assert row["person_position"] == position
    assert row["person_scale"] == "medium shot"
    assert 0.6 < row["person_height"] <= 1


@pytest.mark.parametrize(("left", "top", "side"), [(0.0, 0.0, 512), (0.5, 0.2, 512), (0.3, 0.4, 400), (0.4, 0.0, 720)])
def test_the_face_moves_and_grows_with_the_photograph(people: People, left: float, top: float, side: int):
    reference = people.look(ASTRONAUT).faces[0]
    [face] = people.look(scene((left, top, side))).faces
    x, y = reference.centre
    assert face.centre[0] * 1280 == pytest.approx(left * 1280 + x * side, abs=0.06 * side)
    assert face.centre[1] * 720 == pytest.approx(top * 720 + y * side, abs=0.06 * side)
    assert face.height * 720 == pytest.approx(reference.height * side, rel=0.3)


def test_two_people_are_two(people: People):
    [row] = people([clip(scene((0.0, 0.2, 560), (0.5, 0.2, 560)))])
    assert row["people"] == 2


@pytest.mark.parametrize("frame", [data.coffee(), data.chelsea(), plain((0, 0, 0)), plain((9, 200, 9), 1, 1)])
def test_nobody_is_found_where_nobody_is(people: People, frame: np.ndarray):
    [row] = people([clip(frame)])
    assert row["error"] is None
    assert (row["people"], row["person_scale"], row["person_position"], row["person_height"]) == (0, "", None, None)


def test_the_same_clip_gives_the_same_row_in_any_batch_and_process(people: People):
    one, other = clip(scene((0.1, 0.1, 600))), clip(data.coffee())
    alone = people.annotate([one])[0]
    fresh = People()
    fresh.setup()
    assert fresh.annotate([other, one, other])[1] == alone == people.annotate([one])[0]


def test_a_broken_keyframe_fails_only_its_clip(people: People):
    bad, good = people([{**clip(data.coffee()), "keyframes": [b"\xff\xd8"] * 3}, clip(data.coffee())])
    assert bad["error"]["kind"] == "decode"
    assert good["error"] is None


def body(x: float, y: float, visibility: float = 1.0) -> Pose:
    landmarks = np.zeros((33, 3), np.float32)
    landmarks[:, 0] = np.linspace(x, x + 0.2, 33)
    landmarks[:, 1] = np.linspace(y, y + 0.5, 33)
    landmarks[:, 2] = visibility
    return Pose(landmarks)


def face(x: float, score: float = 0.9) -> Box:
    return Box(x, 0.2, 0.1, 0.2, score)


def test_a_body_in_one_keyframe_is_nobody_and_a_lasting_one_is_somebody():
    once = [Sighting((), (body(0.3, 0.3),)), NOTHING, NOTHING]
    assert summary(once)["people"] == 0
    lasting = [Sighting((), (body(0.3, 0.3),)), NOTHING, Sighting((), (body(0.32, 0.3),))]
    assert summary(lasting)["people"] == 1
    wandering = [Sighting((), (body(0.0, 0.0),)), Sighting((), (body(0.7, 0.4),)), NOTHING]
    assert summary(wandering)["people"] == 0
    unseen = [Sighting((), (body(0.3, 0.3, visibility=0.2),))] * 3
    assert summary(unseen)["people"] == 0


def test_a_body_with_a_face_is_counted_once():
    sightings = [Sighting((face(0.3),), (body(0.3, 0.3),))] * 3
    assert faceless_tracks(sightings) == []
    assert summary(sightings)["people"] == 1


@pytest.mark.parametrize(
    ("scores", "people"),
    [(([0.7], [], []), 0), (([0.7], [0.7], []), 1), (([0.9], [], []), 1), (([0.7, 0.7], [0.7, 0.7], [0.7]), 2)],
)
def test_a_doubtful_face_needs_a_second_keyframe(scores: tuple[list[float], ...], people: int):
    sightings = [Sighting(tuple(face(0.1 + 0.3 * i, s) for i, s in enumerate(frame)), ()) for frame in scores]
    assert count_faces(sightings) == people


def test_shot_scales_follow_the_face():
    names = [view_scale(height) for height in (0.9, 0.5, 0.3, 0.2, 0.12, 0.05, 0.01)]
    assert names == [
        "extreme close-up", "close-up", "medium close-up", "medium shot", "medium long shot", "long shot",
        "extreme long shot",
    ]  # fmt: skip


def test_a_bundle_that_is_none_is_refused_before_the_run(tmp_path: Path):
    wrong = tmp_path / "pose.task"
    wrong.write_bytes(b"not a zip")
    operator = People(PeopleSettings(pose_bundle=str(wrong)))
    with pytest.raises(ConfigurationError, match="not a pose landmarker bundle"):
        operator.check()
    assert operator.fingerprint() != People().fingerprint()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        People(PeopleSettings(pose_bundle=str(tmp_path / "absent.task"))).revision()
    assert People().revision() in networks.FACES_NEAR.revision


@pytest.mark.parametrize(
    ("name", "found"),
    [("great_wall.mp4", 0), ("leaf_cuts.mp4", 0), ("two_people_gesturing.mp4", 2), ("gesture_oliver.mp4", 1)],
)
def test_people_of_real_video(people: People, shared_media: Path, name: str, found: int):
    with av.open(str(shared_media / name)) as container:
        frames = [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in islice(container.decode(video=0), 181)
        ]
    assert summary([people.look(frame) for frame in (frames[60], frames[120], frames[180])])["people"] == found
