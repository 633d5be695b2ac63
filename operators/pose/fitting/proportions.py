"""How people differ: the rest skeleton as a linear function of a few numbers that one clip shares.

Without a body model file they are scales of limbs, left and right alike; with one they are SMPL-X's betas.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operators.pose.skeleton import DIGITS, JOINT, NAMES, REST_OFFSETS, offsets_from_joints

if TYPE_CHECKING:
    from operators.pose.meshes.body_model import BodyModel

SIZE_SPREAD = 0.12
"""Standard deviation of a person's whole size, relative."""

LIMB_SPREAD = 0.06
"""Standard deviation of one limb beside that."""

BETAS = 10
"""Shape coefficients that are fitted with a body model; landmarks do not tell more."""


def _both(*names: str) -> tuple[int, ...]:
    return tuple(JOINT[f"{side}_{name}"] for name in names for side in ("left", "right"))


_digits = {digit: _both(f"{digit}2", f"{digit}3") for digit in DIGITS}

GROUPS = MappingProxyType(
    {
        "hips": _both("hip"),
        "thighs": _both("knee"),
        "shanks": _both("ankle"),
        "feet": _both("foot"),
        "trunk": tuple(JOINT[name] for name in ("spine1", "spine2", "spine3", "neck")),
        "shoulders": _both("collar", "shoulder"),
        "neck": (JOINT["head"],),
        "head": (JOINT["jaw"], *_both("eye_smplhf")),
        "upper_arms": _both("elbow"),
        "forearms": _both("wrist"),
        **{f"palm_{digit}": _both(f"{digit}1") for digit in DIGITS},
        **_digits,
    }
)
"""Joints whose distance from their parent grows together, by the name of the limb. Without the pelvis all 54."""

BODY_GROUPS = tuple(name for name in GROUPS if name not in _digits)
"""Those that body and palms tell; the digits' own are fitted with the fingers."""


@dataclass(frozen=True)
class Proportions:
    """Rest skeletons of K numbers p, float64: offsets + basis · p.

    `offsets` (55, 3) and `basis` (55, 3, K) are of each joint from its parent, metres; `precision` (K, K) is
    the inverse covariance of p about 0. The pelvis's offset is its place in the rest pose.
    """

    offsets: NDArray[np.float64]
    basis: NDArray[np.float64]
    precision: NDArray[Any]
    scaled_digits: bool
    """Whether the fingers have scales of their own beside p."""

    def group_scale(self, group: str) -> tuple[float, NDArray[np.float64]]:
        """Size of a limb against the generic person's, and its change with p, (K,)."""
        joints = list(GROUPS[group])
        generic = float(np.linalg.norm(REST_OFFSETS[joints], axis=1).sum())
        lengths = np.linalg.norm(self.offsets[joints], axis=1)
        along = self.offsets[joints] / np.maximum(lengths, 1e-6)[:, None]
        return float(lengths.sum()) / generic, np.einsum("jc,jck->k", along, self.basis[joints]) / generic


def generic_proportions() -> Proportions:
    """Scales of `BODY_GROUPS` less 1, on the generic person."""
    basis = np.zeros((len(NAMES), 3, len(BODY_GROUPS)))
    for column, name in enumerate(BODY_GROUPS):
        for joint in GROUPS[name]:
            basis[joint, :, column] = REST_OFFSETS[joint]
    count = len(BODY_GROUPS)
    covariance = SIZE_SPREAD**2 * np.ones((count, count)) + LIMB_SPREAD**2 * np.eye(count)
    return Proportions(REST_OFFSETS.copy(), basis, np.linalg.inv(covariance), scaled_digits=True)


def model_proportions(model: BodyModel) -> Proportions:
    """The first `BETAS` shape coefficients of a body model, which have unit deviation."""
    count = min(BETAS, model.n_betas)
    joints = model.shape_basis_joints[:, :, :count]
    basis = np.moveaxis(offsets_from_joints(np.moveaxis(joints, 2, 0)), 0, 2)
    return Proportions(offsets_from_joints(model.template_joints), basis, np.eye(count), scaled_digits=False)
