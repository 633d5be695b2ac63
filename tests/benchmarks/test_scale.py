"""The scale benchmark: its arithmetic, and a tiny run of it on one and two nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale_run import Figures, Order, videos_for, workers_of
from benchmarks.sleeping import MEASURED, clips_of
from store.markers import Marker, OperatorTally
from store.objects import open_store
from store.run_record import create_run
from tests.store.committed import commit, run_record


def figures(nodes: int, clips: int, wall: float, **more) -> Figures:
    return Figures(
        nodes=nodes, clips=clips, videos=clips // 10, workers=[2 * nodes], work_seconds=[180.0 * nodes],
        wall_seconds=wall, **more,
    )  # fmt: skip


def order(**changes) -> Order:
    facts = {
        "address": "", "input": "", "output": "", "nodes": 4, "cpus": 2, "gpus": 0, "clips": 10.0, "seconds": MEASURED,
    }  # fmt: skip
    return Order(**{**facts, **changes})


def test_efficiency_is_throughput_a_node_over_that_of_the_smallest_size() -> None:
    sizes = [figures(2, 1000, 100.0), figures(4, 2000, 100.0), figures(8, 4000, 125.0)]
    assert scale.efficiencies(sizes) == pytest.approx([1.0, 1.0, 0.8])


def test_the_ideal_is_the_bottleneck_over_its_workers() -> None:
    one = figures(1, 1000, 99.0, driver_cpu_seconds=1.0, clips_watched=500)
    assert one.ideal_seconds == 90 and one.over_ideal == pytest.approx(1.1)
    assert one.driver_cpu_per_million_clips == 2000
    one.workers, one.work_seconds = [2, 1], [180.0, 95.0]
    assert one.ideal_seconds == 95


def test_the_table_has_a_row_a_size() -> None:
    lines = scale.table([figures(1, 12345, 100.0, busy_share=0.314), figures(2, 24690, 100.0)])
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    assert len(lines) == 4 and len(cells) == len(scale.COLUMNS)
    assert cells[:7] == ["1", "2", "1234", "12,345", "123.5", "1.00", "1.111"] and cells[-1] == "31%"


def test_workers_are_all_that_fit_and_gpus_are_split_between_stages() -> None:
    assert workers_of(order()) == [8]
    gpus = order(gpus=2, gpu_stages=2, seconds={"shots": 0.1, "model": 0.2})
    assert workers_of(gpus)[1:3] == [4, 4]


def test_work_grows_with_the_nodes() -> None:
    four, eight = videos_for(30, order()), videos_for(30, order(nodes=8))
    assert len(eight) == pytest.approx(2 * len(four), rel=0.1)
    clips = sum(clips_of(name, 10) for name in four)
    assert clips * sum(MEASURED.values()) / 8 == pytest.approx(30, abs=3)


def test_the_pace_is_that_of_a_real_run(tmp_path: Path) -> None:
    store = open_store(tmp_path / "out")
    create_run(store, run_record(1, 1))
    marker: Marker = commit(store, 0, {"v": ["hq", "hq"]})
    tally = next(iter(marker.operators.values()), OperatorTally(clips=0, seconds=0))
    assert tally.clips
    options = scale.parser().parse_args(["--like", str(tmp_path / "out"), "--faster", "2"])
    assert scale.pace(options) == {
        name: each.seconds / each.clips / 2 for name, each in marker.operators.items() if each.clips
    }


@pytest.mark.cluster
def test_one_and_two_nodes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--nodes",
        "1,2",
        "--cpus",
        "1",
        "--work",
        "3",
        "--clips",
        "5",
        "--faster",
        "4",
        "--partition-size",
        "2",
    ]
    assert scale.main([*arguments, "--folder", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    one, two = told["sizes"]
    assert one["workers"] == [1] and two["workers"] == [2]
    for each in (one, two):
        assert each["clips"] >= each["videos"] > 0
        assert each["over_ideal"] >= 0.99
        assert each["driver_cpu_seconds"] > 0 and each["driver_mb"] > 50
        assert 0 < each["busy_share"] <= 1 and each["own_share"] > 0
    assert two["clips"] > 1.5 * one["clips"]
    assert list(tmp_path.iterdir()) == []
