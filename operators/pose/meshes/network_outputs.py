"""What the outputs of an exported network mean: parts of an SMPL-X body, by name, form and shape.

| part              | shape per picture     | what it is |
|-------------------|-----------------------|------------|
| `global_orient`   | 1 rotation            | of the body before the camera: x right, y down, z away |
| `body_pose`       | 21 rotations          | of SMPL-X's joints 1 to 21 against their parents |
| `jaw_pose`, `leye_pose`, `reye_pose` | 1 rotation | likewise |
| `left_hand_pose`, `right_hand_pose` | 15 rotations | likewise |
| `poses`           | 55 rotations          | in the place of all those above |
| `betas`           | up to 300             | shape, averaged over the clip |
| `expression`      | up to 100             | SMPL-X's expression |
| `camera`          | 3                     | weak perspective of the crop: s, x, y |
| `crop_transl`     | 3                     | translation in metres in a pinhole camera of the crop, `crop_focal` |
| `transl`          | 3                     | translation in metres in the picture's camera; with `intrinsics` |
| `confidence`      | 1 or 55               | 0 to 1, of the whole or by joint |

One rotation is 3 numbers (axis-angle, radians), 9 (a matrix, by rows) or 6 (the first two columns of the matrix, or
its first two rows, one after the other; Zhou et al., "On the Continuity of Rotation Representations", CVPR
2019). Extra axes of length 1 do not matter, nor whether rotations have an axis of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from operators.errors import ErrorKind, RowFailure
from operators.pose.columns import JOINTS

Form = Literal["axis_angle", "matrix", "6d_columns", "6d_rows"]
NUMBERS: Mapping[Form, int] = {"axis_angle": 3, "matrix": 9, "6d_columns": 6, "6d_rows": 6}

ROTATIONS: Mapping[str, slice] = {
    "global_orient": slice(0, 1),
    "body_pose": slice(1, 22),
    "jaw_pose": slice(22, 23),
    "leye_pose": slice(23, 24),
    "reye_pose": slice(24, 25),
    "left_hand_pose": slice(25, 40),
    "right_hand_pose": slice(40, 55),
}
"""Joints of each part."""

WHOLE = "poses"
VALUES: Mapping[str, tuple[int, ...]] = {
    "betas": (),
    "expression": (),
    "camera": (3,),
    "crop_transl": (3,),
    "transl": (3,),
    "confidence": (1, JOINTS),
}
"""Other parts, with how many numbers they may have; any up to `MOST_COEFFICIENTS` where none is said."""

PARTS = (*ROTATIONS, WHOLE, *VALUES)
PLACES = ("transl", "crop_transl", "camera")
"""Parts that say where the body is, the first that a network gives."""

MOST_COEFFICIENTS = 300

Array = NDArray[np.float64]


def chosen(there: Collection[str], named: Mapping[str, str]) -> dict[str, str]:
    """Which output is which part: those of `named`, and for the others the output of the part's own name.

    Raises `RowFailure` (model), in words, where a named output is not there, or the rotations or the place
    of a body are missing.
    """
    if strangers := sorted(set(named.values()) - set(there)):
        raise RowFailure(ErrorKind.MODEL, f"the network has no output {', '.join(strangers)}; it has {_some(there)}")
    taken = set(named.values())
    found = {part: named.get(part, part) for part in PARTS if part in named or (part in there and part not in taken)}
    if WHOLE not in found and not {"global_orient", "body_pose"} <= set(found):
        raise RowFailure(
            ErrorKind.MODEL,
            f"the network gives neither poses nor global_orient and body_pose; name its outputs: {_some(there)}",
        )
    if not any(part in found for part in PLACES):
        raise RowFailure(
            ErrorKind.MODEL,
            f"the network gives none of {', '.join(PLACES)}; name its outputs: {_some(there)}",
        )
    return found


def _some(names: Collection[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"


def covered(parts: Collection[str]) -> NDArray[np.bool_]:
    """Which of the 55 joints these parts turn."""
    joints = np.zeros(JOINTS, bool)
    for part in parts:
        joints[slice(None) if part == WHOLE else ROTATIONS.get(part, slice(0))] = True
    return joints


def joint_rotations(parts: Mapping[str, ArrayLike], form: Form, forms: Mapping[str, Form]) -> Array:
    """The rotations of all 55 joints, axis-angle (N, 55, 3); joints that no part turns are at rest.

    `forms` are those of parts that differ from `form`. Raises `RowFailure` (model) for other shapes, and where
    numbers are none or make no rotation.
    """
    frames = len(np.asarray(next(iter(parts.values()))))
    poses = np.zeros((frames, JOINTS, 3))
    for part, joints in {WHOLE: slice(0, JOINTS), **ROTATIONS}.items():
        if part in parts:
            count = joints.stop - joints.start
            own = forms.get(part, form)
            poses[:, joints] = as_axis_angle(numbers(part, parts[part], (count * NUMBERS[own],)), own, part)
    return poses


def numbers(part: str, given: ArrayLike, counts: tuple[int, ...]) -> Array:
    """A part's numbers, (N, count), all finite. Raises `RowFailure` (model) for any other count."""
    array = np.asarray(given, np.float64)
    flat = array.reshape(len(array), -1) if array.ndim > 1 else array[:, None]
    if flat.shape[1] not in (counts or range(1, MOST_COEFFICIENTS + 1)):
        expected = " or ".join(map(str, counts)) or f"1 to {MOST_COEFFICIENTS}"
        raise RowFailure(
            ErrorKind.MODEL,
            f"{part} has {flat.shape[1]} numbers a picture, not {expected}; say its form in rotations or forms",
        )
    if not np.isfinite(flat).all():
        raise RowFailure(ErrorKind.MODEL, f"{part} holds numbers that are none; set precision=float32")
    return flat


def as_axis_angle(flat: Array, form: Form, part: str) -> Array:
    """Rotations (N, count × numbers) of a form as axis-angle (N, count, 3) of length 0 to π."""
    from scipy.spatial.transform import Rotation

    values = flat.reshape(-1, NUMBERS[form])
    if form == "axis_angle":
        rotations = Rotation.from_rotvec(values)
    else:
        matrices = values.reshape(-1, 3, 3) if form == "matrix" else _orthonormal(values, form, part)
        if (np.abs(np.linalg.det(matrices)) < 1e-3).any() or (np.linalg.det(matrices) < 0).any():
            raise RowFailure(ErrorKind.MODEL, f"{part} holds matrices that are no rotations; say its form")
        rotations = Rotation.from_matrix(matrices)
    return rotations.as_rotvec().reshape(len(flat), -1, 3)


def _orthonormal(values: Array, form: Form, part: str) -> Array:
    """Gram and Schmidt's: the first vector as it is, the second without what lies along it, the third across."""
    first, second = values[:, :3], values[:, 3:]
    lengths = np.linalg.norm(first, axis=1, keepdims=True)
    first = first / np.where(lengths > 0, lengths, 1)
    second = second - (first * second).sum(axis=1, keepdims=True) * first
    across = np.linalg.norm(second, axis=1, keepdims=True)
    if (lengths < 1e-6).any() or (across < 1e-6).any():
        raise RowFailure(ErrorKind.MODEL, f"{part} holds vectors that span no rotation; say its form")
    second = second / across
    return np.stack([first, second, np.cross(first, second)], axis=2 if form == "6d_columns" else 1)
