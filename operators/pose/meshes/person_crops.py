"""Where a person is in each frame of a clip, and the crops that a network sees of them.

A crop has the network's aspect ratio, lies around the person's box with a margin, and may reach out of the
picture, where it is black. Boxes are interpolated over gaps and smoothed in time, so that crops move as people do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from operators.contract import Row
from operators.errors import ErrorKind, RowFailure
from operators.pose.columns import BODY_POINTS, FACE_POINTS, HAND_POINTS
from operators.pose.topology import BODY
from operators.tensors import read_tensor
from operators.video.span_frames import RGB, Crop, pixel_box

VISIBLE = 0.5
"""Visibility from which a body landmark belongs to the box."""

CROWN = 0.75
"""How high the top of the head is above the nose, over the height of the nose above the shoulders."""

FEWEST = 4
"""Landmarks that make a box."""

STEADYING = 0.15
"""Standard deviation, in seconds, of the Gaussian over which boxes are smoothed."""

SMALLEST = 8.0
"""Pixels of the smallest crop's longer side."""

Boxes = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonCrops:
    """The crops of T frames: `centres` (T, 2) and `sizes` (T, 2; width and height) in pixels of the displayed picture.

    `seen` (T,): frames in which the person was found; between them crops are interpolated.
    """

    centres: NDArray[np.float64]
    sizes: NDArray[np.float64]
    seen: NDArray[np.bool_]
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def region(self) -> Crop:
        """The part of the picture, in shares, that all crops together take."""
        low = np.clip((self.centres - self.sizes / 2).min(axis=0) - 1, 0, None)
        high = np.minimum((self.centres + self.sizes / 2).max(axis=0) + 1, [self.width, self.height])
        high = np.maximum(high, low + 1)
        x, y, right, bottom = (*low / [self.width, self.height], *high / [self.width, self.height])
        return float(x), float(y), float(right - x), float(bottom - y)

    def longest_side(self, input_size: tuple[int, int]) -> int:
        """Pixels to which the region's longer side may be shrunk with the smallest crop still at the input's size."""
        left, top, right, bottom = pixel_box(self.region, self.width, self.height)
        scale = min(1.0, float(input_size[1] / self.sizes[:, 0].min()))
        return max(1, int(np.ceil(max(right - left, bottom - top) * scale)))

    def cut(self, frames: Iterable[tuple[int, RGB]], input_size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        """The crop of each frame, uint8 (H, W, 3) for `input_size` (H, W), from pictures of `region`, in order."""
        left, top, right, bottom = pixel_box(self.region, self.width, self.height)
        height, width = input_size
        for index, picture in frames:
            shrunk = np.array([picture.shape[1] / (right - left), picture.shape[0] / (bottom - top)])
            corner = (self.centres[index] - self.sizes[index] / 2 - [left, top]) * shrunk
            scale = self.sizes[index] * shrunk / [width, height]
            # pixel centres: output (u + ½) · scale + corner is the picture's place, less ½
            shift = corner + scale / 2 - 0.5
            matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
            yield np.asarray(
                cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP),
                np.uint8,
            )

    def intrinsics(self, focal: float, input_size: tuple[int, int]) -> NDArray[np.float32]:
        """Pinhole cameras (T, 3, 3) of the crops in the network's pixels; the picture's `focal` is in its own."""
        height, width = input_size
        scale = np.array([width, height]) / self.sizes
        corner = self.centres - self.sizes / 2
        cameras = np.zeros((len(self), 3, 3), np.float32)
        cameras[:, 0, 0], cameras[:, 1, 1], cameras[:, 2, 2] = focal * scale[:, 0], focal * scale[:, 1], 1
        cameras[:, :2, 2] = (np.array([self.width, self.height]) / 2 - corner) * scale
        return cameras


