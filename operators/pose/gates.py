"""Marks frames whose poses cannot be trusted, and cuts what is left into usable spans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from operators import contract
from operators.columns import select as standard
from operators.contract import ClipOperator, Row
from operators.errors import ErrorKind, RowFailure
from operators.pose.columns import JOINTS, select
from operators.pose.motion.frame_spans import Frames, as_span, masked, runs, widened
from operators.pose.motion.plausibility import (
    ELBOWS,
    HANDS,
    PAPER_FPS,
    SHOULDERS,
    UPPER_BODY,
    WRISTS,
    changes,
    facing_angles,
    rotation_angles,
    step_of,
    wrist_speeds,
)
from operators.pose.skeleton import JOINT, NAMES
from operators.tensors import read_tensor

NEEDED = (JOINT["head"], *SHOULDERS, *ELBOWS)
"""Joints without which there is no upper body. The elbows' rotations show where the wrists are."""

Mask = NDArray[np.bool_]
Finding = dict[str, Any]


class PoseGates(ClipOperator):
    """Marks frames with wrists, jumps, gaps or fits that no gesture has, and drops clips with nothing left.

    Each finding names the gate, the joint, the worst value, the frames and their seconds. Values of
    `wrist_rotation`, `pose_change` and `facing` are degrees, of `missing` seconds, of `reprojection` shares
    of the person's height, of `gesture` metres per second; `quarantine` has none. A pose change is counted
    over 1/15 s, as at the paper's 15 frames per second. Joints are judged only where they were observed.
    Limits without a source are our own.
    """

    class Settings(contract.Settings):
        wrist_rotation: float = Field(
            default=150.0, gt=0, le=180, description="degrees that a wrist may be turned, about any axis (the paper's)"
        )
        pose_change: float = Field(
            default=25.0, gt=0, le=180, description="degrees that a joint may turn within 1/15 s (the paper's)"
        )
        quarantine: int = Field(
            default=150,
            ge=0,
            le=9000,
            description="frames at 15 per second that are void before and after a hit of those two (the paper's)",
        )
        facing: float = Field(
            default=110.0, gt=0, le=180, description="degrees that the chest may be turned from the camera"
        )
        missing: float = Field(
            default=0.2, ge=0, le=10, description="seconds that head, shoulders or elbows may be unseen at a time"
        )
        reprojection: float = Field(
            default=0.08, gt=0, le=10, description="largest error of a frame's fit, in heights of the person"
        )
        gesture: float = Field(
            default=0.03, ge=0, le=10, description="m/s below which the wrists of a clip count as still"
        )
        shortest: float = Field(default=2.0, ge=0, le=600, description="seconds of the shortest usable span")

    name = "gates"
    reads = ("fps", "raw_poses", "raw_transl", "rest_joints", "joint_mask", "reprojection_error")
    writes = pa.schema([*select("gates", "frame_mask", "usable_spans", "gesture_speed"), *standard("drop_reason")])

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        return [self._judged(clip) for clip in clips]

    def _judged(self, clip: Row) -> Row:
        fps = float(clip["fps"])
        poses = read_tensor(clip, "raw_poses", JOINTS, 3, dtype=np.float64)
        seen = _observed(clip, len(poses), fps)
        hits = [*self._wrists(poses, seen, fps), *self._jumps(poses, seen, fps)]
        quarantine = widened(map(_frames, hits), self._quarantine(fps), len(poses)) if hits else []
        marks = [
            *hits,
            *(_finding("quarantine", None, None, span, fps) for span in quarantine),
            *self._turned_away(clip, poses, fps),
            *self._missing(seen, fps),
            *self._ill_fitted(clip, len(poses), fps),
        ]
        mask = ~masked(map(_frames, marks), len(poses))
        usable = [span for span in runs(mask) if span[1] - span[0] >= max(1, round(self.settings.shortest * fps))]
        speed = _mean_speed(clip, poses, seen, masked(usable, len(poses)), fps)
        still = speed is not None and speed < self.settings.gesture
        if still:
            marks.append(_finding("gesture", None, speed, (0, len(poses)), fps))
        reason = "no_usable_span" if not usable else "too_little_gesture" if still else None
        return {
            "gates": sorted(marks, key=lambda mark: (mark["start_frame"], mark["gate"], mark["joint"] or "")),
            "frame_mask": mask,
            "usable_spans": [as_span(span, fps) for span in usable],
            "gesture_speed": speed,
            "drop_reason": reason,
        }

    def _quarantine(self, fps: float) -> int:
        return round(self.settings.quarantine * fps / PAPER_FPS)

    def _wrists(self, poses: NDArray[np.float64], seen: Mask, fps: float) -> Iterator[Finding]:
        angles = rotation_angles(poses, WRISTS)
        over = (angles > self.settings.wrist_rotation) & seen[:, list(WRISTS)]
        yield from _by_joint("wrist_rotation", WRISTS, over, angles, fps)

    def _jumps(self, poses: NDArray[np.float64], seen: Mask, fps: float) -> Iterator[Finding]:
        step = step_of(fps)
        turned = changes(poses, UPPER_BODY, fps)
        both = seen[:, list(UPPER_BODY)].copy()
        both[step:] &= both[:-step].copy()
        hits = np.where((turned > self.settings.pose_change) & both, turned, 0.0)
        during = np.max([np.pad(hits[k:], ((0, min(k, len(hits))), (0, 0))) for k in range(step)], axis=0)
        yield from _by_joint("pose_change", UPPER_BODY, during > 0, during, fps)

    def _turned_away(self, clip: Row, poses: NDArray[np.float64], fps: float) -> Iterator[Finding]:
        transl = read_tensor(clip, "raw_transl", 3, dtype=np.float64)
        angles = facing_angles(poses, transl, np.asarray(clip["rest_joints"], np.float64))
        yield from _runs_over("facing", "spine3", angles > self.settings.facing, angles, fps)

    def _missing(self, seen: Mask, fps: float) -> Iterator[Finding]:
        for joint in NEEDED:
            for start, end in runs(~seen[:, joint]):
                if (end - start) / fps > self.settings.missing:
                    yield _finding("missing", NAMES[joint], (end - start) / fps, (start, end), fps)

    def _ill_fitted(self, clip: Row, frames: int, fps: float) -> Iterator[Finding]:
        if clip.get("reprojection_error") is None:
            return
        errors = _of_length(read_tensor(clip, "reprojection_error", dtype=np.float64), "reprojection_error", frames)
        yield from _runs_over("reprojection", None, errors > self.settings.reprojection, errors, fps)


