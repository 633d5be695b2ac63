"""Cleaning as a command: only what no marker names, and only past the grace period."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from jobs.clean import main
from store.objects import open_store
from store.verify import verify
from tests.store.committed import small_run


@pytest.fixture
def output(tmp_path) -> Path:
    small_run(open_store(tmp_path))
    orphan = tmp_path / "clips" / "00000" / "orphan.parquet"
    orphan.write_bytes(b"left by a killed run")
    hours_ago = time.time() - 3 * 3600
    for path in tmp_path.rglob("*"):
        if path.is_file():
            os.utime(path, (hours_ago, hours_ago))
    return tmp_path


def files(output: Path) -> set[str]:
    return {path.relative_to(output).as_posix() for path in output.rglob("*.*") if path.is_file()}


def test_a_dry_run_names_what_would_go_and_removes_nothing(output, capsys):
    before = files(output)
    assert main(["--output", str(output), "--dry-run", "--grace", "1"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "clips/00000/orphan.parquet  20 bytes",
        "1 objects of 20 bytes would be removed; what is younger than 1 hours stays",
    ]
    assert files(output) == before


def test_only_what_no_marker_names_goes(output, capsys):
    before = files(output)
    assert main(["--output", str(output), "--grace", "1"]) == 0
    assert "1 objects of 20 bytes removed" in capsys.readouterr().out
    assert before - files(output) == {"clips/00000/orphan.parquet"}
    assert list(verify(open_store(output))) == []


def test_young_objects_stay(output, capsys):
    before = files(output)
    assert main(["--output", str(output)]) == 0
    assert "0 objects of 0 bytes removed; what is younger than 24 hours stays" in capsys.readouterr().out
    assert before <= files(output)


@pytest.mark.parametrize("grace", ["-1", "nan", "inf"])
def test_an_absurd_grace_period_exits_2(output, capsys, grace):
    assert main(["--output", str(output), f"--grace={grace}"]) == 2
    assert "must be a number of hours from 0" in capsys.readouterr().err


def test_no_run_exits_2(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "gone")]) == 2
    assert "holds no run" in capsys.readouterr().err
