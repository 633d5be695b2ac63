"""Reads SMPL-X body model files as they are distributed (.npz), as untrusted data.

Only arrays of the expected names, shapes and number formats are read, and nothing is unpickled: an official
file holds pickled dictionaries beside its arrays (`part2num`, `joint2num`), which are left where they are.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError

VERTICES = 10_475
JOINTS = 55
SHAPES, EXPRESSIONS = 300, 100
"""Coefficients of the large files, in this order; small files have 10 and 10."""

POSE_FEATURES = 9 * (JOINTS - 1)
SHAPE_BASES = (20, 4096)  # fewest and most of shape and expression together
FACES = (4, 1_000_000)  # fewest and most triangles

_FLOAT, _WHOLE = "f", "iu"
LAYOUT: Mapping[str, tuple[tuple[int | tuple[int, int], ...], str]] = {
    "v_template": ((VERTICES, 3), _FLOAT),
    "shapedirs": ((VERTICES, 3, SHAPE_BASES), _FLOAT),
    "posedirs": ((VERTICES, 3, POSE_FEATURES), _FLOAT),
    "J_regressor": ((JOINTS, VERTICES), _FLOAT),
    "kintree_table": ((2, JOINTS), _WHOLE),
    "weights": ((VERTICES, JOINTS), _FLOAT),
    "f": ((FACES, 3), _WHOLE),
    "hands_meanl": ((45,), _FLOAT),
    "hands_meanr": ((45,), _FLOAT),
}
"""What is read: shape (a pair of numbers is a range) and kinds of numbers."""

AS_NPZ = (
    "take SMPLX_NEUTRAL.npz (or MALE, FEMALE) from the same download at smpl-x.is.tue.mpg.de; it holds the same "
    "model, and nothing in it has to be unpickled"
)
TO_PLAIN_ARRAYS = (
    'if you trust where it is from, write it once as plain arrays: python -c "import numpy as np; '
    "a = np.load('IN.npz', allow_pickle=True); np.savez_compressed('OUT.npz', **{k: np.asarray(getattr(v, 'todense', "
    "lambda: v)(), np.float64) for k in ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights', "
    "'hands_meanl', 'hands_meanr') for v in [a[k].item() if a[k].dtype == object and a[k].ndim == 0 else a[k]]}, "
    "f=np.asarray(a['f'], np.int64), kintree_table=np.asarray(a['kintree_table'], np.int64))\""
)


def read_body_file(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `LAYOUT`, as they are stored.

    Raises `ConfigurationError`, with the remedy where there is one, for a file that is no SMPL-X body, is
    damaged, or holds pickled objects in the place of these arrays.
    """
    if path.suffix.lower() == ".pkl":
        raise ConfigurationError(f"{path} is a pickle, which can run any code when it is read; {AS_NPZ}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _array(archive, name, path) for name in LAYOUT}
    except FileNotFoundError:
        raise ConfigurationError(f"there is no body model file {path}") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as problem:
        raise ConfigurationError(f"{path} is no .npz file, or damaged ({problem!s:.200}); {AS_NPZ}") from problem


def _array(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    shape, kinds = LAYOUT[name]
    member = f"{name}.npy"
    if member not in archive.NameToInfo:
        raise ConfigurationError(f"{path} is no SMPL-X body: it has no {name}; {AS_NPZ}")
    info = archive.getinfo(member)
    with archive.open(info) as stream:
        try:
            found, dtype = _header(cast(BinaryIO, stream))
        except ValueError as problem:
            raise ConfigurationError(f"{path}: {name} is damaged ({problem!s:.200})") from problem
    if dtype.hasobject:
        raise ConfigurationError(f"{path}: {name} is a pickled object, which is not read; {TO_PLAIN_ARRAYS}")
    if not _fits(found, shape) or dtype.kind not in kinds:
        raise ConfigurationError(f"{path} is no SMPL-X body: {name} is {dtype} {found}, not {_words(shape)}; {AS_NPZ}")
    with archive.open(info) as stream:  # the header has bounded what this can take
        try:
            return np.lib.format.read_array(cast(BinaryIO, stream), allow_pickle=False)
        except ValueError as problem:
            raise ConfigurationError(f"{path}: {name} is damaged ({problem!s:.200})") from problem


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = readers[version](stream)
    return shape, dtype


def _fits(found: tuple[int, ...], shape: tuple[int | tuple[int, int], ...]) -> bool:
    if len(found) != len(shape):
        return False
    ranges = ((size, size) if isinstance(size, int) else size for size in shape)
    return all(low <= size <= high for size, (low, high) in zip(found, ranges, strict=True))


def _words(shape: tuple[int | tuple[int, int], ...]) -> str:
    return " × ".join(str(size) if isinstance(size, int) else f"{size[0]}…{size[1]}" for size in shape)
