"""Temporary folders: private, removed, and not left behind by the dead."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from store.scratch import scratch_folder

ROOT = Path(__file__).parents[2]


def age(folder: Path) -> None:
    os.utime(folder, (1e9, 1e9))


def test_it_is_private_and_removed_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder("x-", tmp_path / "deep" / "er") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "media.mp4").write_bytes(b"1")
        raise KeyError
    assert not folder.exists()


def test_folders_of_killed_processes_are_removed_and_others_kept(tmp_path: Path) -> None:
    program = (
        "import sys, os, signal, pathlib; from store.scratch import scratch_folder\n"
        "with scratch_folder('x-', pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'media').write_bytes(b'1'); print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    left = Path(killed.stdout.strip())
    assert (left / "media").exists()
    (tmp_path / "y-other").mkdir()
    (tmp_path / "x-link").symlink_to(tmp_path / "y-other")
    with scratch_folder("x-", tmp_path) as young:
        assert left.exists()
        for folder in (left, young, tmp_path / "y-other"):
            age(folder)
        with scratch_folder("x-", tmp_path):
            assert not left.exists()
            assert young.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-link", "y-other"]
