"""What partitions cost, from markers of several generations and the sessions that wrote them."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.local import LocalStore
from store.markers import OperatorTally
from store.run_record import create_run
from store.sessions import write_session
from store.work import PartitionWork, objects_written, read_work, video_lengths
from tests.store.committed import commit, run_record
from tests.store.test_sessions import a_session

TALLIES = {"shots": OperatorTally(clips=3, seconds=6.0), "caption": OperatorTally(clips=2, seconds=8.0)}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path)
    create_run(store, run_record(2, 2))
    return store


def work_of(store: LocalStore, *sessions) -> PartitionWork:
    (work,) = read_work(store, "shots", sessions)
    return work


def test_seconds_become_those_of_cpus_and_gpus_by_the_stage_of_the_session(store: LocalStore) -> None:
    commit(store, 0, {"a": ["hq", "visual", "-short"]}, operators=TALLIES)
    work = work_of(store, a_session("other"), a_session("n1"))
    assert work.operators["shots"].cpu_seconds == 6.0
    caption = work.operators["caption"]  # four batches at once on half a CPU and a quarter of a GPU
    assert (caption.seconds, caption.actor_seconds) == (8.0, 2.0)
    assert (caption.cpu_seconds, caption.gpu_seconds) == (1.0, 0.5)
    assert (work.total().seconds, work.total().cpu_seconds) == (14.0, 7.0)
    assert (work.clips, work.passes, work.again, work.unmetered) == (3, 1, 0, 0)


def test_measured_shares_of_an_actor_go_before_full_engines(store: LocalStore) -> None:
    told = OperatorTally(clips=2, seconds=8.0, actor_seconds=5.0, reserved_seconds=20.0)
    commit(store, 0, {"a": ["hq", "visual", "-short"]}, operators={**TALLIES, "caption": told})
    caption = work_of(store, a_session("n1")).operators["caption"]
    assert (caption.actor_seconds, caption.gpu_seconds, caption.reserved_seconds) == (5.0, 1.25, 20.0)


def test_without_a_session_an_operator_is_held_to_be_on_one_cpu(store: LocalStore) -> None:
    commit(store, 0, {"a": ["hq", "visual", "-short"]}, operators=TALLIES)
    assert work_of(store).operators["caption"].cpu_seconds == 8.0


def test_a_retry_adds_to_the_cost_and_rejudging_does_not(store: LocalStore) -> None:
    commit(store, 0, {"a": ["hq", "!model"]}, operators={"shots": OperatorTally(clips=2, seconds=4.0)})
    commit(
        store,
        0,
        {"a": ["hq", "hq"]},
        generation=2,
        operators={"shots": OperatorTally(clips=2, seconds=3.0)},
        started=500.0,
        committed=600.0,
    )
    retried = work_of(store)
    assert (retried.operators["shots"].seconds, retried.passes, retried.again) == (7.0, 2, 2)
    assert retried.marker.clips["failed"] == 0
    commit(
        store,
        0,
        {"a": ["hq", "visual"]},
        generation=3,
        nonce="rejudge",
        operators={"shots": OperatorTally(clips=2, seconds=3.0)},
        started=500.0,
        committed=600.0,
    )
    rejudged = work_of(store, a_session("n2", stages=()))
    assert rejudged.operators == retried.operators
    assert rejudged.marker.tiers == {"hq": 1, "visual": 1}


def test_clips_that_were_taken_over_are_not_metered(store: LocalStore) -> None:
    commit(store, 0, {"a": ["hq"] * 5}, operators={"shots": OperatorTally(clips=2, seconds=1.0)})
    assert (work_of(store).unmetered, work_of(store).again) == (3, 0)
    commit(store, 1, {"b": ["hq"] * 5}, operators={})
    assert read_work(store, "shots", ())[1].unmetered == 5


def test_tokens_are_counted_by_the_server_that_was_asked(store: LocalStore) -> None:
    tally = OperatorTally(clips=2, seconds=1.0, tokens_in=1000, tokens_out=50)
    commit(store, 0, {"a": ["hq", "hq"]}, operators={"caption": tally, "fusion": tally})
    stages = [
        {"operators": ["caption"], "cpus": 1, "gpus": 0, "endpoints": {"caption": "http://host:8000/v1"}},
        {"operators": ["fusion"], "cpus": 1, "gpus": 1},
    ]
    work = work_of(store, a_session("n1", stages=stages))
    assert work.asked == {"http://host:8000/v1": (1000, 50)}
    assert (work.total().tokens_in, work.total().tokens_out) == (2000, 100)


def test_lengths_and_objects_are_those_that_lie_there(store: LocalStore) -> None:
    write_session(store, a_session())
    commit(store, 0, {"a": ["hq"], "b": []})
    work = read_work(store, "shots", ())
    assert video_lengths(store, work) == [10.0, 10.0]
    assert work[0].bytes_written == sum(info.size for kind in ("clips", "videos") for info in store.list(f"{kind}/"))
    assert objects_written(store) == 4  # manifest, clips, videos, marker
