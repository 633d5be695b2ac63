"""Bundles: the members and the normalisation that the Tasks API reads from them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as schema

from operators.errors import ConfigurationError
from operators.pose.landmarking.bundles import (
    BLENDSHAPES,
    MEMBERS,
    Task,
    face_bundle,
    gives_blendshapes,
    hand_bundle,
    pose_bundle,
    read_bundle,
    with_normalisation,
)


@pytest.fixture(scope="module")
def bundle() -> bytes:
    return pose_bundle()


def normalisation(network: bytes) -> tuple[float, float]:
    """Mean and standard deviation in a network's metadata."""
    model: Any = schema.ModelT.InitFromPackedBuf(network, 0)
    [entry] = [entry for entry in model.metadata if entry.name in (b"TFLITE_METADATA", "TFLITE_METADATA")]
    data = np.asarray(model.buffers[entry.buffer].data, np.uint8).tobytes()
    assert data[4:8] == b"M001"
    metadata: Any = metadata_schema.ModelMetadataT.InitFromPackedBuf(data, 0)
    options = metadata.subgraphMetadata[0].inputTensorMetadata[0].processUnits[0].options
    return options.mean[0], options.std[0]


def test_a_bundle_is_a_stored_zip_of_two_networks_with_their_normalisation(bundle: bytes):
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        assert tuple(archive.namelist()) == MEMBERS["pose"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert normalisation(archive.read(MEMBERS["pose"][0])) == (127.5, 127.5)
        assert normalisation(archive.read(MEMBERS["pose"][1])) == (0.0, 255.0)


@pytest.mark.parametrize("task", ["hand", "face"])
def test_hands_and_faces_have_bundles_with_the_members_that_mediapipe_opens(task: Task):
    data = {"hand": hand_bundle, "face": face_bundle}[task]()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert tuple(archive.namelist()) == MEMBERS[task]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        for member in MEMBERS[task]:
            assert normalisation(archive.read(member))[1] > 0


def test_only_a_bundle_with_their_network_gives_blendshapes(tmp_path: Path):
    built = face_bundle()
    assert not gives_blendshapes(built)
    whole = tmp_path / "face.task"
    whole.write_bytes(built)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr(BLENDSHAPES, b"network")
    assert gives_blendshapes(read_bundle(whole, "face"))


def test_the_same_networks_give_the_same_bytes(bundle: bytes):
    assert pose_bundle() == bundle


def test_writing_metadata_twice_keeps_the_last(bundle: bytes):
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        again = with_normalisation(archive.read(MEMBERS["pose"][0]), 1.0, 2.0)
    assert normalisation(again) == (1.0, 2.0)


def test_a_bundle_from_a_file_is_checked(bundle: bytes, tmp_path: Path):
    good, other = tmp_path / "pose.task", tmp_path / "hand.task"
    good.write_bytes(bundle)
    assert read_bundle(good) == bundle
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hand_detector.tflite", b"")
    with pytest.raises(ConfigurationError, match=r"lacks pose_detector\.tflite"):
        read_bundle(other)
    with pytest.raises(ConfigurationError, match="absent"):
        read_bundle(tmp_path / "absent.task")
    with pytest.raises(ConfigurationError, match=r"is not a face landmarker bundle: it lacks face_detector\.tflite"):
        read_bundle(good, "face")
