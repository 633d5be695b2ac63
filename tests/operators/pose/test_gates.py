"""Every gate fires on a sequence built to break it, where it is broken, and on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from operators.contract import Row
from operators.errors import RowFailure
from operators.pose.gates import PoseGates
from operators.pose.motion.frame_spans import frames_of, masked, runs
from operators.pose.motion.plausibility import UPPER_BODY
from operators.pose.skeleton import JOINT, NAMES
from store.schema import to_table
from tests.talking_poses import FACING_CAMERA, talking_row

FPS_AND_STEP = [(15.0, 1), (25.0, 2), (30.0, 2), (60.0, 4)]
SEEDS = st.integers(0, 2**16)


def judged(clip: Row, **chosen: Any) -> Row:
    (result,) = PoseGates(PoseGates.Settings(**chosen)).annotate([clip])
    assert isinstance(result, dict)
    to_table([result], PoseGates.writes)
    return result


def found(result: Row) -> set[str]:
    return {finding["gate"] for finding in result["gates"]}


def of(result: Row, gate: str) -> list[dict[str, Any]]:
    return [finding for finding in result["gates"] if finding["gate"] == gate]


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(FPS_AND_STEP))
def test_nothing_fires_on_a_person_who_talks(seed: int, rate: tuple[float, int]):
    fps, _ = rate
    result = judged(talking_row(int(8 * fps), fps, seed))
    assert result["gates"] == []
    assert result["frame_mask"].all()
    assert result["usable_spans"] == [{"start_frame": 0, "end_frame": int(8 * fps), "start": 0.0, "end": 8.0}]
    assert result["drop_reason"] is None
    assert 0.1 < result["gesture_speed"] < 1


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(("left", "right")), st.floats(152, 178), st.sampled_from(FPS_AND_STEP), st.booleans())
def test_a_wrist_turned_too_far_is_found_for_as_long(
    seed: int, side: str, degrees: float, rate: tuple[float, int], about_y: bool
):
    fps, _ = rate
    clip = talking_row(int(12 * fps), fps, seed)
    ramp = np.interp(np.arange(int(12 * fps)) / fps, [4, 5, 6, 7], [0, degrees, degrees, 0])  # at most 180°/s
    joint = JOINT[f"{side}_wrist"]
    clip["raw_poses"][:, joint] = np.radians(ramp)[:, None] * ((0, 1, 0) if about_y else (0.6, 0, -0.8))
    result = judged(clip, quarantine=15)
    assert found(result) == {"wrist_rotation", "quarantine"}
    (hit,) = of(result, "wrist_rotation")
    assert hit["joint"] == f"{side}_wrist"
    assert hit["value"] == pytest.approx(degrees, abs=0.01)
    over = runs(ramp > 150)
    assert [frames_of(hit)] == over
    assert (hit["start"], hit["end"]) == (over[0][0] / fps, over[0][1] / fps)
    second = round(fps)
    expected = masked([(over[0][0] - second, over[0][1] + second)], int(12 * fps))
    assert np.array_equal(result["frame_mask"], ~expected)


@settings(max_examples=40, deadline=None)
@given(
    SEEDS,
    st.sampled_from([NAMES[joint] for joint in UPPER_BODY if joint != 0]),
    st.floats(35, 120),
    st.sampled_from(FPS_AND_STEP),
    st.integers(60, 100),
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
)
def test_a_jump_is_found_at_its_frames(
    seed: int, name: str, degrees: float, rate: tuple[float, int], at: int, axis: tuple[float, float, float]
):
    fps, step = rate
    clip = talking_row(int(12 * fps), fps, seed)
    joint = JOINT[name]
    turn = Rotation.from_rotvec(np.array(axis) / np.linalg.norm(axis) * np.radians(degrees))
    clip["raw_poses"][at:, joint] = (turn * Rotation.from_rotvec(clip["raw_poses"][at:, joint])).as_rotvec()
    result = judged(clip, quarantine=0, wrist_rotation=180, facing=180)
    (hit,) = of(result, "pose_change")
    assert hit["joint"] == name
    assert hit["value"] > 25
    assert frames_of(hit) == (at - step + 1, at + step)
    assert of(result, "quarantine") == [{**hit, "gate": "quarantine", "joint": None, "value": None}]
    assert np.array_equal(result["frame_mask"], ~masked([frames_of(hit)], int(12 * fps)))


@pytest.mark.parametrize(("fps", "step"), FPS_AND_STEP)
def test_the_limit_of_a_change_is_25_degrees_in_a_fifteenth_of_a_second(fps: float, step: int):
    for degrees_per_second, fires in ((15 * 24.5, False), (15 * 25.5, True)):
        clip = talking_row(int(4 * fps), fps)
        angle = np.radians(np.clip(np.arange(int(4 * fps)) / fps - 1, 0, 0.4) * degrees_per_second)
        clip["raw_poses"][:, JOINT["right_shoulder"]] = angle[:, None] * np.array([0, 0, 1])
        assert ("pose_change" in found(judged(clip))) is fires


def test_the_papers_quarantine_is_ten_seconds_each_way_and_empties_a_short_clip():
    clip = talking_row(900)
    clip["raw_poses"][400:, JOINT["head"], 0] = 0.8
    result = judged(clip)
    assert [frames_of(finding) for finding in of(result, "quarantine")] == [(99, 702)]
    assert [frames_of(span) for span in result["usable_spans"]] == [(0, 99), (702, 900)]
    short = talking_row(300)
    short["raw_poses"][100:, JOINT["head"], 0] = 0.8
    result = judged(short)
    assert result["drop_reason"] == "no_usable_span"
    assert result["usable_spans"] == []
    assert not result["frame_mask"].any()
    assert result["gesture_speed"] > 0.1
    assert judged(short, quarantine=15)["drop_reason"] is None


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from(("head", "left_shoulder", "right_elbow")), st.integers(1, 40))
def test_a_missing_joint_is_found_unless_it_is_back_at_once(seed: int, name: str, frames: int):
    clip = talking_row(seed=seed)
    clip["joint_mask"][100 : 100 + frames, JOINT[name]] = False
    result = judged(clip)
    if frames <= 6:
        assert result["gates"] == []
        return
    (hit,) = result["gates"]
    assert (hit["gate"], hit["joint"], frames_of(hit)) == ("missing", name, (100, 100 + frames))
    assert hit["value"] == pytest.approx(frames / 30)
    assert np.array_equal(result["frame_mask"], ~masked([(100, 100 + frames)], 300))


def test_legs_and_hands_may_be_missing():
    clip = talking_row()
    for name in NAMES:
        if "hip" in name or "knee" in name or "wrist" in name or "index" in name or "jaw" in name:
            clip["joint_mask"][:, JOINT[name]] = False
    assert judged(clip)["gates"] == []


def test_joints_that_are_not_seen_are_not_judged():
    clip = talking_row()
    joint = JOINT["left_wrist"]
    clip["raw_poses"][100:200, joint] = (3.0, 0, 0)
    assert {"wrist_rotation", "pose_change"} <= found(judged(clip))
    clip["joint_mask"][100:200, joint] = False
    assert judged(clip)["gates"] == []


def test_a_wrist_is_judged_only_while_its_hand_is_in_sight():
    clip = talking_row()
    joint = JOINT["left_wrist"]
    clip["raw_poses"][100:200, joint] = (2.0, 0, 0)  # two jumps, as its hand goes and as it comes back
    assert len(of(judged(clip, quarantine=0), "pose_change")) == 2
    clip["joint_mask"][100:200, 25:40] = False
    assert judged(clip)["gates"] == []
    clip["raw_poses"][250:, joint] = (2.0, 0, 0)
    (hit,) = of(judged(clip, quarantine=0), "pose_change")
    assert frames_of(hit) == (249, 252)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.floats(115, 175), st.booleans())
def test_a_back_is_found_while_it_is_shown(seed: int, degrees: float, to_the_left: bool):
    clip = talking_row(600, seed=seed)
    yaw = np.interp(np.arange(600) / 30, [5, 8, 12, 15], [0, degrees, degrees, 0]) * (1 if to_the_left else -1)
    assume(np.abs(np.abs(yaw) - 110).min() > 1e-3)
    facing = Rotation.from_rotvec(FACING_CAMERA)
    clip["raw_poses"][:, 0] = (Rotation.from_euler("y", yaw[:, None], degrees=True) * facing).as_rotvec()
    clip["raw_transl"][:] = 0, 0, 2.5
    result = judged(clip)
    (hit,) = result["gates"]
    assert hit["gate"] == "facing"
    assert [frames_of(hit)] == runs(np.abs(yaw) > 110)
    assert hit["value"] == pytest.approx(degrees, abs=0.01)
    assert len(result["usable_spans"]) == 2


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.integers(0, 299), st.integers(1, 50), st.floats(0.09, 1))
def test_ill_fitted_frames_are_found(seed: int, start: int, length: int, error: float):
    clip = talking_row(seed=seed)
    clip["reprojection_error"][start : start + length] = error
    result = judged(clip, shortest=0)
    (hit,) = result["gates"]
    assert (hit["gate"], frames_of(hit)) == ("reprojection", (start, min(300, start + length)))
    assert hit["value"] == pytest.approx(error)


def test_frames_without_an_error_are_not_ill_fitted():
    clip = talking_row()
    clip["reprojection_error"] = [None] * 300
    assert judged(clip)["gates"] == []
    assert judged({**clip, "reprojection_error": None})["gates"] == []


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_hands_at_rest_are_too_little_gesture(seed: int):
    clip = talking_row(seed=seed)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=clip["raw_poses"].shape) * 0.003
    clip["raw_poses"] = (clip["raw_poses"][:1] + noise).astype(np.float32)
    result = judged(clip)
    assert result["drop_reason"] == "too_little_gesture"
    (hit,) = result["gates"]
    assert (hit["gate"], frames_of(hit)) == ("gesture", (0, 300))
    assert hit["value"] == result["gesture_speed"] < 0.03
    assert result["frame_mask"].all()


def test_a_speed_that_cannot_be_taken_is_null_and_drops_nothing():
    clip = talking_row()
    clip["joint_mask"][:, JOINT["left_elbow"]] = False
    clip["joint_mask"][:, JOINT["right_elbow"]] = False
    result = judged(clip, missing=10)
    assert result["gesture_speed"] is None
    assert result["drop_reason"] is None


def test_spans_shorter_than_asked_for_are_not_usable():
    clip = talking_row()
    clip["reprojection_error"][[50, 120]] = 0.5
    result = judged(clip)
    assert [frames_of(span) for span in result["usable_spans"]] == [(51, 120), (121, 300)]
    assert [frames_of(span) for span in judged(clip, shortest=3)["usable_spans"]] == [(121, 300)]
    assert judged(clip, shortest=8)["drop_reason"] == "no_usable_span"
    assert judged(clip, shortest=8)["frame_mask"].sum() == 298


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_clips_of_hardly_a_frame_are_judged(frames: int):
    result = judged(talking_row(frames))
    assert result["drop_reason"] == "no_usable_span"
    assert len(result["frame_mask"]) == frames


def test_columns_of_other_lengths_fail_the_clip_alone():
    bad = talking_row(seed=1)
    bad["joint_mask"] = bad["joint_mask"][:-1]
    good, failed = PoseGates()([talking_row(seed=0), bad])
    assert good["error"] is None
    assert good["provenance"]["usable_spans"] == "gates/1"
    assert failed["error"]["operator"] == "gates"
    assert "299 frames" in failed["error"]["message"]
    with pytest.raises(RowFailure, match="raw_poses is missing"):
        PoseGates().annotate([{**talking_row(), "raw_poses": None}])


def test_rows_from_storage_are_judged_as_those_from_the_lift():
    clip = talking_row()
    clip["raw_poses"][100:, JOINT["head"], 0] = 0.8
    stored = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in clip.items()}
    first, second = judged(clip), judged(stored)
    assert np.array_equal(first.pop("frame_mask"), second.pop("frame_mask"))
    assert first == second


def test_what_it_writes_are_gate_columns():
    assert PoseGates.writes.names == ["gates", "frame_mask", "usable_spans", "gesture_speed", "drop_reason"]
    assert isinstance(PoseGates.writes, pa.Schema)
