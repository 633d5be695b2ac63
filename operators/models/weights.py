"""Are the files of a model whole? Cheap looks, at headers and sizes, that catch what downloads and copies do wrong."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

LONGEST_HEADER = 100_000_000
"""Bytes of a safetensors header: the format's own limit."""

LONGEST_JSON = 256 << 20
"""Bytes of a JSON file that are parsed; the largest tokenizers have 40 MB."""

LFS_POINTER = b"version https://git-lfs.github.com/"
INDEX = ".index.json"
PICKLED = (".bin", ".pt", ".pth")
LEGACY_PICKLE = b"\x80"  # torch before 1.6: no archive, so no end that could be looked for


def fault(path: Path) -> str | None:
    """What is wrong with the file at `path`, in words; None where nothing is found. Reads little of large files."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            return "is no file"
        if size == 0:
            return "is empty"
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            return "is a Git LFS pointer and not the file itself; run `git lfs pull` in its folder"
        if path.suffix == ".safetensors":
            return _safetensors_fault(path, size)
        if path.suffix == ".json":
            return None if isinstance(read_json(path), dict | list) else "is no JSON object"
        if path.suffix in PICKLED and not start.startswith(LEGACY_PICKLE) and not zipfile.is_zipfile(path):
            return f"is cut short, or no PyTorch file ({size:,} bytes)"
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"
    except ValueError as problem:
        return str(problem)
    return None


def shards(index: Path) -> list[str]:
    """Names of the files that hold split weights, as the index beside them lists them, sorted.

    Raises `ValueError` for what is no index, and for names that leave its folder.
    """
    listed = read_json(index)
    weight_map = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError("lists no weights")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if not is_inside(name):
            raise ValueError(f"names a file outside its folder: {name!r:.100}")
    return names


def shards_by_name(index: str, there: Iterable[str]) -> tuple[list[str], list[str]]:
    """The files of split weights that are among `there`, and those that are not, by their numbers alone.

    `index` is the name of the index, "model.safetensors.index.json" for "model-00001-of-00002.safetensors".
    Where no file is numbered, every file with the weights' suffix is taken.
    """
    names = set(there)
    whole = PurePosixPath(index.removesuffix(INDEX))
    numbered = re.compile(
        re.escape(whole.with_suffix("").as_posix()) + r"-(\d+)-of-(\d+)" + re.escape(whole.suffix) + r"\Z"
    )
    found = [match for match in map(numbered.match, sorted(names)) if match]
    if not found:
        paths = (PurePosixPath(name) for name in sorted(names))
        rest = [str(path) for path in paths if (path.parent, path.suffix) == (whole.parent, whole.suffix)]
        return rest, [] if rest else [f"the weights that {index} lists"]
    last = found[-1]
    number, total, stem = last[1], last[2], whole.with_suffix("").as_posix()
    wanted = [f"{stem}-{i:0{len(number)}}-of-{total}{whole.suffix}" for i in range(1, min(int(total), 10_000) + 1)]
    return [name for name in wanted if name in names], [name for name in wanted if name not in names]


def is_inside(name: str) -> bool:
    """Whether the relative name cannot lead out of the folder that it is used in."""
    path = PurePosixPath(name)
    return bool(name) and "\\" not in name and "\0" not in name and not path.is_absolute() and ".." not in path.parts


def read_json(path: Path) -> Any:
    """The JSON value in a file. Raises `ValueError` in words, and `OSError`."""
    size = path.stat().st_size
    if size > LONGEST_JSON:
        raise ValueError(f"has {size:,} bytes, more than any JSON file of a model")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise ValueError("is cut short, or no JSON") from None


def _safetensors_fault(path: Path, size: int) -> str | None:
    """Whether the header is whole and its tensors end where the file ends.

    Format: 8 bytes little-endian header length, a JSON object of {name: {data_offsets: [start, end]}}, the data.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > LONGEST_HEADER:
            return "is no safetensors file"
        if 8 + length > size:
            return f"is cut short: {size:,} bytes do not hold its header"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return "is no safetensors file"
    if expected != size:
        return f"is {'cut short' if size < expected else 'too long'}: {size:,} bytes instead of {expected:,}"
    return None
