"""Takes the jitter out of poses, in rotation space and only within usable spans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from operators.contract import Resources, Row, tuning
from operators.errors import ErrorKind, RowFailure
from operators.models.device import Device
from operators.models.files import ModelFiles
from operators.models.one_file import path_in
from operators.models.operator import ModelOperator, ModelSettings
from operators.pose.columns import JOINTS, select
from operators.pose.motion.frame_spans import Frames, frames_of
from operators.pose.motion.plausibility import odd
from operators.pose.motion.rotation_filter import smooth_rotations, smooth_values
from operators.pose.motion.smoothnet import SmoothNet, smoothnet_files
from operators.tensors import on_grid, read_tensor

Array = NDArray[np.float64]


class Smoothing(ModelOperator):
    """Smooths rotations and the root's place within each usable span by itself; other frames stay as fitted.

    A Savitzky–Golay filter on quaternions, or SmoothNet on rotations where its weights are given. What lies
    in a cut, a gap or a quarantine takes no part. Needs torch only for SmoothNet.
    """

    class Settings(ModelSettings):
        window: float = Field(
            default=0.3, ge=0, le=5, description="seconds that the filter looks at; 0 leaves poses as fitted"
        )
        weights: str = Field(
            default="", description="SmoothNet's weights: a .safetensors or .pt file; empty is the filter alone"
        )
        device: Device = tuning("cpu", description="where SmoothNet runs")
        batch: int = tuning(1, ge=1, le=4096, description="clips that are gathered")

    name = "smooth"
    reads = ("fps", "raw_poses", "raw_transl", "usable_spans")
    writes = select("poses", "transl")
    needs = Resources(memory_mb=256)

    def files(self) -> tuple[ModelFiles, ...]:
        return (smoothnet_files(self.settings.weights),) if self.settings.weights else ()

    def setup(self) -> None:
        self._network: SmoothNet | None = None
        for wanted in self.files():
            super().setup()
            self._network = SmoothNet(path_in(self.located(wanted), wanted), self.device)

    def recover(self, problem: Exception, clips: int) -> None:
        if self._network is not None:
            super().recover(problem, clips)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        return [self._smoothed(clip) for clip in clips]

    def _smoothed(self, clip: Row) -> Row:
        poses = read_tensor(clip, "raw_poses", JOINTS, 3)
        transl = read_tensor(clip, "raw_transl", 3)
        if len(transl) != len(poses):
            raise RowFailure(ErrorKind.BAD_OUTPUT, f"raw_transl has {len(transl)} frames, and raw_poses {len(poses)}")
        poses, transl = poses.copy(), transl.copy()
        frames = self.settings.window * float(clip["fps"])
        if frames:
            for start, end in _spans(clip, len(poses)):
                part = poses[start:end].astype(np.float64)
                poses[start:end] = on_grid(self._rotations(part, odd(frames)))
                transl[start:end] = on_grid(smooth_values(transl[start:end].astype(np.float64), odd(frames)))
        return {"poses": poses, "transl": transl}

    def _rotations(self, poses: Array, window: int) -> Array:
        return smooth_rotations(poses, window) if self._network is None else self._network.rotations(poses)


def _spans(clip: Row, frames: int) -> list[Frames]:
    spans: list[Any] = clip.get("usable_spans") or []
    found = [frames_of(span) for span in spans]
    if any(not 0 <= start < end <= frames for start, end in found):
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"usable_spans {found} do not lie within {frames} frames")
    return found
