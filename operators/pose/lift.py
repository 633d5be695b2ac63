"""Landmarks to SMPL-X joint rotations, by a fit to each whole clip.

The pose is that of SMPL-X's rest frame turned into the camera's (x right, y down, z away), so that `smplx`
with these poses, `betas` and `transl` gives the body before that camera. What no landmark tells keeps its
prior: the twist of a straight arm, how a bend of the trunk is shared between the joints of the spine, toes, eyes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from operators.columns import select as standard
from operators.contract import Resources, Row, Settings, tuning
from operators.errors import ErrorKind, MissingExtra, RowFailure
from operators.models.device import Device, choose_device
from operators.models.files import ModelFiles
from operators.models.one_file import path_in
from operators.models.operator import ModelOperator
from operators.pose.columns import BLENDSHAPES, select
from operators.pose.fitting.proportions import generic_proportions, model_proportions
from operators.pose.meshes.body_model import GENERIC, BodyModel, body_model_files
from operators.pose.meshes.crop_cameras import Picture
from operators.pose.meshes.joint_evidence import reprojection_errors
from operators.pose.skeleton import joints_from_offsets
from operators.tensors import on_grid, read_tensor

WORST_ERROR = 1e3
"""Heights of the person; a reprojection error is stored as this at most."""

NO_BODY = "no_body"
"""The `drop_reason` of a clip in none of whose frames a body was found."""


class LiftSettings(Settings):
    """Where the fit runs, and what it takes the person and the camera to be."""

    device: Device = tuning("cpu", description="where the fit runs; auto takes a GPU where there is one")
    gpus: float | None = tuning(
        0.25, ge=0, le=8, description="GPUs of one instance, a share or whole ones; null takes what the others leave"
    )
    actors: tuple[int, int | None] = tuning(
        (1, None), description="smallest and largest number of instances; null is as many as fit"
    )
    memory_mb: int | None = tuning(None, ge=0, description="MiB of main memory of one instance; null is 1536")
    batch: int = tuning(1, ge=1, le=4096, description="clips that are fitted at once; more than 1 is for GPUs")
    body_model: str | None = Field(
        default=None,
        description="SMPL-X model file (.npz) or its folder, to fit the shape of; null: a generic person",
    )
    focal: float = Field(
        default=1.2, gt=0.1, le=100, description="focal length of the video's camera, in longer sides of its picture"
    )


class Lift(ModelOperator):
    """SMPL-X poses from landmarks, with the proportions that the clip shows.

    Frames without a body, and hands that were not found, turn evenly between their neighbours; `joint_mask` and
    `pose_confidence` say that they were not observed. Numbers are float32 on every device; on a CPU clips are
    fitted one by one, so that a row does not depend on its neighbours, on a GPU it does by rounding.
    """

    name = "lift"
    reads = (
        "video_resolution", "fps", "body_landmarks", "body_world", "hand_landmarks", "hand_world", "face_landmarks",
        "blendshapes", "presence",
    )  # fmt: skip
    writes = pa.schema(
        [
            *select(
                "raw_poses", "raw_transl", "expression", "expression_basis", "betas", "rest_joints", "body_model",
                "camera", "pose_confidence", "joint_mask", "reprojection_error", "reprojection_median",
            ),
            *standard("drop_reason"),
        ]
    )  # fmt: skip
    Settings = LiftSettings
    needs = Resources(memory_mb=1536)

    def files(self) -> tuple[ModelFiles, ...]:
        return (self._body_files,) if self.settings.body_model is not None else ()

    @property
    def _body_files(self) -> ModelFiles:
        return body_model_files("lift.body_model", self.settings.body_model)

    def setup(self) -> None:
        self.device = choose_device(self.settings.device)
        try:
            from operators.pose.fitting import clip_fit, observations
        except ImportError as problem:
            raise MissingExtra(problem.name or "roma", "gestures") from problem
        self._observations: Any = observations
        self._body: BodyModel | None = None
        if self.settings.body_model is not None:
            self._body = BodyModel(path_in(self.located(self._body_files), self._body_files))
        proportions = generic_proportions() if self._body is None else model_proportions(self._body)
        self._fit: Any = clip_fit.ClipFit(proportions, self.device)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        results: list[Row | RowFailure] = [{"drop_reason": NO_BODY}] * len(clips)
        waiting = []
        for number, row in enumerate(clips):
            try:
                picture = self._picture(row)
                observed = self._observations.read_observations(row, picture)
            except RowFailure as failure:
                results[number] = failure
                continue
            if observed["body_weight"].any():
                waiting.append((number, row, picture, observed))
        for group in self.portions(waiting, 1 if self.device.type == "cpu" else self.settings.batch):
            numbers, rows, pictures, arrays = zip(*group, strict=True)
            fitted = self._fitted(rows, pictures, arrays)
            for place, (number, row, picture) in enumerate(zip(numbers, rows, pictures, strict=True)):
                results[number] = self._columns(row, picture, {name: value[place] for name, value in fitted.items()})
        return results

    def _picture(self, row: Row) -> Picture:
        try:
            height, width = (int(side) for side in row["video_resolution"])
        except (TypeError, ValueError, KeyError) as problem:
            message = f"video_resolution is not [height, width]: {problem}"
            raise RowFailure(ErrorKind.BAD_OUTPUT, message) from problem
        return Picture(width, height, self.settings.focal * max(width, height))

    def _fitted(self, rows: Sequence[Row], pictures: Sequence[Picture], arrays: Sequence[Any]) -> dict[str, Any]:
        """Of each field of `clip_fit.Fitted` an array with one entry per clip, padded to the longest."""
        import torch

        fps = [float(row["fps"]) for row in rows]
        with torch.inference_mode():
            fitted = self._fit(self._observations.batch(arrays, pictures, fps).to(self.device))
        return {name: value.cpu().numpy() for name, value in vars(fitted).items()}

    def _columns(self, row: Row, picture: Picture, fitted: dict[str, Any]) -> Row:
        frames = len(row["presence"])
        poses, root = on_grid(fitted["poses"][:frames]), fitted["root"][:frames]
        rest = joints_from_offsets(fitted["offsets"].astype(np.float64))
        transl = on_grid(root - rest[0])
        errors = reprojection_errors(row, poses.astype(np.float64), rest, transl.astype(np.float64), picture)
        known = errors[np.isfinite(errors)]
        return {
            "raw_poses": poses,
            "raw_transl": transl,
            **_expression(row),
            "betas": None if self._body is None else fitted["shape"].astype(np.float32),
            "rest_joints": rest.astype(np.float32).reshape(-1),
            "body_model": GENERIC if self._body is None else self._body.label,
            "camera": {
                "focal": picture.focal,
                "centre_x": picture.width / 2,
                "centre_y": picture.height / 2,
                "width": picture.width,
                "height": picture.height,
            },
            "pose_confidence": fitted["confidence"][:frames].astype(np.float16),
            "joint_mask": fitted["mask"][:frames],
            "reprojection_error": np.minimum(np.nan_to_num(errors), WORST_ERROR).astype(np.float32),
            "reprojection_median": float(np.median(known)) if known.size else None,
        }


def _expression(row: Row) -> Row:
    if row.get("blendshapes") is None:
        return {"expression": None, "expression_basis": None}
    found = np.nan_to_num(read_tensor(row, "blendshapes", BLENDSHAPES))
    return {"expression": found, "expression_basis": "arkit"}
