"""What the landmarks of several clips say, padded to one batch of tensors for the fit.

The camera's frame: x to the right of the picture, y down, z away from the camera, metres. World landmarks
are taken to be turned as this camera is: MediaPipe sees a crop, so that people far from the picture's
middle are turned by up to the angle of their line of sight, which is left as it is. Needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from operators.contract import Row
from operators.errors import ErrorKind, RowFailure
from operators.pose.columns import BODY_POINTS, FACE_POINTS, HAND_POINTS
from operators.pose.fitting.anchors import FACE_INDEX
from operators.pose.meshes.crop_cameras import Picture
from operators.pose.topology import FACE
from operators.tensors import read_tensor

UNSEEN, SEEN = 0.3, 0.7
"""Visibilities at which a body landmark starts to count and counts in full."""

DOUBTFUL = 0.5
"""Presence below which a hand is not used: MediaPipe takes it for the other one, its palm for its back."""

HAND_SPAN = 1e-3
"""Metres; a hand whose points lie closer together was not measured."""


@dataclass(frozen=True, kw_only=True)
class Observations:
    """C clips of at most T frames. Weights are 0 where there is nothing, 1 for what was seen well.

    `real` bool (C, T): frames that the clip has. `world` (C, T, 33, 3) metres and `image` (C, T, 33, 2) as x/z
    and y/z, both with `body_weight` (C, T, 33). `hand_world` (C, T, 2, 21, 3) and `hand_image` (C, T, 2, 21, 2)
    with `hand_weight` (C, T, 2). `face` (C, T, 7, 3) as x/z, y/z and depth in the same unit, and `lips`
    (C, T, 2, 2), the upper and the lower one as x/z and y/z, with `face_weight` (C, T). `pixel` (C) is the size in
    focal lengths of a 1,000th of the picture's longer side, `fps` (C) frames per second.
    """

    real: Tensor
    world: Tensor
    image: Tensor
    body_weight: Tensor
    hand_world: Tensor
    hand_image: Tensor
    hand_weight: Tensor
    face: Tensor
    lips: Tensor
    face_weight: Tensor
    pixel: Tensor
    fps: Tensor

    def at(self, frames: Tensor) -> Observations:
        """The observations of some frames of each clip, (C, S) indices."""
        clips = torch.arange(len(frames), device=frames.device)[:, None]
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Observations(
            **{name: value[clips, frames] if value.ndim > 1 else value for name, value in values.items()}
        )

    def between(self, frames: slice) -> Observations:
        """The observations of a run of frames."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Observations(**{name: value[:, frames] if value.ndim > 1 else value for name, value in values.items()})

    def to(self, device: torch.device) -> Observations:
        """The same on another device."""
        return Observations(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def read_observations(row: Row, picture: Picture) -> dict[str, NDArray[np.float32]]:
    """One clip's arrays by the names of `Observations`, first axis frames. Raises `RowFailure` for other shapes."""
    body = _read(row, "body_landmarks", BODY_POINTS, 4)
    presence = np.nan_to_num(_read(row, "presence", 4))
    ramp = np.clip((np.nan_to_num(body[..., 3]) - UNSEEN) / (SEEN - UNSEEN), 0, 1)
    ramp *= ((body[..., :2] >= 0) & (body[..., :2] <= 1)).all(-1)  # beyond the picture MediaPipe makes legs up
    hands = _read(row, "hand_world", 2, HAND_POINTS, 3)
    measured = np.linalg.norm(np.ptp(np.nan_to_num(hands), axis=2), axis=-1) > HAND_SPAN
    face = _rays(picture, _read(row, "face_landmarks", FACE_POINTS, 3))
    arrays = {
        "world": _read(row, "body_world", BODY_POINTS, 3),
        "image": _rays(picture, body[..., :2]),
        "body_weight": ramp * (presence[:, :1] > 0),
        "hand_world": hands,
        "hand_image": _rays(picture, _read(row, "hand_landmarks", 2, HAND_POINTS, 3)[..., :2]),
        "hand_weight": presence[:, 2:] * (measured & (presence[:, 2:] >= DOUBTFUL)),
        "face": face[:, list(FACE_INDEX)],
        "lips": face[:, [FACE["upper_lip"], FACE["lower_lip"]], :2],
        "face_weight": presence[:, 1],
    }
    return _finite(arrays)


def _read(row: Row, column: str, *shape: int) -> NDArray[np.float32]:
    values = read_tensor(row, column, *shape)
    frames = len(row["presence"]) if row.get("presence") is not None else len(values)
    if len(values) != frames:
        raise RowFailure(ErrorKind.BAD_OUTPUT, f"{column} has {len(values)} frames, and presence {frames}")
    return values


def _rays(picture: Picture, shares: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (…, 2 or 3) in shares of the picture as x/z, y/z and, where given, depth in the same unit."""
    rays = shares * np.array([picture.width, picture.height, picture.width][: shares.shape[-1]])
    rays[..., :2] -= picture.middle
    return (rays / picture.focal).astype(np.float32)


def _finite(arrays: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Landmarks that are no numbers weigh nothing."""
    for weight, values in (
        ("body_weight", ("world", "image")),
        ("hand_weight", ("hand_world", "hand_image")),
        ("face_weight", ("face", "lips")),
    ):
        for name in values:
            fine = np.isfinite(arrays[name])
            axes = tuple(range(arrays[weight].ndim, fine.ndim))
            arrays[weight] = arrays[weight] * fine.all(axis=axes)
            arrays[name] = np.nan_to_num(arrays[name], posinf=0, neginf=0)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def batch(
    clips: Sequence[dict[str, NDArray[np.float32]]], pictures: Sequence[Picture], fps: Sequence[float]
) -> Observations:
    """Several clips of `read_observations` padded to the longest."""
    longest = max(len(clip["face_weight"]) for clip in clips)

    def padded(name: str) -> Tensor:
        arrays = [
            np.pad(clip[name], [(0, longest - len(clip[name]))] + [(0, 0)] * (clip[name].ndim - 1)) for clip in clips
        ]
        return torch.from_numpy(np.stack(arrays))

    lengths = torch.tensor([len(clip["face_weight"]) for clip in clips])
    pixels = [max(picture.width, picture.height) / 1000 / picture.focal for picture in pictures]
    return Observations(
        real=torch.arange(longest)[None] < lengths[:, None],
        pixel=torch.tensor(pixels, dtype=torch.float32),
        fps=torch.tensor(list(fps), dtype=torch.float32),
        **{name: padded(name) for name in clips[0]},
    )
