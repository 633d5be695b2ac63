"""Plans from a real run on small videos, and from synthetic ones whose truth is known."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.plan import main, read_machines
from jobs.prices import read_prices
from operators.errors import ConfigurationError
from pipeline.run import execute
from store.markers import OperatorTally
from store.objects import open_store
from store.run_record import OperatorRecord, create_run
from store.sessions import Session, write_session
from tests.pipeline.run_chain import chain, small_run, write_film
from tests.store.committed import commit, run_record

PARTITIONS = 9


def planned(capsys: pytest.CaptureFixture[str], output: Path, *more: str) -> dict[str, Any]:
    assert main(["--sample", str(output), "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the engine on nine small videos, one in each partition."""
    folder = tmp_path_factory.mktemp("plan")
    (folder / "videos").mkdir()
    write_film(folder / "videos" / "0.mp4", [24, 20, 30])
    write_film(folder / "videos" / "1.mp4", [36, 30])
    for number in range(2, PARTITIONS):
        shutil.copy(folder / "videos" / f"{number % 2}.mp4", folder / "videos" / f"{number}.mp4")
    run = small_run(folder / "videos", folder / "out", chain(pause=0.02), partition_size=1, cpus=2)
    assert execute(run).exit_code == 0
    return folder / "out"


def test_a_real_sample_predicts_itself(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from store import open as open_run

    dataset = open_run(str(real))
    videos = [row for table in dataset.videos() for row in table.to_pylist()]
    hours = sum(row["video_duration"] for row in videos) / 3600
    found = planned(capsys, real, "--hours", str(hours))
    assert (found["partitions"], found["sample_videos"], found["job"]) == (PARTITIONS, PARTITIONS, "test")
    assert found["videos"] == pytest.approx(PARTITIONS)
    assert found["totals"]["clips"]["value"] == pytest.approx(sum(row["n_clips"] for row in videos))
    namer = next(operator for operator in found["operators"] if operator["operator"] == "namer")
    assert namer["ms_per_clip"]["value"] >= 20
    assert namer["ms_per_clip"]["low"] <= namer["ms_per_clip"]["value"] <= namer["ms_per_clip"]["high"]
    assert 0 <= found["totals"]["clips"]["error_median"] <= found["totals"]["clips"]["error_worst"] < 1
    assert sum(operator["share"] for operator in found["operators"]) == pytest.approx(1)
    rows = sum(path.stat().st_size for kind in ("clips", "videos") for path in (real / kind).rglob("*.parquet"))
    assert 0 < found["storage"]["gb"]["value"] * 2**30 < rows  # beside what is committed lie the small shards
    assert found["storage"]["writes"] >= 5 * PARTITIONS
    assert any("9 partitions are few" in doubt for doubt in found["doubts"])


def test_the_tables_name_what_is_predicted_and_assumed(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sample", str(real), "--hours", "27100", "--videos", "285518", "--days", "3", "--spot"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("27,100 hours of video in 285,518 videos, as test from ")
    for part in (
        "held-out error",
        "CPU-hours",
        "GB of rows",
        "c7i.4xlarge",
        "storage a month",
        "CAREFUL: the collection's videos last 342 s on average",
        "It is assumed that:",
        "spot machines that are taken away cost 5% of the work again",
        "Prices of 20",
    ):
        assert part in text, part


def a_collection(
    output: Path, partitions: int, seed: int, spread: float = 0.2, gpu: bool = True, **changes: Any
) -> Mapping[str, float]:
    """A run whose videos cost 2,000 CPU-seconds and 500 GPU-seconds an hour on average, and hold 600 clips an hour."""
    store = open_store(output)
    names = ("shots", "caption") if gpu else ("shots",)
    operators = tuple(OperatorRecord(name=name, fingerprint=name) for name in names)
    create_run(store, run_record(partitions, 4 * partitions, operators=operators))
    dice = np.random.default_rng(seed)
    for partition in range(partitions):
        hours = dice.uniform(0.2, 0.6)
        cost = float(np.exp(dice.normal(-(spread**2) / 2, spread)))
        clips = int(600 * hours)
        tallies = {"shots": OperatorTally(clips=clips, seconds=2000 * hours * cost, tokens_in=0)}
        if gpu:
            tallies["caption"] = OperatorTally(clips=clips, seconds=1000 * hours * cost)
        videos = {f"{partition}-{number}": [] for number in range(4)}
        facts = {"clips": {"kept": clips, "dropped": 0, "failed": 0}, "operators": tallies}
        commit(store, partition, videos, video_seconds=hours * 3600, started=130.0, **{**facts, **changes})
    stages = [
        {"operators": ["shots"], "cpus": 1, "gpus": 0},
        {"operators": ["caption"], "cpus": 1, "gpus": 0.5},
    ]
    session = {"nonce": "n1", "epoch": 1, "job": "mmtrail", "package_version": "1", "started": 100.0, "ended": 900.0}
    node = {"count": 1, "cpus": 8, "gpus": 1, "memory_mb": 1000, "cpu_model": "Fast", "gpu_model": "L4"}
    write_session(store, Session.model_validate({**session, "stages": stages[: 1 + gpu], "nodes": [node]}))
    return {"cpu_seconds": 2000.0, "gpu_seconds": 500.0, "clips": 600.0}


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("eight")
    a_collection(output, 8, seed=1)
    return output


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_truth_lies_in_the_interval_and_within_the_measured_error(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = a_collection(tmp_path, 24, seed)
    found = planned(capsys, tmp_path, "--hours", "1000")
    for name, per_hour in truth.items():
        total, true = found["totals"][name], per_hour * 1000
        assert abs(total["value"] - true) / true <= max(total["error_worst"], 0.01)
        assert abs(total["value"] - true) / true <= 0.15
    assert found["totals"]["cpu_seconds"]["low"] * 0.95 <= 2e6 <= found["totals"]["cpu_seconds"]["high"] * 1.05


def test_machines_and_dollars_follow_from_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_collection(tmp_path, 12, seed=5, spread=0.0)
    found = planned(capsys, tmp_path, "--hours", "27100", "--days", "2", "--efficiency", "1")
    (fleet,) = found["deadlines"]
    cpu, gpu = 27100 * 2000, 27100 * 500
    assert found["totals"]["cpu_seconds"]["value"] == pytest.approx(cpu)
    assert found["totals"]["gpu_seconds"]["value"] == pytest.approx(gpu)
    left = 2 * 86400 - 300 - 30 - fleet["tail_hours"] * 3600
    assert fleet["start_hours"] == pytest.approx(330 / 3600)  # thirty seconds to the sample's first result
    assert fleet["cpu_nodes"] == int(np.ceil(cpu / 16 / left))
    assert fleet["gpu_nodes"] == int(np.ceil(gpu / left))
    assert fleet["bottleneck"] == "gpu"
    rates = fleet["cpu_nodes"] * 0.714 + fleet["gpu_nodes"] * 0.9776 + 0.2016
    assert fleet["dollars"]["value"] == pytest.approx(rates * fleet["hours"])
    assert fleet["hours"] <= 48
    assert not any("cannot all work" in doubt for doubt in found["doubts"])
    assert [deadline["days"] for deadline in planned(capsys, tmp_path, "--hours", "1000")["deadlines"]] == [
        1,
        3,
        7,
        30,
    ]


def test_more_cpus_than_videos_are_doubted(eight: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, eight, "--hours", "27100", "--videos", "100", "--days", "2")
    cpus = 16 * found["deadlines"][0]["cpu_nodes"]
    assert f"{cpus:,} CPUs cannot all work on 100 videos, one at a time each" in found["doubts"]


def test_too_small_a_sample_is_refused_and_says_how_many_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_collection(tmp_path, 4, seed=1)
    assert main(["--sample", str(tmp_path), "--hours", "10"]) == 2
    assert "4 of its 4 partitions are finished and have a known cost, and 8 are needed" in capsys.readouterr().err
    assert main(["--sample", str(tmp_path / "none"), "--hours", "10"]) == 2
    assert "holds no run; give the --output of a finished sample" in capsys.readouterr().err


def test_a_run_without_sessions_is_planned_for_with_a_doubt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_collection(tmp_path, 10, seed=1, gpu=False)
    shutil.rmtree(tmp_path / "sessions")
    found = planned(capsys, tmp_path, "--hours", "10")
    assert any("no record of its stages" in doubt for doubt in found["doubts"])
    assert found["deadlines"][0]["gpu_nodes"] == 0


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--hours", "0"], "--hours 0: must be more than 0"),
        (["--hours", "nan"], "--hours nan: must be more than 0"),
        (["--hours", "1", "--days", "-1"], "--days -1: must be more than 0"),
        (["--hours", "1", "--days", "0.001"], "allow more time"),
        (["--hours", "1", "--videos", "0"], "--videos 0: must be more than 0"),
        (["--hours", "1", "--efficiency", "2"], "--efficiency 2: a share of the time"),
        (["--hours", "1", "--machine", "cpu"], "write it as cpu=NAME"),
        (["--hours", "1", "--machine", "gpus=x"], "there is no role 'gpus'. Did you mean 'gpu'?"),
        (["--hours", "1", "--machine", "cpu=c7i.4xlrge"], "Did you mean 'c7i.4xlarge'?"),
        (["--hours", "1", "--machine", "gpu=c7i.4xlarge"], "it has no GPU in the price table"),
    ],
)
def test_wrong_options_say_what_is_right(
    eight: Path, argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--sample", str(eight), *argv]) == 2
    assert complaint in capsys.readouterr().err


def test_machines_are_named_by_role_once_or_several_times() -> None:
    prices = read_prices()
    choice = read_machines(["cpu=c7i.8xlarge,gpu=g6.12xlarge", "head=m7i.4xlarge"], prices, spot=True)
    assert (choice.cpu, choice.gpu, choice.head) == ("c7i.8xlarge", "g6.12xlarge", "m7i.4xlarge")
    assert choice.market == "spot"
    assert read_machines([], prices, spot=False).cpu == prices.cpu_machine
    with pytest.raises(ConfigurationError, match="there is no role"):
        read_machines(["disk=big"], prices, spot=False)


def test_help_teaches_how_to_make_a_sample(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "how to make a sample" in text and "--partition-size" in text
