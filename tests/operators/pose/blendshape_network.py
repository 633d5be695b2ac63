"""A network in the place of MediaPipe's for blendshapes: it hands 52 of its inputs through.

Its inputs are 146 points of the face, x and y in pixels, so what comes out can be checked.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest

from operators.pose.columns import BLENDSHAPES as COUNT
from operators.pose.landmarking.bundles import BLENDSHAPES, face_bundle
from operators.pose.landmarking.face_network import _operation, _tensor

POINTS = 146


def bundle_with_blendshapes() -> bytes:
    """A face landmarker's bundle that also gives "blendshapes"."""
    bundle = io.BytesIO(face_bundle())
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr(zipfile.ZipInfo(BLENDSHAPES), _first_values())
    return bundle.getvalue()


def _first_values() -> bytes:
    flatbuffers: Any = pytest.importorskip("flatbuffers")
    schema: Any = pytest.importorskip("mediapipe.tasks.metadata.schema_py_generated")
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers = [schema.BufferT()]
    graph.tensors, graph.operators = [], []
    kinds = schema.TensorType

    def number(name: str, value: int) -> int:
        return _tensor(schema, model, name, (1,), kinds.INT32, np.array([value], "<i4"))

    points = _tensor(schema, model, "points", (1, POINTS, 2), kinds.FLOAT32)
    flat = _tensor(schema, model, "flat", (2 * POINTS,), kinds.FLOAT32)
    scores = _tensor(schema, model, "scores", (COUNT,), kinds.FLOAT32)
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = [2 * POINTS]
    _operation(schema, model, "RESHAPE", "ReshapeOptions", reshape, [points, number("shape", 2 * POINTS)], flat)
    cut = [flat, number("begin", 0), number("size", COUNT)]
    _operation(schema, model, "SLICE", "SliceOptions", schema.SliceOptionsT(), cut, scores)
    graph.inputs, graph.outputs = [points], [scores]
    builder = flatbuffers.Builder(4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
