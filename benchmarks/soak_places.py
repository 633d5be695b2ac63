"""Where the soak's jobs write: a folder, a small disk that can be filled, or S3 behind a proxy that can go silent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.faulty_s3 import FaultyProxy

DISK_MIB = 64
"""Size of the small disk."""


class Place:
    """Outputs on this machine's own disk, which every node sees."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def output(self, name: str) -> str:
        """Where the job called `name` writes."""
        return str(self._folder / name)


class SmallDisk(Place):
    """Outputs on a memory disk of `DISK_MIB`; see `mounted`."""

    def fill(self) -> None:
        """Leave no byte free."""
        with (self._folder / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 20)):
                    pass
            except OSError:
                pass

    def free(self) -> None:
        """Take away what `fill` wrote."""
        (self._folder / "ballast").unlink(missing_ok=True)


class Bucket(Place):
    """Outputs on S3 as the nodes see it, through a proxy; this process asks the server itself."""

    def __init__(self, bucket: str, proxy: FaultyProxy) -> None:
        self._bucket, self._proxy = bucket, proxy

    def output(self, name: str) -> str:
        return f"s3://{self._bucket}/{name}"

    def drop(self) -> None:
        """Answer no request any more: reset, or 503, or silence."""
        self._proxy.rate = 1.0

    def restore(self) -> None:
        """Pass everything on again."""
        self._proxy.rate = 0.0


def why_no_small_disk() -> str | None:
    """Why a memory disk cannot be mounted here, or None."""
    if not sys.platform.startswith("linux"):
        return "memory disks are mounted on Linux only"
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    return None if shutil.which("mount") else "the command mount is missing"


@contextmanager
def mounted(folder: Path) -> Iterator[SmallDisk]:
    """A memory disk at `folder`, unmounted afterwards."""
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], check=True, capture_output=True
    )
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)
