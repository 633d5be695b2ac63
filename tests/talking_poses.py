"""Rows of a person who talks with moving hands before a camera: poses that no gate objects to."""

from __future__ import annotations

from typing import Any

import numpy as np

from operators.pose.skeleton import JOINT, NAMES, REST_JOINTS

FACING_CAMERA = (np.pi, 0.0, 0.0)
"""The pelvis's rotation: SMPL-X has y up and faces +z, the camera has y down and looks along +z."""


def talking_row(frames: int = 300, fps: float = 30.0, seed: int = 0, **columns: Any) -> dict[str, Any]:
    """A clip after `lift`: elbows swing at some 0.3 m/s at the wrists, all joints observed."""
    rng = np.random.default_rng(seed)
    seconds = np.arange(frames) / fps
    poses = np.zeros((frames, len(NAMES), 3))
    poses[:, 0] = FACING_CAMERA
    for number, side in enumerate(("left", "right")):
        sign = 1 - 2 * number
        phase, pace = rng.uniform(0, 6), rng.uniform(0.3, 0.5)
        poses[:, JOINT[f"{side}_shoulder"], 2] = -sign * 1.2
        poses[:, JOINT[f"{side}_elbow"], 1] = -sign * (1.0 + 0.6 * np.sin(2 * np.pi * pace * seconds + phase))
        poses[:, JOINT[f"{side}_wrist"], 0] = 0.3 * np.sin(2 * np.pi * 0.5 * seconds + phase)
    poses[:, JOINT["head"], 1] = 0.2 * np.sin(seconds)
    return {
        "record": "clip",
        "error": None,
        "video_id": "v",
        "clip_id": f"v_{seed:07d}",
        "clip_index": seed,
        "provenance": {},
        "fps": fps,
        "frame_count": frames,
        "raw_poses": poses.astype(np.float32),
        "raw_transl": np.tile(np.array([0.0, 0.3, 2.5], np.float32), (frames, 1)),
        "rest_joints": REST_JOINTS.reshape(-1).astype(np.float32),
        "joint_mask": np.ones((frames, len(NAMES)), dtype=bool),
        "reprojection_error": np.full(frames, 0.01, np.float32),
        **columns,
    }
