"""The user's SMPL-X body model: joints of a shape, and meshes of poses.

The file is not ours to give: register at smpl-x.is.tue.mpg.de, and mind its licence. Coordinates are those of
SMPL-X: metres, x to the person's left, y up, z to the front in the rest pose; a joint of the posed body stands at
G · (rest joint − rest root) + rest root + transl, where G is made of the rotations from the root on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from operators.errors import ConfigurationError, MissingExtra
from operators.models.device import import_torch
from operators.models.files import ModelFiles
from operators.models.one_file import one_file
from operators.models.source import DIGITS
from operators.pose.meshes.body_file import EXPRESSIONS, JOINTS, SHAPES, VERTICES, read_body_file
from operators.pose.skeleton import PARENTS

if TYPE_CHECKING:
    import torch

GENERIC = "generic"
"""The value of the column `body_model` where there was no file."""

FILE_NAMES = ("SMPLX_NEUTRAL_2020.npz", "SMPLX_NEUTRAL.npz", "SMPLX_FEMALE.npz", "SMPLX_MALE.npz")
"""Names of the distributed files, the first that is in a folder."""

GENDERS = ("neutral", "female", "male")
PORTION = 32
"""Frames that are posed at once: some 70 MB of intermediate numbers each portion."""

_GENDER = re.compile(rf"(?:^|[^a-z])({'|'.join(GENDERS)})(?:[^a-z]|$)")


def body_model_files(setting: str, reference: str) -> ModelFiles:
    """The body model that a person names: its .npz file, or the folder with the distributed files.

    Raises `ConfigurationError` for a pickle.
    """
    if reference.lower().endswith(".pkl"):
        read_body_file(Path(reference))
    return one_file(setting, reference, suffixes=(".npz",), names=FILE_NAMES)


class BodyModel:
    """A body model file, read and checked. Needs `smplx` and torch only for meshes.

    `name` is the file's without ending, `gender` neutral, female or male by that name, `revision` names the
    bytes, and `label` is what the column `body_model` says. `parents` is int64 (55,), the root's −1; `faces`
    int64 (F, 3); `hand_means` float64 (2, 15, 3), the mean pose of the left and the right hand in axis-angle,
    to which `smplx` takes hand poses as relative unless `flat_hand_mean=True`.
    """

    def __init__(self, path: Path) -> None:
        """Raises `ConfigurationError` for a file that is no SMPL-X body, and for a pickle."""
        arrays = read_body_file(path)
        self.path = path
        self.name = path.stem
        found = _GENDER.search(self.name.lower())
        self.gender = found[1] if found else "neutral"
        self.parents = arrays["kintree_table"][0].astype(np.int64)
        self.parents[0] = -1
        self.faces = arrays["f"].astype(np.int64)
        self.hand_means = np.stack([arrays["hands_meanl"], arrays["hands_meanr"]]).astype(np.float64).reshape(2, 15, 3)
        self.template = arrays["v_template"].astype(np.float64)
        self._regressor = arrays["J_regressor"].astype(np.float64)
        self._weights = arrays["weights"].astype(np.float32)
        self._posedirs = arrays["posedirs"].astype(np.float32)
        bases = arrays["shapedirs"].astype(np.float32)
        shapes, expressions = (SHAPES, EXPRESSIONS) if bases.shape[2] >= SHAPES + EXPRESSIONS else (10, 10)
        self._shapes = bases[:, :, :shapes]
        self._expressions = bases[:, :, shapes : shapes + expressions]
        self._check()

    def _check(self) -> None:
        for name in ("template", "_regressor", "_weights", "_posedirs", "_shapes", "_expressions", "hand_means"):
            if not np.isfinite(getattr(self, name)).all():
                raise ConfigurationError(f"{self.path}: {name.strip('_')} holds numbers that are none; get it again")
        if tuple(self.parents) != PARENTS:
            raise ConfigurationError(f"{self.path} is no SMPL-X body: its joints hang together in another way")
        if self.faces.min() < 0 or self.faces.max() >= VERTICES:
            raise ConfigurationError(f"{self.path}: triangles of vertices that are not there; get the file again")

    @cached_property
    def revision(self) -> str:
        """Names the file and its bytes, for fingerprints and provenance: "SMPLX_NEUTRAL@" and hex digits."""
        with self.path.open("rb") as file:
            return f"{self.name}@{hashlib.file_digest(file, 'sha256').hexdigest()[:DIGITS]}"

    @property
    def label(self) -> str:
        """The file's name and the gender, such as "SMPLX_NEUTRAL_2020 neutral"."""
        return f"{self.name} {self.gender}"

    @property
    def n_betas(self) -> int:
        """Shape coefficients that the file has, 300 or 10."""
        return self._shapes.shape[2]

    @property
    def n_expressions(self) -> int:
        """Expression coefficients that the file has, 100 or 10."""
        return self._expressions.shape[2]

    @cached_property
    def template_joints(self) -> NDArray[np.float64]:
        """Joints of the mean shape in the rest pose, (55, 3) metres."""
        return self._regressor @ self.template

    @cached_property
    def shape_basis_joints(self) -> NDArray[np.float64]:
        """How the rest joints move with each shape coefficient, (55, 3, n_betas) metres."""
        return self._on_joints(self._shapes)

    @cached_property
    def expression_basis_joints(self) -> NDArray[np.float64]:
        """The same for each expression coefficient, (55, 3, n_expressions) metres; small, but not nothing."""
        return self._on_joints(self._expressions)

    def _on_joints(self, bases: NDArray[np.float32]) -> NDArray[np.float64]:
        from scipy.sparse import csr_array

        flat = csr_array(self._regressor) @ bases.reshape(VERTICES, -1).astype(np.float64)
        return flat.reshape(JOINTS, 3, -1)

    def rest_joints(self, betas: ArrayLike = ()) -> NDArray[np.float64]:
        """Joints of a shape in the rest pose, (55, 3) metres; coefficients that are not given are 0.

        Raises `ConfigurationError` for more coefficients than the file has.
        """
        shape = _vector(betas, self.n_betas, "shape", self.path)
        return self.template_joints + self.shape_basis_joints[:, :, : len(shape)] @ shape

    def rest_vertices(self, betas: ArrayLike = ()) -> NDArray[np.float64]:
        """The mesh of a shape in the rest pose, (10475, 3) metres. Raises as `rest_joints`."""
        shape = _vector(betas, self.n_betas, "shape", self.path)
        return self.template + self._shapes[:, :, : len(shape)].astype(np.float64) @ shape

    def vertices(
        self,
        poses: ArrayLike,
        betas: ArrayLike = (),
        expression: ArrayLike | None = None,
        transl: ArrayLike | None = None,
        *,
        device: str = "cpu",
    ) -> NDArray[np.float32]:
        """The posed meshes, (T, 10475, 3) metres. Arguments and errors as those of `posed`."""
        meshes = [mesh for mesh, _ in self._portions(poses, betas, expression, transl, device)]
        return np.concatenate([np.zeros((0, VERTICES, 3), np.float32), *meshes])

    def posed(
        self,
        poses: ArrayLike,
        betas: ArrayLike = (),
        expression: ArrayLike | None = None,
        transl: ArrayLike | None = None,
        *,
        device: str = "cpu",
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Posed meshes (T, 10475, 3) and joints (T, 55, 3) in metres, by the skinning of the `smplx` library.

        Args:
            poses: (T, 55, 3) axis-angle, hands as rotations of their own and not relative to `hand_means`.
            betas: up to `n_betas` coefficients, for the whole sequence.
            expression: (T, up to `n_expressions`) coefficients of SMPL-X.
            transl: (T, 3) metres, SMPL-X's: added to everything.
            device: of torch.

        Raises `MissingExtra` without `smplx` or torch, `ConfigurationError` for more coefficients than there are.
        """
        meshes, joints = [np.zeros((0, VERTICES, 3), np.float32)], [np.zeros((0, JOINTS, 3), np.float32)]
        for mesh, places in self._portions(poses, betas, expression, transl, device):
            meshes.append(mesh)
            joints.append(places)
        return np.concatenate(meshes), np.concatenate(joints)

    def _portions(
        self, poses: ArrayLike, betas: ArrayLike, expression: ArrayLike | None, transl: ArrayLike | None, device: str
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        torch = import_torch()
        lbs = _skinning()
        angles = np.asarray(poses, np.float32).reshape(-1, JOINTS * 3)
        faces = np.zeros((len(angles), 1), np.float32) if expression is None else np.asarray(expression, np.float32)
        if faces.shape[1] > max(1, self.n_expressions):
            raise ConfigurationError(
                f"{self.path} has {self.n_expressions} expression coefficients, not {faces.shape[1]}"
            )
        moves = np.zeros((len(angles), 3), np.float32) if transl is None else np.asarray(transl, np.float32)
        if not len(angles) == len(faces) == len(moves):
            raise ValueError(f"{len(angles)} poses, {len(faces)} expressions and {len(moves)} translations")
        body = self._on_device(torch.device(device))
        shaped = torch.from_numpy(self.rest_vertices(betas).astype(np.float32)).to(device)
        bases = body["expressions"][:, :, : faces.shape[1]]
        for start in range(0, len(angles), PORTION):
            part = slice(start, start + PORTION)
            with torch.inference_mode():
                mesh, joints = lbs(
                    torch.from_numpy(faces[part]).to(device),
                    torch.from_numpy(angles[part]).to(device),
                    shaped,
                    bases,
                    body["posedirs"],
                    body["regressor"],
                    body["parents"],
                    body["weights"],
                )
                move = torch.from_numpy(moves[part]).to(device)[:, None]
                yield (mesh + move).cpu().numpy(), (joints + move).cpu().numpy()

    def _on_device(self, device: torch.device) -> dict[str, Any]:
        torch = import_torch()
        held: dict[Any, dict[str, Any]] = self.__dict__.setdefault("_devices", {})
        if device not in held:
            flat = self._posedirs.reshape(VERTICES * 3, -1).T
            arrays = {
                "expressions": self._expressions,
                "posedirs": np.ascontiguousarray(flat),
                "regressor": self._regressor.astype(np.float32),
                "weights": self._weights,
                "parents": self.parents,
            }
            held[device] = {name: torch.from_numpy(array).to(device) for name, array in arrays.items()}
        return held[device]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_devices"}


def gender_of(label: str | None) -> str:
    """The gender that a value of the column `body_model` ends with; neutral where it names none."""
    last = (label or "").rpartition(" ")[2]
    return last if last in GENDERS else "neutral"


def _skinning() -> Any:
    try:
        from smplx.lbs import lbs
    except ImportError as problem:
        raise MissingExtra("smplx", "smplx") from problem
    return lbs


def _vector(values: ArrayLike, most: int, what: str, path: Path) -> NDArray[np.float64]:
    vector = np.asarray(values, np.float64).reshape(-1)
    if len(vector) > most:
        raise ConfigurationError(f"{path} has {most} {what} coefficients, not {len(vector)}")
    return vector
