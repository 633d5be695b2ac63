"""From what a network says of a crop to the camera of the whole picture.

Three ways in which regressors place a body, all turned into the pelvis's place before a pinhole camera with its
axis through the picture's middle:

- weak perspective (s, x, y), of HMR and its descendants: a point X of the body is drawn at s · (X + (x, y)) in
  the crop, −1 to 1 from its left to its right edge, and down alike. The camera is so far away that one metre takes
  s/2 of the crop's width, which with the picture's focal length gives the depth.
- a translation in a pinhole camera of the crop, with its axis through the crop's middle and a focal length in the
  network's pixels (SMPLer-X: 5000 for 192 × 256): scaled to the picture's focal length so that place and size
  in the picture stay.
- a translation in the picture's own camera, from networks that were given the crop's intrinsics.

A network that sees a crop alone turns the body against its line of sight through the crop's middle, not
against the camera's axis; `sight_turns` says by how much that differs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from operators.pose.meshes.person_crops import PersonCrops

Places = NDArray[np.float64]

FARTHEST = 1000.0
"""Metres beyond which a network's scale is taken to mean nothing."""


@dataclass(frozen=True)
class Picture:
    """The displayed picture's pinhole camera: `focal` in pixels, its axis through the middle."""

    width: int
    height: int
    focal: float

    @property
    def middle(self) -> NDArray[np.float64]:
        return np.array([self.width, self.height]) / 2

    def project(self, points: Places) -> NDArray[np.float64]:
        """Pixels (…, 2) of points (…, 3) before the camera."""
        return points[..., :2] / points[..., 2:] * self.focal + self.middle

    def place(self, pixels: NDArray[np.float64], depth: NDArray[np.float64]) -> Places:
        """Points (T, 3) at `depth` (T,) metres that are drawn at `pixels` (T, 2)."""
        return np.column_stack([(pixels - self.middle) * (depth / self.focal)[:, None], depth])


def from_weak_perspective(camera: ArrayLike, pelvis: Places, crops: PersonCrops, picture: Picture) -> Places:
    """The pelvis's places (T, 3) from (s, x, y) of each frame, (T, 3).

    `pelvis`: where the pelvis stands in the network's rest pose, (3,) metres, as its points count from there.
    """
    scale, x, y = np.asarray(camera, np.float64).T
    half = crops.sizes[:, 0] / 2
    drawn = np.column_stack([pelvis[0] + x, pelvis[1] + y]) * (scale * half)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = picture.focal / (scale * half)
    return picture.place(crops.centres + drawn, depth)


def from_crop_translation(
    transl: ArrayLike, pelvis: Places, focal: float, input_width: int, crops: PersonCrops, picture: Picture
) -> Places:
    """The pelvis's places (T, 3) from SMPL-X translations (T, 3) in the crop's camera of `focal` network pixels."""
    there = np.asarray(transl, np.float64) + pelvis
    own = focal * crops.sizes[:, 0] / input_width  # the crop camera's focal length in pixels of the picture
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = crops.centres + there[:, :2] / there[:, 2:] * own[:, None]
    return picture.place(drawn, there[:, 2] * picture.focal / own)


def sight_turns(crops: PersonCrops, picture: Picture) -> NDArray[np.float64]:
    """Axis-angle turns (T, 3) from the camera's axis to the line of sight through each crop's middle."""
    sight = np.column_stack([(crops.centres - picture.middle) / picture.focal, np.ones(len(crops))])
    sight /= np.linalg.norm(sight, axis=1, keepdims=True)
    across = np.cross([0.0, 0.0, 1.0], sight)
    sine = np.linalg.norm(across, axis=1, keepdims=True)
    angle = np.arctan2(sine[:, 0], sight[:, 2])[:, None]
    return across / np.where(sine > 0, sine, 1) * angle


def believable(places: Places) -> NDArray[np.bool_]:
    """Which places (T,) are before the camera and within `FARTHEST`."""
    return np.isfinite(places).all(axis=1) & (places[:, 2] > 0) & (places[:, 2] < FARTHEST)
