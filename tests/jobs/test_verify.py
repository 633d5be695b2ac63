"""Verification as a command: 0 when whole, 1 with findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.verify import main
from store.objects import open_store
from tests.store.committed import small_run


@pytest.fixture
def output(tmp_path) -> Path:
    small_run(open_store(tmp_path))
    return tmp_path


def shards(output: Path) -> list[Path]:
    return sorted((output / "clips").rglob("*.parquet"))


def test_a_whole_output_exits_0(output, capsys):
    assert main(["--output", str(output)]) == 0
    assert capsys.readouterr().out == "2 committed partitions: every shard is there and whole\n"


def test_missing_truncated_and_altered_shards_are_named(output, capsys):
    first = shards(output)[0]
    key = first.relative_to(output).as_posix()
    data = first.read_bytes()
    for change in (data[:-10], data[:100] + bytes([data[100] ^ 1]) + data[101:], None):
        first.unlink()
        if change is not None:
            first.write_bytes(change)
        assert main(["--output", str(output)]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(f"partition 0: {key}: ")
        assert lines[-1] == f"{len(lines) - 1} problems in 2 committed partitions"


def test_no_output_exits_2(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "gone")]) == 2
    assert "holds no run" in capsys.readouterr().err
