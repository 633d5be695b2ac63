"""report.json is left by every run that committed something, made on demand, and in nobody's way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.command import run_job
from jobs.mmtrail import MMTRAIL
from jobs.report import left_behind, main
from jobs.report_fields import CostReport
from operators.errors import ConfigurationError, EngineError
from pipeline.opening import Run
from pipeline.progress import Progress, Summary
from store.objects import open_store
from store.run_record import create_run
from tests.store.committed import commit, run_record, small_run

SUMMARY = Summary(progress=Progress(phase="done", partitions_committed=1), output="out")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    small_run(open_store(tmp_path / "out"))
    return tmp_path / "out"


def report_in(output: Path) -> CostReport:
    return CostReport.model_validate_json((output / "report.json").read_bytes())


def test_on_demand_it_is_printed_and_written(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(output)]) == 0
    text = capsys.readouterr().out
    report = report_in(output)
    assert text.startswith(f"mmtrail in {output}: 2 of 3 partitions\n")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "clips 4 kept, 2 dropped, 1 failed" in lines
    assert "visual too_short 2 6 4 66.7%" in lines
    assert "hq too_short 2, too_small 2 6 2 33.3%" in lines
    shots = next(line for line in lines if line.startswith("shots "))
    assert shots == f"shots {report.operators[0].clips} 571 4.0 4.0 0.0 $5e-05"
    assert "check them" in text


def test_json_is_the_file(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((output / "report.json").read_bytes())


def test_prices_are_ones_own(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = Path(__file__).parents[2] / "jobs" / "prices.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(shipped.read_text().replace("on_demand: 0.714", "on_demand: 714.0"))
    assert main(["--output", str(output), "--prices", str(mine)]) == 0
    dear = report_in(output).dollars[0].total
    assert main(["--output", str(output)]) == 0
    assert dear == pytest.approx(1000 * report_in(output).dollars[0].total)
    mine.write_text("machine: {}")
    assert main(["--output", str(output), "--prices", str(mine)]) == 2
    assert "the price table has no 'machine'. Did you mean 'machines'?" in capsys.readouterr().err


def test_without_a_run_or_a_commit_there_is_nothing_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--output", str(tmp_path / "none")]) == 2
    assert "holds no run" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    create_run(open_store(tmp_path), run_record(1, 1))
    assert main(["--output", str(tmp_path)]) == 2
    assert "no committed partition yet" in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()


def test_a_job_leaves_it_and_writes_it_anew(output: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    argv = ["--input", str(tmp_path / "videos"), "--output", str(output)]

    def execute(run: Run, on_progress) -> Summary:
        commit(open_store(run.output), 2, {"g": ["hq"]}, started=1.0)
        return SUMMARY

    (output / "report.json").write_text("of an earlier run")
    assert run_job(MMTRAIL, argv, execute) == 0
    assert report_in(output).partitions == 3

    def broken(run: Run, on_progress) -> Summary:
        commit(open_store(run.output), 2, {"g": ["hq", "hq"]}, generation=2)
        raise EngineError("the engine is down")

    assert run_job(MMTRAIL, argv, broken) == 1
    assert report_in(output).clips["kept"] == 6

    def interrupted(run: Run, on_progress) -> Summary:
        commit(open_store(run.output), 2, {"g": ["hq"] * 3}, generation=3)
        raise KeyboardInterrupt

    assert run_job(MMTRAIL, argv, interrupted) == 130
    assert report_in(output).clips["kept"] == 7


def test_a_wrong_price_table_is_found_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    argv = ["--input", str(tmp_path / "videos"), "--output", str(tmp_path / "out"), "--prices", "none.yaml"]

    def execute(run: Run, on_progress) -> Summary:
        raise AssertionError("was started")

    assert run_job(MMTRAIL, argv, execute) == 2
    assert "--prices none.yaml: No such file or directory" in capsys.readouterr().err


def test_nothing_is_left_where_nothing_was_started_or_committed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError), left_behind(str(tmp_path), None):
        raise ConfigurationError("wrong")
    with left_behind(str(tmp_path / "none"), None):
        pass
    create_run(open_store(tmp_path), run_record(1, 1))
    with left_behind(str(tmp_path), None):
        pass
    assert not (tmp_path / "report.json").exists() and not (tmp_path / "none").exists()


def test_a_report_that_cannot_be_made_ends_nothing(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marker = next((output / "commits" / "00000").iterdir())
    marker.write_text("{")
    with left_behind(str(output), None):
        pass
    assert "report.json could not be written: commits/00000/000001.json cannot be trusted" in capsys.readouterr().err
    assert not (output / "report.json").exists()
