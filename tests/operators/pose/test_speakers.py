"""`SplitSpeakers`: from films to spans, on a photograph that moves before drawn backgrounds and on real media."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from operators.contract import Row
from operators.errors import ConfigurationError
from operators.pose.columns import select
from operators.pose.people.person_spans import Moment, Span
from operators.pose.people.person_tracks import Person
from operators.pose.speakers import SplitSpeakers, _measures
from operators.video.shots import SplitShots
from pipeline.chain import check
from store.schema import check_row, to_table
from tests.operators.video.conftest import FilmStudio
from tests.stick_people import person
from tests.tiny.detector import HIGH, write_detector

FPS = 25
ADA = np.ascontiguousarray(data.astronaut()[..., ::-1])  # BGR; her wrists are hardly seen


def in_other_clothes(bgr: np.ndarray) -> np.ndarray:
    """The photograph mirrored, with another hue below the neck."""
    hsv = cv2.cvtColor(np.ascontiguousarray(bgr[:, ::-1]), cv2.COLOR_BGR2HSV)
    hsv[215:, :, 0] = (hsv[215:, :, 0].astype(int) + 70) % 180
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


BEA = in_other_clothes(ADA)


def backdrop(number: int) -> np.ndarray:
    return FilmStudio.texture(number, 640, 360) // 3 + np.uint8(60)


def picture(number: int, *people: tuple[np.ndarray, int, int, int]) -> np.ndarray:
    """A frame with people (photograph, left, top, side in pixels) before backdrop `number`."""
    frame = _backdrop(number).copy()
    for photograph, left, top, side in people:
        small = cv2.resize(photograph, (side, side), interpolation=cv2.INTER_AREA)
        frame[top : top + side, left : left + side] = small
    return frame


_backdrop = lru_cache(backdrop)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> FilmStudio:
    return FilmStudio(tmp_path_factory.mktemp("talks"))


@pytest.fixture(scope="module")
def interview(studio: FilmStudio) -> Path:
    """Ada moves for 3 s; Bea for 3 s; Ada again for 2.4 s; an empty stage for 1 s. A tone all through."""
    frames = [
        *(picture(0, (ADA, 100 + k // 2, 60, 300)) for k in range(75)),
        *(picture(1, (BEA, 300 - k // 2, 50, 310)) for k in range(75)),
        *(picture(2, (ADA, 250, 55, 305)) for _ in range(60)),
        *(picture(3) for _ in range(25)),
    ]
    return studio.make(frames, "interview.mp4", sound=FilmStudio.tone(len(frames) / FPS))


@pytest.fixture(scope="module")
def visit(studio: FilmStudio) -> Path:
    """One shot: Ada; from 3.2 s to 5.6 s Bea stands beside her."""
    ada, bea = (ADA, 10, 60, 300), (BEA, 330, 60, 300)
    frames = [picture(0, ada)] * 80 + [picture(0, ada, bea)] * 60 + [picture(0, ada)] * 70
    return studio.make(frames, "visit.mp4", sound=FilmStudio.tone(len(frames) / FPS))


class Memory:
    """A real finder that looks at no picture twice: these tests show it the same films again and again."""

    def __init__(self) -> None:
        operator = SplitSpeakers(isolate=False)
        operator.setup()
        self._find, self._seen = operator._find, {}

    def __call__(self, rgb: np.ndarray) -> Any:
        key = hashlib.sha256(rgb.tobytes()).digest()
        if key not in self._seen:
            self._seen[key] = self._find(rgb)
        return self._seen[key]


Configured = Callable[..., SplitSpeakers]


@pytest.fixture(scope="module")
def configured() -> Configured:
    """Makes ready operators in this process; no cut is found in a visit."""
    memory = Memory()

    def make(**given: Any) -> SplitSpeakers:
        operator = SplitSpeakers(SplitSpeakers.Settings(threshold=40, **given), isolate=False)
        operator._find = memory  # type: ignore[assignment]
        return operator

    return make


@pytest.fixture(scope="module")
def speakers(configured: Configured) -> SplitSpeakers:
    return configured(min_hands_share=0)


@pytest.fixture(scope="module")
def pairs(configured: Configured) -> SplitSpeakers:
    return configured(people=2)


def rows_of(operator: SplitSpeakers, path: Path, **more: Any) -> tuple[list[Row], Row]:
    *clips, record = operator([{"video_id": "v", "uri": str(path), "extra": '{"a": 1}', **more}])
    assert [row["record"] for row in (*clips, record)] == ["clip"] * len(clips) + ["video"]
    return clips, record


def verdicts(clips: list[Row]) -> list[tuple[list[int], str | None]]:
    return [(clip["clip_start_end_idx"], clip["drop_reason"]) for clip in clips]


def test_a_person_who_comes_again_keeps_her_id(speakers: SplitSpeakers, interview: Path):
    clips, record = rows_of(speakers, interview)
    assert verdicts(clips) == [([0, 75], None), ([75, 150], None), ([150, 210], None), ([210, 235], "no_person")]
    assert [clip["speaker_id"] for clip in clips] == ["v_s00", "v_s01", "v_s00", None]
    assert [clip["person"] for clip in clips] == ["only"] * 3 + [None]
    assert [clip["people"] for clip in clips] == [1, 1, 1, 0]
    assert [clip["clip_id"] for clip in clips] == [f"v_{n:07d}" for n in range(4)]
    assert (record["status"], record["n_clips"], record["has_audio"]) == ("done", 4, True)


def test_measures_are_told_of_kept_and_dropped_spans(speakers: SplitSpeakers, interview: Path):
    clips, _ = rows_of(speakers, interview)
    first, *_, empty = clips
    assert first["face_share"] == 1 and first["upper_body_share"] > 0.5
    assert 0.4 < first["person_height"] < 0.9
    boxes, times = first["track_boxes"], first["track_times"]
    assert boxes.shape == (len(times), 4) and boxes.dtype == np.float32
    assert times == pytest.approx([0.4 * k for k in range(8)], abs=0.001)
    centres = boxes[:, 0] + boxes[:, 2] / 2
    assert centres[-1] - centres[0] == pytest.approx(0.5 * 70 / 640, abs=0.03)  # she moves half a pixel a frame
    assert (empty["face_share"], empty["upper_body_share"], empty["hands_share"]) == (0, 0, 0)
    assert empty["person_height"] is None and empty["track_boxes"] is None and len(empty["track_times"]) == 3


def test_a_visitor_cuts_the_shot_and_every_moment_belongs_to_one_clip(speakers: SplitSpeakers, visit: Path):
    clips, record = rows_of(speakers, visit)
    assert [clip["drop_reason"] for clip in clips] == [None, "two_people", None]
    bounds = [clip["clip_start_end_idx"] for clip in clips]
    assert bounds == [[0, 70], [70, 140], [140, 210]]  # samples every 10 frames; the last good one is frame 70
    assert [clip["speaker_id"] for clip in clips] == ["v_s00", None, "v_s00"]
    times = [clip["clip_start_end_time"] for clip in clips]
    assert times[0][0] == 0 and times[-1][1] == pytest.approx(record["video_duration"])
    assert all(a[1] == b[0] for a, b in pairwise(times))
    whole, _ = shots_of(visit)
    assert b"".join(clip["audio"] for clip in clips) == b"".join(clip["audio"] for clip in whole)
    for clip in clips:
        start, stop = clip["clip_start_end_time"]
        assert len(clip["keyframes"]) == 3 and all(start <= time < stop for time in clip["keyframe_times"])
        assert clip["clip_duration"] == pytest.approx(stop - start)


def shots_of(path: Path) -> tuple[list[Row], Row]:
    *clips, record = SplitShots(isolate=False)([{"video_id": "v", "uri": str(path)}])
    return clips, record


def test_two_people_are_dropped_or_kept_as_two_rows_that_name_each_other(pairs: SplitSpeakers, visit: Path):
    clips, record = rows_of(pairs, visit)
    assert [clip["drop_reason"] for clip in clips] == ["one_person", None, None, "one_person"]
    left, right = clips[1:3]
    assert (left["person"], right["person"]) == ("left", "right")
    assert left["partner_clip_id"] == right["clip_id"] and right["partner_clip_id"] == left["clip_id"]
    assert left["clip_start_end_idx"] == right["clip_start_end_idx"] and left["audio"] == right["audio"]
    assert (left["speaker_id"], right["speaker_id"]) == ("v_s00", "v_s01")
    assert left["track_boxes"][:, 0].max() < 0.5 <= right["track_boxes"][:, 0].min() + 0.05
    assert record["n_clips"] == 4 and left["people"] == right["people"] == 2


def test_small_pictures_are_not_looked_at(interview: Path):
    operator = SplitSpeakers(
        SplitSpeakers.Settings.model_validate({"min_resolution": 480}), isolate=False
    )  # no network is loaded
    clips, _ = rows_of(operator, interview)
    assert [clip["drop_reason"] for clip in clips] == ["low_resolution"] * 4
    assert all(clip["face_share"] is None and clip["people"] is None for clip in clips)


def test_thresholds_decide_and_hands_are_wanted_by_default(configured: Configured, interview: Path):
    def reasons(**given: Any) -> list[str | None]:
        return [clip["drop_reason"] for clip in rows_of(configured(**given), interview)[0]]

    assert reasons(min_person_height=0.95, min_hands_share=0)[:3] == ["person_too_small"] * 3
    assert reasons(min_clip_seconds=2.8, min_hands_share=0)[:3] == [None, None, "too_short"]
    assert reasons(min_hands_share=1.0)[2] == "hands_hidden"


def test_rows_fit_the_declared_columns_and_name_their_author(speakers: SplitSpeakers, interview: Path):
    clips, _ = rows_of(speakers, interview)
    table = to_table(
        [{name: clip[name] for name in SplitSpeakers.writes.names} for clip in clips], SplitSpeakers.writes
    )
    assert table.num_rows == 4 and table.schema.field("track_boxes").type == pa.list_(pa.list_(pa.float32(), 4))
    for column in ("face_share", "speaker_id", "of_score", "audio"):
        assert clips[0]["provenance"][column] == f"speakers/2@{speakers.revision()}"
    assert "speaker_id" not in clips[-1]["provenance"]
    check([SplitSpeakers()])


def test_who_is_away_at_a_sample_has_an_empty_box_there_that_fits_its_column():
    who = Person({0: person(0.5), 1: person(0.5)})
    moments = [Moment(30 * k, float(k)) for k in range(4)]
    span = Span(begin=moments[0], end=moments[3], reason="person_hidden", subjects=(who,), samples=(0, 1, 2), people=1)
    about = _measures(span, who, moments)
    assert (about["track_boxes"][:2, 2:] > 0).all()
    assert about["track_boxes"][2].tolist() == [0, 0, 0, 0]
    check_row({"track_boxes": about["track_boxes"]}, select("track_boxes"))


def test_rows_are_the_same_in_a_child_process_after_other_videos(
    speakers: SplitSpeakers, interview: Path, visit: Path
):
    clips, record = rows_of(speakers, visit)
    isolated = SplitSpeakers(speakers.settings)
    isolated.setup()
    try:
        given = [{"video_id": "v", "uri": str(path), "extra": '{"a": 1}'} for path in (interview, visit)]
        rows = [row for row in isolated(given) if row["video_path"] == str(visit)]
    finally:
        isolated.close()
    assert comparable(rows) == comparable([*clips, record])


def comparable(rows: list[Row]) -> list[Row]:
    return [
        {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}
        for row in rows
    ]


@pytest.fixture(scope="module")
def whole_visit(pairs: SplitSpeakers, visit: Path) -> tuple[list[Row], Row]:
    return rows_of(pairs, visit)


@settings(deadline=None, max_examples=6)
@given(stored=st.sets(st.integers(0, 3), min_size=1))
def test_any_clips_stored_before_leave_the_others(
    pairs: SplitSpeakers, visit: Path, whole_visit: tuple[list[Row], Row], stored: set[int]
):
    whole, record = whole_visit
    have = {index: tuple(whole[index]["clip_start_end_idx"]) for index in stored}
    rest, again = rows_of(pairs, visit, have=have)
    assert comparable(rest) == comparable([clip for clip in whole if clip["clip_index"] not in stored])
    assert again == record


def test_a_stored_span_that_differs_asks_for_a_restart(speakers: SplitSpeakers, visit: Path):
    clips, record = rows_of(speakers, visit, have={0: (0, 70), 1: (70, 141)})
    assert record["restart"] is True and clips == []
    assert rows_of(speakers, visit)[1].get("restart") is None


def test_a_damaged_video_keeps_its_spans_and_files_that_are_none_fail(
    speakers: SplitSpeakers, studio: FilmStudio, tmp_path: Path
):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    clips, record = rows_of(speakers, broken)
    assert clips == [] and (record["status"], record["error"]["kind"]) == ("failed", "unreadable")
    assert record["error"]["operator"] == "speakers"
    noise = np.random.default_rng(3).integers(0, 255, (120, 360, 640, 3), np.uint8)
    film = studio.make([*[picture(0)] * 50, *noise], "noise.mkv", codec="ffv1", options={"slicecrc": "1"})
    content = bytearray(film.read_bytes())
    start = len(content) // 3
    content[start:-2000] = bytes(len(content) - start - 2000)
    film.write_bytes(bytes(content))
    clips, record = rows_of(speakers, film)
    assert record["n_clips"] == len(clips) >= 1 and record["status"] in ("partial", "done")
    assert clips[0]["clip_start_end_idx"][0] == 0


def test_a_shot_ends_after_three_of_the_longest_clips():
    operator = SplitSpeakers(SplitSpeakers.Settings.model_validate({"max_clip_seconds": 20}), isolate=False)
    options = operator.pass_options()
    assert options.max_clip_seconds == 60 and options.samples_per_second == 2.5 and options.owner == "speakers"
    assert SplitShots().pass_options().samples_per_second == 0


def test_files_of_models_are_checked_and_change_the_fingerprint(tmp_path: Path):
    plain = SplitSpeakers()
    absent = SplitSpeakers.Settings.model_validate({"yolo": {"model": str(tmp_path / "absent.onnx")}})
    with pytest.raises(ConfigurationError, match=r"speakers\.yolo\.model cannot be read"):
        SplitSpeakers(absent).check()
    network = tmp_path / "net.onnx"
    network.write_bytes(b"one")
    given = SplitSpeakers(SplitSpeakers.Settings.model_validate({"yolo": {"model": str(network)}}))
    before = given.fingerprint()
    assert before != plain.fingerprint()
    network.write_bytes(b"other")
    assert given.fingerprint() != before


def test_an_optional_detector_finds_people_whom_the_other_networks_do_not(studio: FilmStudio, tmp_path: Path):
    pytest.importorskip("onnx", reason="onnx is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra: models)")
    frame = np.full((360, 640, 3), 114, np.uint8)
    frame[140:180, 280:320] = (0, 0, 255)  # a red square, in BGR
    frames = [frame] * 60
    film = studio.make(frames, "square.mp4")
    network = write_detector(tmp_path / "tiny.onnx")
    operator = SplitSpeakers(SplitSpeakers.Settings.model_validate({"yolo": {"model": str(network)}}), isolate=False)
    operator.setup()
    [clip], _ = rows_of(operator, film)
    assert (clip["people"], clip["drop_reason"]) == (1, "upper_body_hidden")
    assert clip["person_height"] == pytest.approx(HIGH * 2 / 360, abs=0.02)  # the network sees it at half size


REAL = {
    "gesture_oliver.mp4": [None],
    "gesture_conan.mp4": [None],
    "two_people_gesturing.mp4": ["two_people"],
    "great_wall.mp4": ["no_person"],
}


@pytest.fixture(scope="module")
def strict(configured: Configured) -> SplitSpeakers:
    return configured()


@pytest.mark.parametrize("name", REAL)
def test_real_media_get_the_verdict_that_a_viewer_gives(strict: SplitSpeakers, shared_media: Path, name: str):
    clips, record = rows_of(strict, shared_media / name)
    assert [clip["drop_reason"] for clip in clips] == REAL[name]
    assert clips[0]["clip_start_end_time"] == [0.0, record["video_duration"]]
    if REAL[name] == [None]:
        assert min(clips[0]["face_share"], clips[0]["upper_body_share"], clips[0]["hands_share"]) > 0.95


def test_real_drawings_and_torsos_are_dropped_throughout(strict: SplitSpeakers, shared_media: Path):
    tapping, _ = rows_of(strict, shared_media / "tapping.mp4")
    assert {clip["drop_reason"] for clip in tapping} == {"no_person", "upper_body_hidden"}
    cartoon, _ = rows_of(strict, shared_media / "cartoon.mp4")
    assert {clip["drop_reason"] for clip in cartoon} <= {"no_person", "upper_body_hidden", "person_too_small"}


def test_two_real_people_are_kept_left_and_right_while_both_are_seen(pairs: SplitSpeakers, shared_media: Path):
    clips, _ = rows_of(pairs, shared_media / "two_people_gesturing.mp4")
    left, right = [clip for clip in clips if clip["drop_reason"] is None]
    assert (left["person"], right["person"]) == ("left", "right")
    assert left["clip_start_end_time"] == right["clip_start_end_time"]
    start, stop = left["clip_start_end_time"]
    assert start < 2 and stop > 4 and left["speaker_id"] != right["speaker_id"]
    assert np.nanmax(left["track_boxes"][:, 0]) < np.nanmin(right["track_boxes"][:, 0])
