"""Gesture clips as BEAT2 has them (Liu et al., "EMAGE", CVPR 2024): one .npz of SMPL-X parameters, and back.

    poses (T, 165) axis-angle of the 55 joints, radians        trans (T, 3) metres
    expressions (T, 100)    betas (300,)    gender    mocap_frame_rate    model

BEAT2's world has y up and people facing +z; ours is the camera's, y down. A file is turned by half a turn about
x, which leaves the person upright where the camera was level, and facing +z where it faced the camera. Beside
BEAT2's arrays a file of ours has `rest_joints` (55, 3) and `frame_mask` (T,), and says by `flat_hand_mean`
whether its hands are rotations of their own (true, as `smplx` reads them with `flat_hand_mean=True`) or
relative to the mean hand of a body model, as `smplx` reads them by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from operators.contract import Row
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.pose.columns import BLENDSHAPES
from operators.pose.meshes.body_file import EXPRESSIONS, JOINTS, SHAPES
from operators.pose.meshes.body_model import GENERIC, BodyModel, gender_of
from operators.pose.meshes.npz import NUMBER, TEXT, TRUTH, Expected, Remedies, read_arrays
from operators.pose.motion import resampling
from operators.pose.motion.frame_spans import Frames
from operators.tensors import read_tensor

MODEL = "smplx2020"
"""What BEAT2's files give as `model`: SMPL-X with the expressions of FLAME 2020."""

SMPLX = "smplx"
"""The `expression_basis` whose coefficients BEAT2's files hold."""

HANDS = slice(25, 55)
LONGEST = 1_000_000
"""Frames of the longest file that is read, 9 hours at 30 per second."""

_TO_WORLD = np.diag([1.0, -1.0, -1.0])
"""From the camera's frame, x right and y down, to one with y up; its own inverse."""

_FRAMES = (1, LONGEST)
LAYOUT: Mapping[str, Expected] = {
    "poses": Expected((_FRAMES, 3 * JOINTS)),
    "trans": Expected((_FRAMES, 3)),
    "expressions": Expected((_FRAMES, (0, 1000))),
    "betas": Expected(((0, 1000),)),
    "gender": Expected((), TEXT),
    "mocap_frame_rate": Expected((), NUMBER),
    "rest_joints": Expected((JOINTS, 3)),
    "frame_mask": Expected((_FRAMES,), TRUTH),
    "flat_hand_mean": Expected((), TRUTH),
}
OPTIONAL = ("expressions", "betas", "gender", "rest_joints", "frame_mask", "flat_hand_mean")
REMEDIES = Remedies(
    what="BEAT2 motion",
    another="give an .npz of BEAT2 (smplxflame_30/), or one that python -m jobs.export wrote",
    pickled="save it again as plain arrays",
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A run of frames with the parameters of SMPL-X, in the camera's frame of reference (docs/gestures.md).

    `poses` (T, 55, 3) axis-angle, hands as rotations of their own; `transl` (T, 3) metres; `expression`
    (T, E) coefficients of SMPL-X, or None; `betas` (B,), empty where the shape is not known; `rest_joints`
    (55, 3) metres; `frame_mask` (T,), frames that passed every gate. All float64.
    """

    fps: float
    poses: NDArray[np.float64]
    transl: NDArray[np.float64]
    expression: NDArray[np.float64] | None
    betas: NDArray[np.float64]
    rest_joints: NDArray[np.float64]
    gender: str
    frame_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.poses)

    def cut(self, frames: Frames) -> Motion:
        """The frames [first, one past the last] alone."""
        part = slice(*frames)
        return replace(
            self,
            poses=self.poses[part],
            transl=self.transl[part],
            expression=None if self.expression is None else self.expression[part],
            frame_mask=self.frame_mask[part],
        )

    def at(self, fps: float) -> Motion:
        """The same motion at another frame rate, rotations turning evenly between frames."""
        if fps == self.fps:
            return self
        at = resampling.places(len(self), self.fps, fps)
        return replace(
            self,
            fps=fps,
            poses=resampling.turned(self.poses, at),
            transl=resampling.linear(self.transl, at),
            expression=None if self.expression is None else resampling.linear(self.expression, at),
            frame_mask=resampling.kept(self.frame_mask, at),
        )


def motion_of(row: Row) -> Motion:
    """A clip's motion, smoothed where it was. Raises `RowFailure` (bad_output) where columns do not fit."""
    poses = read_tensor(row, "poses", JOINTS, 3, dtype=np.float64)
    frames = len(poses)
    expression = row.get("expression") if row.get("expression_basis") == SMPLX else None
    mask = row.get("frame_mask")
    motion = Motion(
        fps=float(row["fps"]),
        poses=poses,
        transl=read_tensor(row, "transl", 3, dtype=np.float64),
        expression=None if expression is None else np.asarray(expression, np.float64).reshape(frames, -1),
        betas=np.asarray(row.get("betas") if row.get("betas") is not None else (), np.float64),
        rest_joints=np.asarray(row["rest_joints"], np.float64).reshape(JOINTS, 3),
        gender=gender_of(row.get("body_model")),
        frame_mask=np.ones(frames, bool) if mask is None else np.asarray(mask, bool),
    )
    if not len(motion.transl) == len(motion.frame_mask) == frames:
        lengths = f"{frames} poses, {len(motion.transl)} translations, {len(motion.frame_mask)} marks"
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"per-frame columns of different lengths: {lengths}")
    return motion


