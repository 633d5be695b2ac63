"""What a driver leaves of itself: its stages, its machines, its time, and how it ended."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operators.errors import EngineError
from pipeline.run import execute
from pipeline.session import _endpoint, cpu_model, most, node_record
from store.objects import open_store
from store.sessions import NodeRecord, Session, read_sessions
from store.work import read_work
from tests.pipeline.run_chain import chain, small_run


@pytest.fixture(scope="module")
def output(films: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """A run on a GPU that stops because an engine is down, and the run that goes on once it is up."""
    folder = tmp_path_factory.mktemp("sessions")
    mended = folder / "mended"
    run = small_run(films, folder / "out", chain(gpu=True, halts="b-one", unless=str(mended), pause=0.02))
    with pytest.raises(EngineError, match="the server of the model is down"):
        execute(run)
    mended.touch()
    assert execute(run).exit_code == 0
    return folder / "out"


@pytest.fixture(scope="module")
def sessions(output: Path) -> list[Session]:
    return read_sessions(open_store(output))


def test_each_run_of_the_command_is_a_session_that_tells_how_it_ended(sessions: list[Session]) -> None:
    assert [session.outcome for session in sessions] == ["stopped", "done"]
    for session in sessions:
        assert session.ended is not None and session.ended >= session.started > 1.6e9
        assert session.job == "test"
    assert sessions[0].epoch < sessions[1].epoch


def test_stages_and_machines_are_those_of_the_run(sessions: list[Session]) -> None:
    for session in sessions:
        cpu, gpu, last = session.stages
        assert cpu.operators == ("shots", "quality", "text", "tiers")
        assert (gpu.operators, gpu.cpus, gpu.gpus, gpu.concurrency) == (("namer",), 0.25, 0.5, 2)
        assert last.operators == ("fuser",)
        (node,) = session.nodes
        assert (node.count, node.cpus, node.gpus, node.cpu_model) == (1, 4.0, 1.0, cpu_model())


def test_work_is_charged_to_the_stage_that_did_it(output: Path, sessions: list[Session]) -> None:
    work = read_work(open_store(output), "shots", sessions)
    assert {part.marker.nonce for part in work} <= {session.nonce for session in sessions}
    for name, cpus, gpus in (("namer", 0.25, 0.5), ("fuser", 1.0, 0.0)):
        for done in (part.operators[name] for part in work if name in part.operators):
            assert done.actor_seconds > 0 or not done.clips
            assert done.actor_seconds <= done.seconds + 1e-3  # tallies are rounded to 0.1 ms, one for each task
            assert done.cpu_seconds == pytest.approx(done.actor_seconds * cpus)
            assert done.gpu_seconds == pytest.approx(done.actor_seconds * gpus)
    namers = [part.operators["namer"] for part in work if "namer" in part.operators]
    assert namers
    assert sum(done.seconds for done in namers) >= 0.02 * sum(done.clips for done in namers)
    assert sum(done.actor_seconds for done in namers) <= sum(done.reserved_seconds for done in namers)


def test_of_clusters_that_grow_and_shrink_the_larger_counts() -> None:
    cpu, gpu = (NodeRecord(count=1, cpus=16, gpus=gpus, memory_mb=1) for gpus in (0, 1))
    grown = most([cpu], [cpu.model_copy(update={"count": 5}), gpu])
    assert [(node.count, node.gpus) for node in grown] == [(5, 0), (1, 1)]
    assert most(grown, [cpu]) == grown


def test_nodes_are_told_as_ray_sees_them() -> None:
    node = {
        "NodeID": "a",
        "Alive": True,
        "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 2.0**30, "accelerator_type:L4": 1.0, "node:10.0.0.1": 1.0},
        "Labels": {"ray.io/node-id": "a", "ray.io/market-type": "spot"},
    }
    told = node_record(node, "")
    assert (told.cpus, told.gpus, told.memory_mb, told.gpu_model) == (8.0, 1.0, 1024, "L4")
    assert told.labels == {"ray.io/market-type": "spot"}


def test_the_cpu_is_named_where_the_system_names_it(tmp_path: Path) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: Fast CPU: 3 GHz\nmodel name\t: Fast CPU: 3 GHz\n")
    assert cpu_model(facts) == "Fast CPU: 3 GHz"
    facts.write_text("processor: 0\n")
    assert cpu_model(facts) == cpu_model(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("set_to", "told"),
    [
        (None, ""),
        ("http://host:8000/v1/", "http://host:8000/v1"),
        ("https://user:secret@host/v1?key=secret#x", "https://host/v1"),
    ],
)
def test_servers_are_named_without_logins(set_to: str | None, told: str) -> None:
    operator: Any = SimpleNamespace(settings=SimpleNamespace(endpoint=set_to))
    assert _endpoint(operator) == told
    assert _endpoint(SimpleNamespace(settings=SimpleNamespace())) == ""  # type: ignore[arg-type]
