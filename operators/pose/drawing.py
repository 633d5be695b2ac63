"""Draws a gesture clip's poses over its pictures, as its own camera sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.contract import Row
from operators.pose.columns import BODY_POINTS, FACE_POINTS, HAND_POINTS, JOINTS
from operators.pose.skeleton import JOINT, NAMES, PARENTS, posed_joints
from operators.pose.topology import BODY
from operators.tensors import read_tensor

if TYPE_CHECKING:
    from operators.pose.meshes.body_model import BodyModel

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Bone = tuple[int, int, Colour]
Pixel = tuple[int, int]
"""In parts of a pixel, 1 / 2**SUBPIXEL."""

LEFT, RIGHT, TRUNK, LEGS = (255, 170, 50), (70, 190, 255), (240, 242, 245), (165, 172, 182)
LANDMARK, MESH = (255, 240, 120), (110, 230, 180)
OUTLINE = (20, 22, 26)
FAINT = 0.35
"""Opacity of what was not observed and is only carried over."""

NEAREST = 0.1
"""Metres before the camera from which a joint is drawn."""

SUBPIXEL = 4  # bits

_LOWER = {JOINT[f"{side}_{part}"] for side in ("left", "right") for part in ("hip", "knee", "ankle", "foot")}


class PoseDrawing:
    """A clip's joints, landmarks and, with its body model, mesh, projected once and drawn frame by frame.

    Reads `poses` and `transl` (where a clip was dropped before smoothing, the raw ones), `rest_joints`,
    `camera`, `joint_mask` and the landmarks. Raises `RowFailure` for columns that do not fit.
    """

    def __init__(self, row: Row, body: BodyModel | None = None, frames: int | None = None) -> None:
        smooth = row.get("poses") is not None
        poses = read_tensor(row, "poses" if smooth else "raw_poses", JOINTS, 3, dtype=np.float64)[:frames]
        transl = read_tensor(row, "transl" if smooth else "raw_transl", 3, dtype=np.float64)[:frames]
        self._camera: dict[str, Any] = row["camera"]
        rest = np.asarray(row["rest_joints"], np.float64).reshape(JOINTS, 3)
        self.frames = len(poses)
        self._joints, self._before = self._projected(posed_joints(poses, rest, transl))
        self._seen = read_tensor(row, "joint_mask", JOINTS, dtype=np.bool_)[:frames]
        self._points = _landmarks(row)[: self.frames]
        self._mesh = None
        if body is not None:
            betas = [] if row.get("betas") is None else row["betas"]
            self._mesh, _ = self._projected(body.vertices(poses, betas, transl=transl))

    def draw(self, picture: Picture, frame: int) -> Picture:
        """A copy of an RGB picture (of any size) with the pose of `frame` over it."""
        height, width = picture.shape[:2]
        scale = np.array([width / self._camera["width"], height / self._camera["height"]])
        drawn = picture.copy()
        if self._mesh is not None:
            _dot(drawn, self._mesh[frame] * scale)
        joints = _fixed(self._joints[frame] * scale)
        bones = [bone for bone in _BONES if self._before[frame, bone[0]] and self._before[frame, bone[1]]]
        seen = [self._observed(frame, bone) for bone in bones]
        for opacity, state in ((FAINT, False), (1.0, True)):
            self._bones(
                drawn, joints, [bone for bone, is_seen in zip(bones, seen, strict=True) if is_seen is state], opacity
            )
        points = self._points[frame] * (width, height)
        for point in _fixed(points[np.isfinite(points).all(axis=1)]):
            cv2.circle(drawn, point, 1 << SUBPIXEL, LANDMARK, cv2.FILLED, cv2.LINE_AA, SUBPIXEL)
        return drawn

    def _observed(self, frame: int, bone: Bone) -> bool:
        """Whether the joint that turns the bone was; of a palm's bones, the fingers too."""
        parent, joint, _ = bone
        return bool(self._seen[frame, parent] and (joint < _HANDS or self._seen[frame, joint]))

    def _bones(self, picture: Picture, joints: list[Pixel], bones: list[Bone], opacity: float) -> None:
        if not bones:
            return
        thick = max(2, round(min(picture.shape[:2]) / 130))
        layer = picture if opacity == 1 else picture.copy()
        for outlined in (True, False):
            for parent, joint, colour in bones:
                thin = joint >= _HANDS or colour == LEGS
                width = (max(1, thick // 2) if thin else thick) + (outlined and (1 if thin else 2))
                line = OUTLINE if outlined else colour
                cv2.line(layer, joints[parent], joints[joint], line, width, cv2.LINE_AA, SUBPIXEL)
        if opacity < 1:
            cv2.addWeighted(layer, opacity, picture, 1 - opacity, 0, dst=picture)

    def _projected(self, points: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Points (T, N, 3) in metres as pixels (T, N, 2), and which of them lie before the camera."""
        camera = self._camera
        before = points[..., 2] > NEAREST
        depth = np.where(before, points[..., 2], NEAREST)
        centre = np.array([camera["centre_x"], camera["centre_y"]])
        return points[..., :2] / depth[..., None] * camera["focal"] + centre, before


_HANDS = JOINT["left_index1"]
_ARMS = slice(BODY["left_shoulder"], BODY["right_wrist"] + 1)


def _colour(joint: int) -> Colour:
    if joint in _LOWER:
        return LEGS
    return LEFT if NAMES[joint].startswith("left_") else RIGHT if NAMES[joint].startswith("right_") else TRUNK


_BONES: list[Bone] = [(parent, joint, _colour(joint)) for joint, parent in enumerate(PARENTS) if parent >= 0]


def _landmarks(row: Row) -> NDArray[np.float64]:
    """The landmarks of arms, face and hands in shares (T, N, 2); NaN where nothing was found."""
    presence = read_tensor(row, "presence", 4, dtype=np.float64)
    body = read_tensor(row, "body_landmarks", BODY_POINTS, 4, dtype=np.float64)[:, _ARMS, :2]
    face = read_tensor(row, "face_landmarks", FACE_POINTS, 3, dtype=np.float64)[..., :2]
    hands = read_tensor(row, "hand_landmarks", 2, HAND_POINTS, 3, dtype=np.float64)[..., :2]
    parts = (body, face, hands[:, 0], hands[:, 1])
    found = [np.where(presence[:, number, None, None] > 0, part, np.nan) for number, part in enumerate(parts)]
    return np.concatenate(found, axis=1)


def _fixed(points: NDArray[np.float64]) -> list[Pixel]:
    """Points (N, 2) as OpenCV takes them, kept near the picture: its coordinates are 32-bit."""
    whole = np.round(np.clip(points, -1e4, 1e4) * (1 << SUBPIXEL)).astype(int)
    return [(x, y) for x, y in whole.tolist()]


def _dot(picture: Picture, points: NDArray[np.float64]) -> None:
    """Mix single pixels at `points` (N, 2) with the mesh's colour."""
    height, width = picture.shape[:2]
    x, y = np.round(points.clip(-1, 1e6)).astype(np.int64).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[inside], y[inside]
    picture[y, x] = (picture[y, x] * 0.4 + np.array(MESH) * 0.6).astype(np.uint8)
