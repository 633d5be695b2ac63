"""Rows of gesture clips with smooth random motion and the noise of a measurement, for tests of what handles them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from operators.pose.columns import BLENDSHAPES, BODY_POINTS, FACE_POINTS, HAND_POINTS, JOINTS
from operators.tensors import on_grid

FPS = 30.0


def smooth(rng: np.random.Generator, frames: int, *shape: int, step: float = 0.25) -> NDArray[np.float64]:
    """Motion of unit deviation in each number, one random turn every `step` seconds, cubic between them."""
    from scipy.interpolate import CubicSpline

    turns = np.arange(0, frames / FPS + 3 * step, step)
    return CubicSpline(turns, rng.normal(size=(len(turns), *shape)))(np.arange(frames) / FPS)


def gesture_row(frames: int = 300, seed: int = 0, **columns: Any) -> dict[str, Any]:
    """A clip with every per-frame column of `lite`: hands 10 px of noise in 1000, rotations 0.6 degrees."""
    rng = np.random.default_rng(seed)

    def moving(scale: float, noise: float, *shape: int) -> NDArray[np.float64]:
        return smooth(rng, frames, *shape) * scale + rng.normal(size=(frames, *shape)) * noise

    poses = moving(0.3, 0.01, JOINTS, 3)
    poses[:, [10, 11, 23, 24]] = 0  # feet and eyes are not observed
    still = smooth(rng, frames, JOINTS, 3) * 0.3
    seen = rng.uniform(0.9, 1, (frames, BODY_POINTS, 1))
    body = np.concatenate([0.5 + moving(0.05, 0.001, BODY_POINTS, 3), seen], axis=2)
    root = np.array([0, 0, 2.5])
    return {
        "record": "clip",
        "video_id": "v",
        "clip_id": f"v_{seed:07d}",
        "clip_index": seed,
        "fps": FPS,
        "frame_count": frames,
        "body_landmarks": body.astype(np.float16),
        "body_world": moving(0.1, 0.003, BODY_POINTS, 3).astype(np.float16),
        "hand_landmarks": (0.5 + moving(0.05, 0.001, 2, HAND_POINTS, 3)).astype(np.float16),
        "hand_world": moving(0.03, 0.001, 2, HAND_POINTS, 3).astype(np.float16),
        "face_landmarks": (0.5 + moving(0.02, 0.0005, FACE_POINTS, 3)).astype(np.float16),
        "blendshapes": np.clip(moving(0.2, 0.01, BLENDSHAPES), 0, 1).astype(np.float16),
        "presence": rng.uniform(0.9, 1, (frames, 4)).astype(np.float16),
        "raw_poses": on_grid(poses),
        "raw_transl": on_grid(moving(0.1, 0.003, 3) + root),
        "expression": np.clip(moving(0.2, 0.01, BLENDSHAPES), 0, 1).astype(np.float32),
        "rest_joints": rng.normal(size=JOINTS * 3).astype(np.float32),
        "pose_confidence": rng.uniform(0.5, 1, (frames, JOINTS)).astype(np.float16),
        "joint_mask": smooth(rng, frames, JOINTS) > -2,
        "reprojection_error": np.abs(moving(0.01, 0.002)).astype(np.float32),
        "frame_mask": np.ones(frames, dtype=bool),
        "poses": on_grid(still),
        "transl": on_grid(smooth(rng, frames, 3) * 0.1 + root),
        **columns,
    }
