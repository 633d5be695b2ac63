"""report.json from markers and sessions, against sums made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.cost_report import report_of, token_dollars, write_report
from jobs.prices import Endpoint, read_prices
from jobs.report_fields import CostReport, Gate
from operators.errors import ConfigurationError
from store.local import LocalStore
from store.markers import OperatorTally
from store.run_record import create_run
from store.sessions import write_session
from tests.store.committed import commit, run_record, small_run
from tests.store.test_sessions import a_session

PRICES = read_prices()


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> LocalStore:
    """Two partitions, one committed twice, by a session that took 100 s and one that was killed."""
    store = LocalStore(tmp_path_factory.mktemp("run"))
    create_run(store, run_record(3, 6, operators=run_record(1, 1).operators[:1]))
    tallies = {"shots": OperatorTally(clips=4, seconds=36.0)}
    commit(store, 0, {"a": ["hq"] * 3, "b": ["!model"]}, operators=tallies, video_seconds=1800.0, started=1020.0)
    again = {"shots": OperatorTally(clips=1, seconds=4.0)}
    commit(
        store,
        0,
        {"a": ["hq"] * 3, "b": ["visual"]},
        operators=again,
        video_seconds=1800.0,
        generation=2,
        started=2010.0,
        committed=2030.0,
    )
    commit(store, 1, {"c": [], "d": []}, operators={}, video_seconds=1800.0, started=1030.0, committed=1040.0)
    write_session(store, a_session("n1", started=1000.0, ended=1100.0, outcome="done"))
    write_session(store, a_session("n2", epoch=2, started=2000.0))
    return store


@pytest.fixture(scope="module")
def report(store: LocalStore) -> CostReport:
    return report_of(store, PRICES)


def test_counts_and_hours(report: CostReport, store: LocalStore) -> None:
    assert (report.partitions, report.partitions_total, report.complete) == (2, 3, False)
    assert report.videos == {"done": 4, "partial": 0, "failed": 0}
    assert report.clips == {"kept": 4, "dropped": 0, "failed": 0}
    assert report.video_hours == 1.0
    assert report.bytes_read == 2000
    assert report.bytes_written == sum(shard.bytes for shards in _latest_shards(store) for shard in shards)
    assert report.gates[1] == Gate(gate="clips", entered=4, passed=4, share=1.0, dropped={})
    assert report.gates[0].share == 1.0


def _latest_shards(store: LocalStore):
    from store.markers import read_markers

    return [marker.shards for marker in read_markers(store).values()]


def test_cost_of_operators_counts_repeated_work(report: CostReport) -> None:
    (shots,) = report.operators
    assert (shots.clips, shots.seconds, shots.ms_per_clip) == (5, 40.0, 8000.0)
    assert (shots.cpu_seconds, shots.gpu_seconds) == (40.0, 0.0)
    assert (report.repeated.partitions, report.repeated.clips, report.repeated.share) == (1, 1, 0.25)
    assert report.repeated.clips_unmetered == 0


def test_paces_and_reserved_time(report: CostReport) -> None:
    total = report.total
    assert total.wall_seconds == 100 + 30  # the killed session until its last commit
    assert total.video_hours_per_cpu_hour == pytest.approx(90)
    assert total.video_hours_per_gpu_hour is None
    assert total.video_hours_per_hour == pytest.approx(3600 / 130)
    assert (report.reserved.cpu_seconds, report.reserved.gpu_seconds) == (40 * 130, 130)
    assert report.reserved.cpu_share == pytest.approx(40 / 5200)
    assert report.reserved.gpu_share == 0.0


def test_sessions_tell_their_time_and_machines(report: CostReport) -> None:
    done, killed = report.sessions
    assert (done.wall_seconds, done.first_result_seconds, done.outcome) == (100.0, 30.0, "done")
    assert (killed.wall_seconds, killed.first_result_seconds, killed.outcome) == (30.0, 10.0, "running")
    assert [node.count for node in done.nodes] == [2, 1]


def test_dollars_are_seconds_on_the_machines_of_the_table(report: CostReport) -> None:
    on_demand, spot = report.dollars
    machine = PRICES.machine(PRICES.cpu_machine)
    assert on_demand.cpu == on_demand.total == pytest.approx(40 / 3600 * machine.on_demand / machine.cpus)
    assert spot.total == pytest.approx(40 / 3600 * machine.hourly("spot") / machine.cpus)
    assert on_demand.per_1000_clips == pytest.approx(250 * on_demand.total)
    assert on_demand.per_1000_video_hours == pytest.approx(1000 * on_demand.total)
    gpu = PRICES.machine(PRICES.gpu_machine)
    assert on_demand.reserved == pytest.approx(130 / 3600 * (32 / 16 * machine.on_demand + gpu.on_demand))
    assert on_demand.storage_month == pytest.approx(report.bytes_written / 2**30 * 0.023)


def test_gpu_stages_cost_their_share_of_a_gpu_machine(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    operators = tuple(
        o.model_copy(update={"name": n}) for o, n in zip(run_record(1, 1).operators, ("shots", "caption"), strict=True)
    )
    create_run(store, run_record(1, 1, operators=operators))
    tallies = {"shots": OperatorTally(clips=2, seconds=2.0), "caption": OperatorTally(clips=2, seconds=80.0)}
    commit(store, 0, {"a": ["hq", "hq"]}, operators=tallies)
    write_session(store, a_session("n1", started=0.0))
    report = report_of(store, PRICES)
    caption = report.operators[1]
    assert (caption.actor_seconds, caption.cpu_seconds, caption.gpu_seconds) == (20.0, 10.0, 5.0)
    machine = PRICES.machine(PRICES.gpu_machine)
    assert report.dollars[0].gpu == pytest.approx(5 / 3600 * machine.on_demand / machine.gpus)
    assert caption.dollars == pytest.approx(report.dollars[0].gpu)
    assert report.total.video_hours_per_gpu_hour == pytest.approx(10 / 3600 / (5 / 3600))


def test_stages_tell_how_their_actors_spent_their_time(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_run(store, run_record(1, 1))
    tallies = {
        "shots": OperatorTally(clips=2, seconds=2.0, reserved_seconds=10.0),
        "tiers": OperatorTally(clips=2, seconds=3.0),
    }
    commit(store, 0, {"a": ["hq", "hq"]}, operators=tallies)
    write_session(store, a_session("n1", started=0.0))
    (stage,) = report_of(store, PRICES).stages
    assert (stage.operators, stage.actor_seconds, stage.reserved_seconds) == (("shots", "tiers"), 5.0, 10.0)
    assert stage.share == 0.5


def test_tokens_cost_what_their_server_charges() -> None:
    price = Endpoint(input_per_million=2.0, output_per_million=10.0)
    prices = PRICES.model_copy(update={"endpoints": {"http://a/v1": price}})
    assert token_dollars({"http://a/v1": (1_000_000, 100_000), "http://b/v1": (9, 9)}, prices) == pytest.approx(3.0)


def test_the_file_is_the_report_and_is_written_over(store: LocalStore, report: CostReport) -> None:
    store.put("report.json", b"broken")
    write_report(store, report)
    assert CostReport.model_validate_json(store.get("report.json")) == report
    assert json.loads(store.get("report.json"))["video_hours"] == 1.0


def test_failures_are_reasons_where_they_are_of_clips_alone(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    small_run(store)
    report = report_of(store, PRICES)
    assert report.gates[0].dropped == {"failed": report.videos["failed"]}
    assert report.gates[1].dropped == {"failed": 1}
    assert report.gates[2].dropped == {"too_short": 2}
    with pytest.raises(ConfigurationError, match="holds no run"):
        report_of(LocalStore(tmp_path / "none"), PRICES)