def person_crops(row: Row, *, margin: float, aspect: float) -> PersonCrops:
    """The crops of a clip: around its landmarks where there are some, else along the person's track.

    Args:
        margin: how much longer the crop is than the box.
        aspect: width over height of the crops.

    Raises `RowFailure` (bad_output) where the columns do not fit, or nobody is in any frame.
    """
    height, width = (int(size) for size in row["video_resolution"])
    frames, fps = int(row["frame_count"]), float(row["fps"])
    boxes = _tracked(row, frames, fps)
    if row.get("body_landmarks") is not None:
        found = landmark_boxes(row)
        if len(found) != frames:
            raise RowFailure(ErrorKind.BAD_OUTPUT, f"body_landmarks has {len(found)} frames, not {frames}")
        boxes = np.where(np.isfinite(found), found, boxes if not np.isfinite(found).any() else np.nan)
    seen = np.asarray(np.isfinite(boxes).all(axis=1), bool)
    if not seen.any():
        raise RowFailure(ErrorKind.BAD_OUTPUT, "neither landmarks nor a track say where the person is")
    at = np.arange(frames)
    filled = np.stack([np.interp(at, at[seen], boxes[seen, axis]) for axis in range(4)], axis=1)
    pixels = filled * [width, height, width, height]
    centres = pixels[:, :2] + pixels[:, 2:] / 2
    tall = np.maximum(np.maximum(pixels[:, 3], pixels[:, 2] / aspect) * margin, SMALLEST)
    steady = max(1e-3, STEADYING * fps)
    centres = gaussian_filter1d(centres, steady, axis=0, mode="nearest")
    tall = np.exp(gaussian_filter1d(np.log(tall), steady, mode="nearest"))
    return PersonCrops(
        centres=centres, sizes=np.stack([tall * aspect, tall], axis=1), seen=seen, width=width, height=height
    )


def landmark_boxes(row: Row) -> Boxes:
    """Boxes (T, 4; x, y, width, height in shares) around the landmarks in the picture, NaN where too few are seen."""
    body = read_tensor(row, "body_landmarks", BODY_POINTS, 4, dtype=np.float64)
    presence = read_tensor(row, "presence", 4, dtype=np.float64)
    hands = read_tensor(row, "hand_landmarks", 2, HAND_POINTS, 3, dtype=np.float64)
    face = read_tensor(row, "face_landmarks", FACE_POINTS, 3, dtype=np.float64)
    crown, has_crown = _crown(body)
    points = np.concatenate([body[..., :2], crown, hands[..., :2].reshape(len(body), -1, 2), face[..., :2]], axis=1)
    counts = np.concatenate(
        [
            (body[..., 3] >= VISIBLE) & (presence[:, :1] > 0),
            has_crown & (presence[:, :1] > 0),
            np.repeat(presence[:, 2:] > 0, HAND_POINTS, axis=1),
            np.repeat(presence[:, 1:2] > 0, FACE_POINTS, axis=1),
        ],
        axis=1,
    )
    counts &= np.isfinite(points).all(axis=2) & (points >= 0).all(axis=2) & (points <= 1).all(axis=2)
    boxes = np.full((len(body), 4), np.nan)
    enough = np.flatnonzero(counts.sum(axis=1) >= FEWEST)
    low = np.where(counts[enough, :, None], points[enough], np.inf).min(axis=1)
    high = np.where(counts[enough, :, None], points[enough], -np.inf).max(axis=1)
    boxes[enough] = np.concatenate([low, np.maximum(high - low, 1e-3)], axis=1)
    return boxes


def _crown(body: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """About where the top of the head is (T, 1, 2), which has no landmark, and whether that is known (T, 1)."""
    nose, shoulders = body[:, BODY["nose"]], body[:, [BODY["left_shoulder"], BODY["right_shoulder"]]]
    above = CROWN * (shoulders[..., 1].mean(axis=1) - nose[:, 1])
    crown = np.column_stack([nose[:, 0], np.clip(nose[:, 1] - above, 0, 1)])
    return crown[:, None], ((nose[:, 3] >= VISIBLE) & (shoulders[..., 3] >= VISIBLE).all(axis=1))[:, None]


def _tracked(row: Row, frames: int, fps: float) -> Boxes:
    """Boxes on the frames' clock along the person's track, whose times are the video's; NaN outside of it."""
    times = np.asarray(row.get("track_times") if row.get("track_times") is not None else (), np.float64)
    if not times.size:
        return np.full((frames, 4), np.nan)
    track = read_tensor(row, "track_boxes", 4, dtype=np.float64)
    known = np.isfinite(track).all(axis=1) & (track[:, 2:] > 0).all(axis=1) if len(track) == len(times) else None
    if known is None or not known.any():
        return np.full((frames, 4), np.nan)
    at = float(row["clip_start_end_time"][0]) + np.arange(frames) / fps
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    inside = (at >= times[known][0] - step) & (at <= times[known][-1] + step)
    boxes = np.stack([np.interp(at, times[known], track[known, axis]) for axis in range(4)], axis=1)
    boxes[~inside] = np.nan
    return boxes