def _observed(clip: Row, frames: int, fps: float) -> Mask:
    """Joints that were observed, bool T × 55.

    A wrist counts only where its hand was seen before and after: without it, body landmarks tell little of
    the wrist's rotation, and where the hand comes and goes they take turns.
    """
    seen = _of_length(read_tensor(clip, "joint_mask", JOINTS, dtype=np.bool_), "joint_mask", frames).copy()
    for wrist, fingers in zip(WRISTS, HANDS, strict=True):
        hand = np.asarray(seen[:, fingers].any(axis=1), dtype=np.bool_)
        gaps = widened(runs(~hand), step_of(fps), frames)
        seen[:, wrist] &= ~masked(gaps, frames)
    return seen


def _of_length(values: NDArray[Any], column: str, frames: int) -> NDArray[Any]:
    if len(values) != frames:
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{column} has {len(values)} frames, and raw_poses {frames}")
    return values


def _mean_speed(clip: Row, poses: NDArray[np.float64], seen: Mask, usable: Mask, fps: float) -> float | None:
    """Mean speed of the wrists where they were seen, in the usable frames or, where there are none, in all."""
    speeds = wrist_speeds(poses, np.asarray(clip["rest_joints"], np.float64), fps)
    where = seen[:, list(ELBOWS)] & (usable if usable.any() else np.ones_like(usable))[:, None]
    return float(speeds[where].mean()) if where.any() else None


def _finding(gate: str, joint: str | None, value: float | None, frames: Frames, fps: float) -> Finding:
    return {"gate": gate, "joint": joint, "value": value, **as_span(frames, fps)}


def _frames(finding: Finding) -> Frames:
    return finding["start_frame"], finding["end_frame"]


def _by_joint(
    gate: str, joints: Sequence[int], over: NDArray[np.bool_], values: NDArray[np.float64], fps: float
) -> Iterator[Finding]:
    for number, joint in enumerate(joints):
        yield from _runs_over(gate, NAMES[joint], over[:, number], values[:, number], fps)


def _runs_over(
    gate: str, joint: str | None, over: NDArray[np.bool_], values: NDArray[np.float64], fps: float
) -> Iterable[Finding]:
    return [_finding(gate, joint, float(values[start:end].max()), (start, end), fps) for start, end in runs(over)]