def lacks(row: Row) -> dict[str, str]:
    """What BEAT2's arrays hold zeros for in this clip, and why, by the arrays' names."""
    missing = {}
    if row.get("betas") is None:
        missing["betas"] = "the shape was not fitted: no body model file, so bones are those of rest_joints"
    if row.get("expression") is None:
        missing["expressions"] = "no expression was found"
    elif row.get("expression_basis") != SMPLX:
        missing["expressions"] = f"the expression is {BLENDSHAPES} ARKit blendshapes, not SMPL-X's coefficients"
    if row.get("body_model") in (None, GENERIC):
        missing["gender"] = "neutral, because there was no body model file"
    return missing


def to_beat2(motion: Motion, hand_means: ArrayLike | None = None) -> dict[str, NDArray[Any]]:
    """BEAT2's arrays. What is not known is zeros; see `lacks`.

    `hand_means`: mean poses of the left and the right hand of a body model, (2, 15, 3) axis-angle. With
    them the hands are written relative to these, as `smplx` and EMAGE's code read them by default.
    """
    poses, transl = _turned(motion.poses, motion.transl, motion.rest_joints[0])
    if hand_means is not None:
        poses[:, HANDS] -= np.asarray(hand_means, np.float64).reshape(30, 3)
    expressions = np.zeros((len(motion), EXPRESSIONS), np.float32)
    if motion.expression is not None:
        _fill(expressions, motion.expression, "expression")
    betas = np.zeros(SHAPES, np.float32)
    _fill(betas, motion.betas, "shape")
    whole = float(motion.fps).is_integer()
    return {
        "poses": poses.reshape(len(motion), -1).astype(np.float32),
        "expressions": expressions,
        "trans": transl.astype(np.float32),
        "betas": betas,
        "gender": np.array(motion.gender),
        "mocap_frame_rate": np.array(int(motion.fps) if whole else float(motion.fps)),
        "model": np.array(MODEL),
        "flat_hand_mean": np.array(hand_means is None),
        "rest_joints": motion.rest_joints.astype(np.float32),
        "frame_mask": motion.frame_mask,
    }


def meshes(motion: Motion, body: BodyModel) -> NDArray[np.float32]:
    """The body model's meshes in BEAT2's world, (T, 10475, 3) metres, its pelvis where the motion has it.

    Raises `ConfigurationError` for more coefficients than the model has, `MissingExtra` without `smplx`.
    """
    pelvis = body.rest_joints(motion.betas)[0]
    poses, transl = _turned(motion.poses, motion.transl + motion.rest_joints[0] - pelvis, pelvis)
    return body.vertices(poses, motion.betas, motion.expression, transl)


def from_beat2(path: Path, *, rest_joints: ArrayLike | None = None, hand_means: ArrayLike | None = None) -> Motion:
    """The motion of a BEAT2 file, of the data set itself or ours, in our camera's frame of reference.

    Args:
        rest_joints: (55, 3) metres, of the body model with the file's `betas` (`BodyModel.rest_joints`); a file
            of ours holds them. Without any they are zeros, and `transl` is off by the pelvis's place in the model.
        hand_means: (2, 15, 3), added to the hands unless the file says that they are rotations of their own.

    Raises `ConfigurationError` for a file that is none, is damaged, or holds pickles.
    """
    found = read_arrays(path, LAYOUT, REMEDIES, OPTIONAL)
    frames = len(found["poses"])
    for name in ("trans", "expressions", "frame_mask"):
        if name in found and len(found[name]) != frames:
            raise ConfigurationError(f"{path}: {frames} poses, but {len(found[name])} {name}; {REMEDIES.another}")
    for name, array in found.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ConfigurationError(f"{path}: {name} holds numbers that are none; {REMEDIES.another}")
    fps = float(found["mocap_frame_rate"])
    if not 0 < fps <= 1000:
        raise ConfigurationError(f"{path}: {fps:g} frames per second; {REMEDIES.another}")
    rest = np.asarray(
        found.get("rest_joints", np.zeros((JOINTS, 3))) if rest_joints is None else rest_joints, np.float64
    )
    poses = found["poses"].astype(np.float64).reshape(frames, JOINTS, 3)
    if hand_means is not None and not found.get("flat_hand_mean", False):
        poses[:, HANDS] += np.asarray(hand_means, np.float64).reshape(30, 3)
    poses, transl = _turned(poses, found["trans"].astype(np.float64), rest[0])
    return Motion(
        fps=fps,
        poses=poses,
        transl=transl,
        expression=found["expressions"].astype(np.float64) if "expressions" in found else None,
        betas=found.get("betas", np.zeros(0)).astype(np.float64),
        rest_joints=rest,
        gender=gender_of(str(found.get("gender", ""))),
        frame_mask=found.get("frame_mask", np.ones(frames, bool)),
    )


def _turned(
    poses: NDArray[np.float64], transl: NDArray[np.float64], root: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Poses and translations from one frame of reference to the other; `root` is the pelvis in the rest pose.

    A point of the body is G·(v − root) + root + transl, so turning the world by C makes G into C·G and leaves
    C·(root + transl) − root.
    """
    from scipy.spatial.transform import Rotation

    poses = poses.copy()
    poses[:, 0] = (Rotation.from_matrix(_TO_WORLD) * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    return poses, (root + transl) @ _TO_WORLD.T - root


def _fill(zeros: NDArray[np.float32], values: NDArray[np.float64], what: str) -> None:
    count, most = values.shape[-1], zeros.shape[-1]
    if count > most:
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{count} {what} coefficients, where BEAT2 has {most}")
    zeros[..., :count] = values
