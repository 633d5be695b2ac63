"""The face network of an older MediaPipe wheel, in the form that the Tasks API reads.

The wheel's attention mesh gives seven tensors: 468 points (x, y, z), the same lips, eyes and brows once
more with refined x and y, ten iris points, and the face's score. MediaPipe's old graph puts the refined
points in their places; the Tasks API wants one tensor of 478 points and the score, and reads anything
else without complaint as wrong positions. So a concatenation and a gather are appended to the network.

Which point of a refined tensor is which of the 478 is MediaPipe's
`modules/face_landmark/tensors_to_face_landmarks_with_attention.pbtxt`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from operators.errors import ConfigurationError, MissingExtra

MESH_POINTS, ALL_POINTS = 468, 478

LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409,
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
)  # fmt: skip
"""The outermost ring, the innermost, and the two between; each lower lip first."""

RIGHT_EYE = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173,
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
"""The person's right eye (on the left in the picture): its rim, the rings around it, the brow."""

LEFT_EYE = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398,
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip

IRIS_DEPTH = (33, 263)
"""Points of the mesh whose depth the irises of the right and the left eye take: the eyes' outer corners."""

_OUTPUTS = ("mesh", "lips", "right eye", "left eye", "right iris", "left iris", "score")
_SIZES = (1404, 160, 142, 142, 10, 10, 1)
_METADATA = "TFLITE_METADATA"


def gather_order() -> np.ndarray:
    """For each of 478 × (x, y, z) values its place in the mesh, lips, eyes and irises laid end to end (int32)."""
    starts = np.cumsum((0, *_SIZES[:-2]))
    order = np.arange(3 * ALL_POINTS, dtype=np.int32).reshape(ALL_POINTS, 3)
    for start, points in zip(starts[1:4], (LIPS, RIGHT_EYE, LEFT_EYE), strict=True):
        order[list(points), :2] = start + np.arange(2 * len(points)).reshape(-1, 2)
    for number, (start, depth) in enumerate(zip(starts[4:6], IRIS_DEPTH, strict=True)):
        iris = slice(MESH_POINTS + 5 * number, MESH_POINTS + 5 * number + 5)
        order[iris, :2] = start + np.arange(10).reshape(-1, 2)
        order[iris, 2] = 3 * depth + 2
    return order.ravel()


def with_one_output(network: bytes) -> bytes:
    """The attention mesh with 478 points in one tensor, then the score.

    Raises `ConfigurationError` where it is another network and `MissingExtra` without MediaPipe.
    """
    try:
        import flatbuffers
        from mediapipe.tasks.metadata import schema_py_generated as schema
    except ImportError as problem:
        raise MissingExtra("mediapipe", "lite") from problem

    model: Any = schema.ModelT.InitFromPackedBuf(network, 0)
    graph = model.subgraphs[0]
    sizes = tuple(int(np.prod(graph.tensors[output].shape)) for output in graph.outputs)
    if sizes != _SIZES:
        raise ConfigurationError(f"a face network with outputs of {sizes} values; {_SIZES} are known here")
    *parts, score = (int(output) for output in graph.outputs)

    joined = _tensor(schema, model, "points", (1, 1, 1, sum(_SIZES[:-1])), schema.TensorType.FLOAT32)
    concatenation = schema.ConcatenationOptionsT()
    concatenation.axis = 3
    _operation(schema, model, "CONCATENATION", "ConcatenationOptions", concatenation, parts, joined)

    values = gather_order()
    order = _tensor(schema, model, "order", values.shape, schema.TensorType.INT32, values.astype("<i4"))
    points = _tensor(schema, model, "landmarks", (1, 1, 1, values.size), schema.TensorType.FLOAT32)
    gather = schema.GatherOptionsT()
    gather.axis = 3
    _operation(schema, model, "GATHER", "GatherOptions", gather, [joined, order], points)

    graph.outputs = [points, score]
    model.signatureDefs = []  # they name outputs that are gone
    _keep_first_and_last_output(model)
    builder = flatbuffers.Builder(len(network) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(
    schema: Any, model: Any, name: str, shape: tuple[int, ...], kind: int, values: np.ndarray | None = None
) -> int:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        model.buffers.append(buffer)
        tensor.buffer = len(model.buffers) - 1
    tensors = model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1


def _operation(schema: Any, model: Any, name: str, options: str, values: Any, inputs: list[int], output: int) -> None:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 1
    model.operatorCodes.append(code)
    operation = schema.OperatorT()
    operation.opcodeIndex = len(model.operatorCodes) - 1
    operation.inputs, operation.outputs = inputs, [output]
    operation.builtinOptionsType, operation.builtinOptions = getattr(schema.BuiltinOptions, options), values
    model.subgraphs[0].operators.append(operation)


def _keep_first_and_last_output(model: Any) -> None:
    """In the metadata, which the Tasks API compares with the outputs."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    for entry in model.metadata or []:
        name = entry.name.decode() if isinstance(entry.name, bytes) else entry.name
        if name == _METADATA:
            buffer = model.buffers[entry.buffer]
            metadata: Any = schema.ModelMetadataT.InitFromPackedBuf(bytes(bytearray(buffer.data)), 0)
            outputs = metadata.subgraphMetadata[0].outputTensorMetadata
            metadata.subgraphMetadata[0].outputTensorMetadata = [outputs[0], outputs[-1]]
            builder = flatbuffers.Builder(1024)
            builder.Finish(metadata.Pack(builder), file_identifier=b"M001")
            buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)
