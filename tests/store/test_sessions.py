"""Records of sessions: written, read back, and never needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from store.clean import orphans
from store.layout import parse_session_key, session_key
from store.local import LocalStore
from store.run_record import create_run
from store.sessions import NodeRecord, Session, StageRecord, read_sessions, write_session
from tests.store.committed import run_record

NODES = (NodeRecord(count=2, cpus=16, gpus=0, memory_mb=1), NodeRecord(count=1, cpus=8, gpus=1, memory_mb=1))
STAGES = (
    StageRecord(operators=("shots", "tiers"), cpus=1, gpus=0),
    StageRecord(operators=("caption",), cpus=0.5, gpus=0.25, concurrency=4),
)


def a_session(nonce: str = "n1", **changes: Any) -> Session:
    facts = {
        "epoch": 1,
        "job": "mmtrail",
        "package_version": "0.1.0",
        "started": 5.0,
        "stages": STAGES,
        "nodes": NODES,
    }
    return Session.model_validate({"nonce": nonce, **facts, **changes})


def test_a_session_is_read_back_and_written_over(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write_session(store, a_session())
    assert read_sessions(store)[0].outcome == "running"
    ended = a_session(ended=9.0, outcome="done")
    write_session(store, ended)
    write_session(store, a_session("n0", epoch=2, started=1.0))
    assert read_sessions(store) == [a_session("n0", epoch=2, started=1.0), ended]


def test_a_session_knows_its_cluster_and_its_stages() -> None:
    session = a_session()
    assert (session.cpus, session.gpus) == (40, 1)
    stage = session.stage_of("caption")
    assert stage is not None and stage.concurrency == 4
    assert session.stage_of("fusion") is None


def test_broken_records_are_left_out(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write_session(store, a_session())
    store.put(session_key(2, "broken"), b"{")
    store.put(session_key(3, "other"), b'{"format": 2}')
    store.put("sessions/notes.txt", b"mine")
    assert read_sessions(store) == [a_session()]


def test_nothing_that_cleans_removes_sessions_or_the_report(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    create_run(store, run_record(1, 1))
    write_session(store, a_session())
    store.put("report.json", b"{}")
    assert orphans(store, 0.0, now=1e12) == []


@pytest.mark.parametrize("epoch", [0, 7, 123456])
def test_keys_parse_back(epoch: int) -> None:
    assert parse_session_key(session_key(epoch, "0123456789abcdef" * 2)) == (epoch, "0123456789abcdef")
    assert parse_session_key("sessions/1-a.json") is None
