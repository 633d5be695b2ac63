"""Arrays from .npz files of strangers: names, shapes and number formats are checked before anything is read.

Nothing is unpickled, and no more memory is taken than the expected shapes allow.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from operators.errors import ConfigurationError

FLOAT, WHOLE, NUMBER, TEXT, TRUTH = "f", "iu", "fiu", "U", "b"
"""Kinds of numbers, as NumPy's `dtype.kind` has them."""

Size = int | tuple[int, int]
LONGEST_TEXT = 1024


@dataclass(frozen=True)
class Expected:
    """An array: the sizes of its axes, each a number or a range (fewest, most), and kinds of numbers."""

    shape: tuple[Size, ...]
    kinds: str = FLOAT

    def fits(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
        """Whether an array of this shape and dtype is one that is expected."""
        if len(shape) != len(self.shape) or dtype.kind not in self.kinds:
            return False
        if dtype.kind == "U" and dtype.itemsize > 4 * LONGEST_TEXT:
            return False
        ranges = ((size, size) if isinstance(size, int) else size for size in self.shape)
        return all(low <= size <= high for size, (low, high) in zip(shape, ranges, strict=True))

    def __str__(self) -> str:
        sizes = (str(size) if isinstance(size, int) else f"{size[0]}…{size[1]}" for size in self.shape)
        return " × ".join(sizes) or "a single value"


@dataclass(frozen=True, kw_only=True)
class Remedies:
    """What a message says: what the file should be, how to get one, and what to do with pickled arrays."""

    what: str
    another: str
    pickled: str


def read_arrays(
    path: Path, layout: Mapping[str, Expected], remedies: Remedies, optional: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of `layout` as they are stored, those of `optional` where they are there; others are left unread.

    Raises `ConfigurationError`, with the remedy, for a file that lacks one, is damaged, or holds pickled
    objects in the place of an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = [name for name in layout if name not in optional or f"{name}.npy" in archive.NameToInfo]
            return {name: _array(archive, name, layout[name], path, remedies) for name in wanted}
    except FileNotFoundError:
        raise ConfigurationError(f"there is no file {path}") from None
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as problem:
        raise ConfigurationError(
            f"{path} is no .npz file, or damaged ({problem!s:.200}); {remedies.another}"
        ) from problem


def _array(archive: zipfile.ZipFile, name: str, expected: Expected, path: Path, remedies: Remedies) -> NDArray[Any]:
    info = archive.NameToInfo.get(f"{name}.npy")
    if info is None:
        raise ConfigurationError(f"{path} is no {remedies.what}: it has no {name}; {remedies.another}")
    try:
        with archive.open(info) as stream:
            shape, dtype = _header(cast(BinaryIO, stream))
        if dtype.hasobject:
            raise ConfigurationError(f"{path}: {name} is a pickled object, which is not read; {remedies.pickled}")
        if not expected.fits(shape, dtype):
            raise ConfigurationError(
                f"{path} is no {remedies.what}: {name} is {dtype} {shape}, not {expected}; {remedies.another}"
            )
        with archive.open(info) as stream:  # the header has bounded what this takes
            return np.lib.format.read_array(cast(BinaryIO, stream), allow_pickle=False)
    except ValueError as problem:
        raise ConfigurationError(f"{path}: {name} is damaged ({problem!s:.200}); {remedies.another}") from problem


def _header(stream: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version} of the format")
    shape, _, dtype = readers[version](stream)
    return shape, dtype
