"""Exported networks: both formats give the same numbers, and files that are none are refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from operators.errors import ConfigurationError, RowFailure
from operators.pose.meshes.exported_network import ExportedNetwork, Pictures, load_network
from tests.tiny.regressor import SCALE, SIZES, grids, offsets, weights, write_onnx, write_torchscript

torch = pytest.importorskip("torch", reason="the models extra is not installed")
PLAIN = Pictures(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def load(path: Path, pictures: Pictures = PLAIN, precision=torch.float32, names=()) -> ExportedNetwork:
    return load_network(path, "lift.model", pictures, torch.device("cpu"), precision, names)


@pytest.fixture(scope="module")
def torchscript(tmp_path_factory) -> Path:
    return write_torchscript(tmp_path_factory.mktemp("ts") / "net.ts")


@pytest.fixture(scope="module")
def onnx(tmp_path_factory) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return write_onnx(tmp_path_factory.mktemp("onnx") / "net.onnx")


def marked(count: int, seed: int = 0, height: int = 64, width: int = 64) -> np.ndarray:
    """Dark crops, each with one bright square."""
    draw = np.random.default_rng(seed)
    crops = np.full((count, height, width, 3), 20, np.uint8)
    for crop in crops:
        y, x = draw.integers(0, height - 8), draw.integers(0, width - 8)
        crop[y : y + 8, x : x + 8] = (250, 200, 230)
    return crops


def expected(crops: np.ndarray, seed: int = 0) -> dict[str, np.ndarray]:
    bright = np.maximum(crops.astype(np.float64).mean(axis=3) / 255 - 0.5, 0)
    total = bright.sum((1, 2)) + 1e-6
    place = np.stack([(bright * grid).sum((1, 2)) / total for grid in grids(*crops.shape[1:3])], 1)
    found = {name: place @ weights(seed)[name] + offsets()[name] for name in SIZES}
    return {**found, "camera": np.column_stack([np.full(len(crops), SCALE), place / SCALE])}


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_outputs_come_by_name(kind, request):
    crops = marked(5)
    found = load(request.getfixturevalue(kind))(crops, None)
    assert set(found) == {*SIZES, "camera"}
    for name, array in expected(crops).items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], array, atol=1e-5)


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_channels_mean_and_deviation(kind, request):
    crops = marked(3)
    path = request.getfixturevalue(kind)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    there = load(path, Pictures(mean=mean, std=std, channels="bgr"))(crops, None)
    by_hand = ((crops[..., ::-1] / 255 - mean) / std).mean(axis=3)
    bright = np.maximum(by_hand - 0.5, 0)
    across = (bright * grids(64, 64)[0]).sum((1, 2)) / (bright.sum((1, 2)) + 1e-6)
    np.testing.assert_allclose(there["camera"][:, 1], across / SCALE, atol=1e-4)


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_what_a_picture_gets_does_not_depend_on_its_neighbours(kind, request):
    network = load(request.getfixturevalue(kind))
    crops = marked(9, seed=1)
    whole = network(crops, None)
    turned = network(crops[::-1].copy(), None)
    for name in whole:
        np.testing.assert_array_equal(whole[name], turned[name][::-1])


def test_an_export_for_one_batch_says_so(tmp_path):
    pytest.importorskip("onnx")
    network = load(write_onnx(tmp_path / "four.onnx", batch=4))
    assert network.batch == 4
    assert network(marked(4), None)["betas"].shape == (4, 10)


def test_a_tuple_needs_names(tmp_path):
    path = write_torchscript(tmp_path / "net.pt", form="tuple")
    crops = marked(2)
    found = load(path, names=("global_orient", "body_pose", "camera"))(crops, None)
    np.testing.assert_allclose(found["body_pose"], expected(crops)["body_pose"], atol=1e-5)
    with pytest.raises(RowFailure, match="gives 3 unnamed outputs and output_names has 0"):
        load(path)(crops, None)


def test_reduced_precision_is_near_and_comes_back_as_float32(torchscript):
    crops = marked(4)
    found = load(torchscript, precision=torch.bfloat16)(crops, None)
    assert found["camera"].dtype == np.float32
    np.testing.assert_allclose(found["camera"], expected(crops)["camera"], atol=0.05)


def test_intrinsics_are_refused_by_a_network_that_takes_none(onnx):
    with pytest.raises(RowFailure, match="has 1 inputs and is given crops and intrinsics"):
        load(onnx)(marked(1), np.eye(3, dtype=np.float32)[None])


@pytest.mark.parametrize("name", ["net.onnx", "net.pt"])
def test_a_file_that_is_no_network_is_refused(tmp_path, name):
    pytest.importorskip("onnxruntime")
    (tmp_path / name).write_bytes(b"no network at all")
    with pytest.raises(ConfigurationError, match=rf"lift\.model: .*{name} cannot be loaded"):
        load(tmp_path / name)


def test_a_gpu_needs_a_runtime_for_gpus(onnx):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    with pytest.raises(ConfigurationError, match="install onnxruntime-gpu"):
        load_network(onnx, "lift.model", PLAIN, torch.device("cuda"), torch.float32, ())
