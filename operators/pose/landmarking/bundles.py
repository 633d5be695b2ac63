"""MediaPipe task bundles built from the networks of an older MediaPipe wheel.

A landmarker's `.task` file is a stored zip of a detector and a landmark network. What the networks of the
wheel lack is written into them:

- pose: the input normalisation that the Tasks API reads from their metadata, so that pixels become
  (value - mean) / std, with 127.5 and 127.5 (-1 to 1) for the detector, 0 and 255 (0 to 1) for the landmarks;
- hands: nothing;
- face: one output tensor (see `face_network`). The detector is the far one, which finds faces from 7 % of
  the picture's side up where the near one, which MediaPipe's own bundle has, needs 14 %.

MediaPipe's own bundles, given as files, are taken as they are; the face's then also gives blendshapes.

    python -m operators.pose.landmarking.bundles        fetch the networks ahead (the same as operators.networks)
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from operators import networks
from operators.errors import ConfigurationError, MissingExtra
from operators.pose.landmarking.face_network import with_one_output

DETECTOR_NORM = (127.5, 127.5)  # mean, standard deviation
LANDMARKS_NORM = (0.0, 255.0)

Task = Literal["pose", "hand", "face"]

MEMBERS: Mapping[Task, tuple[str, str]] = {
    "pose": ("pose_detector.tflite", "pose_landmarks_detector.tflite"),
    "hand": ("hand_detector.tflite", "hand_landmarks_detector.tflite"),
    "face": ("face_detector.tflite", "face_landmarks_detector.tflite"),
}

BLENDSHAPES = "face_blendshapes.tflite"
"""A member that MediaPipe's own face bundle has beside the two."""

NETWORKS: Mapping[Task, tuple[networks.Network, networks.Network]] = {
    "pose": (networks.POSE_DETECTOR, networks.POSE_LANDMARKS),
    "hand": (networks.HAND_DETECTOR, networks.HAND_LANDMARKS),
    "face": (networks.FACES_FAR, networks.FACE_LANDMARKS),
}
"""What the bundles are built from."""

_METADATA = "TFLITE_METADATA"


def pose_bundle() -> bytes:
    """A pose landmarker's bundle from the pinned networks.

    Raises `ConfigurationError` where the networks cannot be had and `MissingExtra` without MediaPipe.
    """
    detector, landmarks = _networks("pose")
    return _bundle(
        "pose", with_normalisation(detector, *DETECTOR_NORM), with_normalisation(landmarks, *LANDMARKS_NORM)
    )


def hand_bundle() -> bytes:
    """A hand landmarker's bundle, likewise."""
    return _bundle("hand", *_networks("hand"))


def face_bundle() -> bytes:
    """A face landmarker's bundle without blendshapes, likewise."""
    detector, landmarks = _networks("face")
    return _bundle("face", detector, with_one_output(landmarks))


def read_bundle(path: Path, task: Task = "pose") -> bytes:
    """A landmarker's bundle from a file, such as MediaPipe's own download.

    Raises `ConfigurationError` where it is not one.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            missing = set(MEMBERS[task]) - set(archive.namelist())
        if not missing:
            return path.read_bytes()
    except (OSError, zipfile.BadZipFile) as problem:
        raise ConfigurationError(f"{path} is not a {task} landmarker bundle: {problem}") from problem
    raise ConfigurationError(f"{path} is not a {task} landmarker bundle: it lacks {', '.join(sorted(missing))}")


def gives_blendshapes(bundle: bytes) -> bool:
    """Whether a face landmarker's bundle has the network for ARKit's blendshapes."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return BLENDSHAPES in archive.namelist()


def _networks(task: Task) -> tuple[bytes, bytes]:
    detector, landmarks = (networks.path(network).read_bytes() for network in NETWORKS[task])
    return detector, landmarks


def _bundle(task: Task, detector: bytes, landmarks: bytes) -> bytes:
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as archive:
        for name, network in zip(MEMBERS[task], (detector, landmarks), strict=True):
            archive.writestr(zipfile.ZipInfo(name), network)
    return bundle.getvalue()


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
