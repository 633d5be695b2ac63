"""Model files in their real formats, as small as they get: for tests of finding, fetching and checking them."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

CONFIG = b'{"model_type": "tiny"}'
TOKENIZER_JSON = b'{"version": "1.0", "model": {"type": "BPE", "vocab": {}, "merges": []}}'


def safetensors(*tensors: str, floats: int = 512, value: float = 0.5) -> bytes:
    """A safetensors file: each tensor holds `floats` float32 of `value`."""
    size = 4 * floats
    header = {
        name: {"dtype": "F32", "shape": [floats], "data_offsets": [i * size, (i + 1) * size]}
        for i, name in enumerate(tensors)
    }
    written = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(written)) + written + struct.pack("<f", value) * floats * len(tensors)


def index(weights: Mapping[str, str]) -> bytes:
    """The index of split weights: tensor name → file name."""
    return json.dumps({"metadata": {"total_size": 1}, "weight_map": dict(weights)}).encode()


def whole_model() -> dict[str, bytes]:
    """Names and bytes of a model with all its weights in one file."""
    return {"config.json": CONFIG, "tokenizer.json": TOKENIZER_JSON, "model.safetensors": safetensors("a", "b")}


def split_model() -> dict[str, bytes]:
    """Names and bytes of a model with its weights in two files."""
    first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
    return {
        "config.json": CONFIG,
        "tokenizer.json": TOKENIZER_JSON,
        "model.safetensors.index.json": index({"a": first, "b": second}),
        first: safetensors("a"),
        second: safetensors("b", value=0.25),
    }


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder, and return it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
