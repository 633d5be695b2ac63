"""MediaPipe task bundles built from the networks of an older MediaPipe wheel.

A pose landmarker's `.task` file is a stored zip of `pose_detector.tflite` and
`pose_landmarks_detector.tflite`. The networks of the wheel lack the input normalisation that the
Tasks API reads from their metadata, so it is written into them: pixels become (value - mean) / std,
with 127.5 and 127.5 (-1 to 1) for the detector, 0 and 255 (0 to 1) for the landmarks.

    python -m operators.pose.bundles        fetch the networks ahead (the same as operators.networks)
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from operators import networks
from operators.errors import ConfigurationError, MissingExtra

DETECTOR_NORM = (127.5, 127.5)  # mean, standard deviation
LANDMARKS_NORM = (0.0, 255.0)

MEMBERS = ("pose_detector.tflite", "pose_landmarks_detector.tflite")
_METADATA = "TFLITE_METADATA"


def pose_bundle() -> bytes:
    """A pose landmarker's bundle from the pinned networks.

    Raises `ConfigurationError` where the networks cannot be had and `MissingExtra` without MediaPipe.
    """
    detector = with_normalisation(networks.path(networks.POSE_DETECTOR).read_bytes(), *DETECTOR_NORM)
    landmarks = with_normalisation(networks.path(networks.POSE_LANDMARKS).read_bytes(), *LANDMARKS_NORM)
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for name, network in zip(MEMBERS, (detector, landmarks), strict=True):
            archive.writestr(zipfile.ZipInfo(name), network)
    return bundle.getvalue()


def read_bundle(path: Path) -> bytes:
    """A pose landmarker's bundle from a file, such as MediaPipe's own download.

    Raises `ConfigurationError` where it is not one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            missing = set(MEMBERS) - set(archive.namelist())
        if not missing:
            return path.read_bytes()
    except (OSError, zipfile.BadZipFile) as problem:
        raise ConfigurationError(f"{path} is not a pose landmarker bundle: {problem}") from problem
    raise ConfigurationError(f"{path} is not a pose landmarker bundle: it lacks {', '.join(sorted(missing))}")


def with_normalisation(network: bytes, mean: float, std: float) -> bytes:
    """The TFLite network with metadata that tells the Tasks API how to scale its input image."""
    try:
        import flatbuffers
        from mediapipe.tasks.metadata import schema_py_generated as schema
    except ImportError as problem:
        raise MissingExtra("mediapipe", "lite") from problem

    model: Any = schema.ModelT.InitFromPackedBuf(network, 0)
    buffer: Any = schema.BufferT()
    buffer.data = _metadata(len(model.subgraphs[0].inputs), len(model.subgraphs[0].outputs), mean, std)
    model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = _METADATA, len(model.buffers) - 1
    others = [kept for kept in model.metadata or [] if _text(kept.name) != _METADATA]
    model.metadata = [*others, entry]
    builder = flatbuffers.Builder(len(network) + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _metadata(inputs: int, outputs: int, mean: float, std: float) -> bytes:
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as schema

    options = schema.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = schema.ProcessUnitT()
    unit.optionsType, unit.options = schema.ProcessUnitOptions.NormalizationOptions, options
    image = schema.ImagePropertiesT()
    image.colorSpace = schema.ColorSpaceType.RGB
    content = schema.ContentT()
    content.contentPropertiesType, content.contentProperties = schema.ContentProperties.ImageProperties, image

    described = []
    for _ in range(inputs):
        tensor = schema.TensorMetadataT()
        tensor.processUnits, tensor.content = [unit], content
        described.append(tensor)
    graph = schema.SubGraphMetadataT()
    graph.inputTensorMetadata = described
    graph.outputTensorMetadata = [schema.TensorMetadataT() for _ in range(outputs)]
    model = schema.ModelMetadataT()
    model.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"M001")
    return bytes(builder.Output())


def _text(name: bytes | str | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""


if __name__ == "__main__":
    networks.main()
