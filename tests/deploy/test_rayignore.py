"""What `ray job submit --working-dir .` uploads, packed by Ray's own packer."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

ROOT = Path(__file__).parents[2]
PACKAGES = ("jobs", "operators", "pipeline", "store")
LARGEST = 2 << 20  # bytes


def packed(folder: Path, target: Path) -> list[str]:
    """Names in the package that Ray makes of `folder`."""
    create_package(
        str(folder),
        target,
        include_gitignore=True,
        include_parent_dir=False,
        excludes=get_runtime_env_default_excludes(),
    )
    with zipfile.ZipFile(target) as package:
        return package.namelist()


def test_the_code_goes_along_and_little_else(tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    names = packed(ROOT, package)
    assert package.stat().st_size < LARGEST
    folders = {Path(name).parts[0] for name in names if len(Path(name).parts) > 1}
    assert folders == set(PACKAGES)
    ours = {str(file.relative_to(ROOT)) for part in PACKAGES for file in (ROOT / part).rglob("*.py")}
    assert ours <= set(names)


@pytest.mark.parametrize(
    "name",
    ["film.mp4", "deep/er/film.mkv", "out/run.json", "tests/test_x.py", ".venv/bin/ray", ".git/HEAD", "body.npz"],
)
def test_media_runs_and_tools_stay_behind(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "checkout"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"x")
    (folder / "manifest.csv").write_text("uri\n")
    (folder / "my.yaml").write_text("run: {}\n")
    for ignore in (".gitignore", ".rayignore"):
        shutil.copy(ROOT / ignore, folder)
    assert {entry for entry in packed(folder, tmp_path / "package.zip") if not entry.endswith("/")} == {
        ".gitignore", ".rayignore", "manifest.csv", "my.yaml",
    }  # fmt: skip
