from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.errors import ConfigurationError
from operators.models.one_file import path_in
from operators.pose.motion.smoothnet import SmoothNet, smoothnet_files
from tests.tiny.smoothnet import averaging_weights, random_weights, write_smoothnet

torch = pytest.importorskip("torch")
CPU = torch.device("cpu")


def published(state: dict[str, Any]) -> Any:
    """The network as torch's own modules, in evaluation."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, hidden: int, inner: int) -> None:
            super().__init__()
            self.linear1, self.linear2 = nn.Linear(hidden, inner), nn.Linear(inner, hidden)
            self.rectified, self.dropout = nn.LeakyReLU(0.2), nn.Dropout(0.5)

        def forward(self, x: Any) -> Any:
            inner = self.rectified(self.dropout(self.linear1(x)))
            return x + self.rectified(self.dropout(self.linear2(inner)))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            hidden, window = state["encoder.0.weight"].shape
            blocks = sum(name.endswith("linear1.bias") for name in state)
            self.encoder = nn.Sequential(nn.Linear(window, hidden), nn.LeakyReLU(0.1))
            inner = len(state["res_blocks.0.linear1.bias"])
            self.res_blocks = nn.Sequential(*(Block(hidden, inner) for _ in range(blocks)))
            self.decoder = nn.Linear(hidden, window)

        def forward(self, x: Any) -> Any:
            return self.decoder(self.res_blocks(self.encoder(x)))

    network = Network()
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "checkpoint_32.pth.tar"])
def test_one_window_is_what_the_published_network_gives(tmp_path: Path, name: str):
    state = random_weights(window=32, blocks=3)
    network = SmoothNet(write_smoothnet(tmp_path / name, state), CPU)
    values = np.random.default_rng(0).normal(size=(32, 7))
    with torch.no_grad():
        expected = published(state)(torch.from_numpy(values.T.copy()).float()).numpy().T
    assert network.window == 32
    assert network(values) == pytest.approx(expected, abs=1e-5)


def test_windows_that_overlap_are_averaged(tmp_path: Path):
    state = random_weights(window=8)
    network = SmoothNet(write_smoothnet(tmp_path / "a.pt", state), CPU)
    values = np.random.default_rng(0).normal(size=(13, 3))
    sums, counts = np.zeros((13, 3)), np.zeros((13, 1))
    for start in (0, 2, 4, 5):
        sums[start : start + 8] += network(values[start : start + 8])
        counts[start : start + 8] += 1
    assert network(values) == pytest.approx(sums / counts, abs=1e-5)


@pytest.mark.parametrize("frames", [1, 5, 31, 33, 100])
def test_any_number_of_frames_is_smoothed(tmp_path: Path, frames: int):
    network = SmoothNet(write_smoothnet(tmp_path / "a.pt", averaging_weights(32)), CPU)
    assert network(np.full((frames, 2), 0.7)) == pytest.approx(np.full((frames, 2), 0.7), abs=1e-5)


def test_rotations_are_smoothed_as_columns_of_their_matrices(tmp_path: Path):
    network = SmoothNet(write_smoothnet(tmp_path / "a.pt", averaging_weights(32, width=9)), CPU)
    rng = np.random.default_rng(0)
    truth = Rotation.from_rotvec([2.9, 0.3, 0.2])
    noisy = (truth * Rotation.from_rotvec(rng.normal(size=(100, 3)) * 0.05)).as_rotvec()[:, None]
    found = network.rotations(noisy)[:, 0]
    off = (truth.inv() * Rotation.from_rotvec(found)).magnitude().mean()
    assert off < 0.5 * (truth.inv() * Rotation.from_rotvec(noisy[:, 0])).magnitude().mean()
    assert np.abs(np.diff(found, axis=0)).max() < 0.2


def test_columns_that_span_nothing_are_no_rotation(tmp_path: Path):
    state = {name: value * 0 for name, value in random_weights(8).items()}
    network = SmoothNet(write_smoothnet(tmp_path / "a.pt", state), CPU)
    assert network.rotations(np.full((9, 2, 3), 0.3)) == pytest.approx(np.zeros((9, 2, 3)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.weight": None}, "decoder.weight"),
        ({"decoder.weight": (16, 24)}, "no linear layer"),
        ({"decoder.weight": (32, 20)}, "does not join"),
        ({"res_blocks.1.linear2.weight": (24, 5)}, "does not join"),
        ({"encoder.0.bias": (3,)}, "no linear layer"),
        ({"head.weight": (3, 3)}, "13 tensors, 12 of them"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, change: dict[str, Any], message: str):
    state = random_weights()
    for name, shape in change.items():
        state.pop(name, None)
        if shape:
            state[name] = torch.zeros(shape)
    with pytest.raises(ConfigurationError, match=message):
        SmoothNet(write_smoothnet(tmp_path / "a.safetensors", state), CPU)


def test_damaged_files_and_pickles_are_refused(tmp_path: Path):
    path = tmp_path / "a.pt"
    for content in (b"", b"no weights", write_smoothnet(tmp_path / "b.pt").read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="holds no SmoothNet"):
            SmoothNet(path, CPU)
    torch.save({"state_dict": Path("x")}, path)
    with pytest.raises(ConfigurationError, match="holds no SmoothNet"):
        SmoothNet(path, CPU)


def test_a_file_or_its_folder_names_the_weights(tmp_path: Path):
    path = write_smoothnet(tmp_path / "smoothnet.safetensors")
    for reference in (str(path), str(tmp_path)):
        wanted = smoothnet_files(reference)
        assert path_in(tmp_path, wanted) == path
