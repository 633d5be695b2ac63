"""A short storm on a cluster of four nodes, and the parts that count what a storm did."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.soak import agenda, possible, setting, soak
from benchmarks.soak_calls import annotated, open_batches, read_calls
from benchmarks.soak_events import EVENTS, PLACES
from benchmarks.soak_job import log_call
from benchmarks.soak_report import Report
from benchmarks.soak_videos import slices

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder with a short path: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="rsk-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.cluster
def test_a_job_survives_the_loss_of_nodes_an_actor_and_its_driver(folder: Path) -> None:
    storm = ["gpu_actor", "node_kill", "driver", "drain"]
    slices(SAMPLES, folder / "videos", 10)
    with setting(storm, folder, folder / "videos", seed=5, mean_seconds=1.0, patience=240.0) as scene:
        report = soak(scene, [storm])
    assert report.clean, report
    assert report.events == Counter(storm)
    assert report.clips >= 10
    assert report.annotated >= report.clips


def test_the_call_log_tells_open_batches_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "calls"
    assert read_calls(path) == []
    log_call(str(path), "begin", ["a", "b"])
    log_call(str(path), "begin", ["c"])
    log_call(str(path), "end", ["a", "b"])
    log_call(str(path), "begin", ["a"])
    log_call(str(path), "done", ["b"])
    with path.open("a") as file:
        file.write('{"what": "beg')
    calls = read_calls(path)
    assert [call["clips"] for call in open_batches(calls)] == [["c"], ["a"]]
    assert annotated(calls) == {"a": 2, "b": 1, "c": 1}
    assert annotated(calls, "done") == {"b": 1}


def test_every_event_has_its_turn_and_those_with_a_place_of_their_own_stand_alone() -> None:
    rounds = agenda(list(EVENTS), 40, 3, random.Random(1))
    assert len(rounds) == 40
    assert all(rounds)
    told = Counter(kind for events in rounds for kind in events)
    assert max(told.values()) - min(told.values()) <= 1
    assert all(len(events) == 1 for events in rounds if set(events) & set(PLACES))


def test_what_a_machine_does_not_allow_is_left_out_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    kinds, skipped = possible(["node_kill", "network_cut", "disk_full"])
    assert kinds == ["node_kill"]
    assert set(skipped) == {"network_cut", "disk_full"}
    assert all(skipped.values())


@pytest.mark.parametrize("wrong", ["lost", "doubled", "changed", "reannotated", "findings", "repeated"])
def test_one_flaw_makes_a_report_unclean(wrong: str) -> None:
    report = Report(rounds=1, annotated=10, clips=5, events=Counter(["drain"]), stops=Counter(["drain"]))
    assert report.clean
    setattr(report, wrong, ["a job hung"] if wrong == "findings" else 1)
    assert not report.clean
    assert report.table()
    json.dumps({**vars(report), **report.shares()})


def test_work_repeated_is_bounded_by_what_was_in_flight() -> None:
    assert Report(annotated=12, repeated=2, in_flight=2).clean
    assert not Report(annotated=12, repeated=3, in_flight=2).clean
    assert Report(annotated=12, repeated=2, in_flight=4).shares() == {"repeated_share": 0.2, "in_flight_share": 0.4}
