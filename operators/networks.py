"""Trained networks that ship inside wheels of the package registry: fetched once, pinned by checksum.

The lite preset loads no model from a model hub. The few small networks it needs come with Python
packages whose other contents it does not want installed; `path` takes them out of the wheel and keeps
them in a cache folder: `$RUSHES_CACHE`, or `rushes` in the platform's cache folder.

    python -m operators.networks        fetch all of them ahead, for a machine that will be offline
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from operators.errors import ConfigurationError

FETCH_SECONDS = 600
LARGEST = 64 << 20  # bytes of one network; more in a wheel is not what was pinned

MEDIAPIPE = "mediapipe==0.10.21"  # the last wheel that carries the networks; Apache-2.0
RAPIDOCR = "rapidocr-onnxruntime==1.4.4"  # Apache-2.0; PP-OCRv4 by PaddlePaddle


@dataclass(frozen=True)
class Network:
    """A file inside a wheel: `requirement` pins the wheel, `sha256` the file."""

    requirement: str
    member: str
    sha256: str

    @property
    def revision(self) -> str:
        """Names these weights in provenance and fingerprints."""
        return f"{self.requirement.replace('==', '-')}/{self.sha256[:8]}"


FACES_NEAR = Network(
    MEDIAPIPE,
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
FACES_FAR = Network(
    MEDIAPIPE,
    "mediapipe/modules/face_detection/face_detection_full_range_sparse.tflite",
    "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
)
POSE_DETECTOR = Network(
    MEDIAPIPE,
    "mediapipe/modules/pose_detection/pose_detection.tflite",
    "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
POSE_LANDMARKS = Network(
    MEDIAPIPE,
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
HAND_DETECTOR = Network(
    MEDIAPIPE,
    "mediapipe/modules/palm_detection/palm_detection_full.tflite",
    "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
)
HAND_LANDMARKS = Network(
    MEDIAPIPE,
    "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
    "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
)
FACE_LANDMARKS = Network(
    MEDIAPIPE,
    "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
    "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
)
TEXT_DETECTOR = Network(
    RAPIDOCR,
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
    "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
)
NETWORKS = (
    FACES_NEAR,
    FACES_FAR,
    POSE_DETECTOR,
    POSE_LANDMARKS,
    HAND_DETECTOR,
    HAND_LANDMARKS,
    FACE_LANDMARKS,
    TEXT_DETECTOR,
)


def cache_dir() -> Path:
    """Where networks are kept: `$RUSHES_CACHE`, else `rushes` in the platform's cache folder."""
    if chosen := os.environ.get("RUSHES_CACHE"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "rushes"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rushes"


def path(network: Network) -> Path:
    """The network as a whole file in the cache; fetched from its wheel where it is not there yet.

    Raises `ConfigurationError` with the remedy where it can neither be found nor fetched.
    """
    kept = _kept(network)
    if not _is_whole(kept, network):
        _fetch(network.requirement)
    if not _is_whole(kept, network):
        raise ConfigurationError(f"{network.member} of {network.requirement} is not the file that was pinned: {kept}")
    return kept


def held(network: Network) -> Path | None:
    """The network's file in the cache where it is there and whole; fetches nothing."""
    kept = _kept(network)
    return kept if _is_whole(kept, network) else None


def _kept(network: Network) -> Path:
    return cache_dir() / network.requirement.replace("==", "-") / Path(network.member).name


def _is_whole(kept: Path, network: Network) -> bool:
    try:
        stamp = kept.stat()
    except OSError:
        return False
    return _digest(kept, stamp.st_size, stamp.st_mtime_ns) == network.sha256


@lru_cache(maxsize=len(NETWORKS) * 2)
def _digest(kept: Path, size: int, mtime_ns: int) -> str:
    return hashlib.sha256(kept.read_bytes()).hexdigest()


def _fetch(requirement: str) -> None:
    """Download the wheel with pip, without its dependencies, and keep its networks."""
    with tempfile.TemporaryDirectory(prefix="rushes-") as folder:
        platforms = [f"--platform={name}" for name in ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "any")]
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]
        quiet = ["--disable-pip-version-check", "--no-input", "--quiet"]
        try:
            subprocess.run(
                [
                    *pip,
                    "--implementation=cp",
                    "--abi=cp311",
                    "--abi=none",
                    *platforms,
                    *quiet,
                    "-d",
                    folder,
                    requirement,
                ],
                check=True,
                capture_output=True,
                text=True,
                timeout=FETCH_SECONDS,
            )
            [wheel] = Path(folder).glob("*.whl")
            _keep(wheel, requirement)
        except (OSError, ValueError, KeyError, subprocess.SubprocessError, zipfile.BadZipFile) as problem:
            said = (getattr(problem, "stderr", "") or str(problem)).strip().splitlines()
            raise ConfigurationError(
                f"could not fetch {requirement} with pip ({said[-1] if said else type(problem).__name__}); run "
                "`python -m operators.networks` where pip reaches a package registry, and where this machine "
                f"cannot, copy its cache folder here: {cache_dir()} (or name another one in RUSHES_CACHE)"
            ) from problem


def _keep(wheel: Path, requirement: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for network in NETWORKS:
            if network.requirement != requirement:
                continue
            if archive.getinfo(network.member).file_size > LARGEST:
                raise ValueError(f"{network.member} is larger than {LARGEST} bytes")
            _write(_kept(network), archive.read(network.member))


def _write(target: Path, data: bytes) -> None:
    """Atomically: other processes may fetch the same file at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def main() -> None:
    """Fetch every network and print where it lies."""
    for network in NETWORKS:
        print(path(network))


if __name__ == "__main__":
    main()
