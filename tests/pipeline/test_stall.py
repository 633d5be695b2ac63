"""The reasons for a standstill, from facts by hand."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline import stall
from pipeline.heartbeat import LOADING, Beat
from pipeline.stall import Facts, StageFacts, explain

GPU_NODE = {"CPU": 4.0, "GPU": 1.0, "memory": 8.0 * (1 << 30)}


@pytest.fixture(autouse=True)
def one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of one node whose GPU is taken, without an autoscaler."""
    monkeypatch.setattr(stall.ray, "nodes", lambda: [{"Alive": True, "NodeID": "gpu", "Resources": GPU_NODE}])
    monkeypatch.setattr(stall, "_free", lambda where: [{"CPU": 3.0, "memory": 4.0 * (1 << 30)}])
    monkeypatch.setattr(stall, "_autoscaler", lambda: (0, ""))


def stage(name: str, **changes: Any) -> StageFacts:
    facts: dict[str, Any] = {
        "wants": {"CPU": 1.0, "GPU": 0.0, "memory": 0.0},
        "where": frozenset({"gpu"}),
        "finished": False,
        "alive": 1,
        "pending": 0,
        "restarting": 0,
        "start_deaths": 0,
        "restarts": 0,
        "tasks": 0,
        "queued": 0,
        "held": 0,
        "pressed": False,
    }
    return StageFacts(name=name, **{**facts, **changes})


def beat(stage: str, at: str, since: float, silent: float = 0.0) -> Beat:
    return Beat(
        stage=stage, node="ab" * 28, pid=7, number=3, rows=0, cpu=1.0, moved=0, at=at, since=since,
        where="caption, chat.py:9", silent=silent,
    )  # fmt: skip


def why(*stages: StageFacts) -> list[str]:
    return explain(Facts(stages=stages, done={}))


def test_the_last_stage_with_work_is_the_one_that_is_stuck():
    lines = why(
        stage("shots", queued=9, pressed=True, held=4),
        stage("caption", tasks=1, beats=(beat("caption", "clips of video a-1", 900),)),
        stage("fusion", alive=1),
    )
    assert lines[0] == (
        "stage caption is stuck: one task runs, the longest: "
        "clips of video a-1 for 900 s (caption, chat.py:9; pid 7 on node abababab)"
    )
    assert lines[1].startswith("stage shots is held back: 4 blocks wait for the stages after it (object store")
    assert len(lines) == 2


def test_a_process_that_fell_silent_comes_after_those_that_speak():
    beats = (beat("caption", "clips of video a-1", 900, 400), beat("caption", "clips of video b-2", 30))
    assert "the longest: clips of video b-2 for 30 s" in why(stage("caption", tasks=1, beats=beats))[0]
    both = why(stage("caption", tasks=2, beats=beats))[0]
    assert "2 tasks run" in both
    assert "clips of video a-1 for 1,300 s (caption, chat.py:9; pid 7 on node abababab; silent for 400 s)" in both


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"wants": {"CPU": 1.0, "GPU": 0.5}},
            "1 CPU (free 3 of 4), 0.5 GPU (free 0 of 1); other work",
        ),
        ({"wants": {"CPU": 1.0, "GPU": 2.0}}, "2 GPU (free 0 of 1); no node that it may be on has as much"),
        (
            {"wants": {"memory": 16.0 * (1 << 30)}},
            "16,384 MiB of memory (free 4,096 of 8,192); no node",
        ),
        ({"wants": {"CPU": 1.0}, "pending": 1}, "a node has room, but the actor does not come up"),
        ({"restarting": 2}, "its actors died and are being started again; an actor wants 1 CPU"),
        ({"start_deaths": 2}, "its actors die at their start, 2 times so far; Ray's session log"),
        ({"restarts": 7, "beats": (beat("caption", LOADING, 1),)}, "its actors die at their start, 7 times so far"),
        ({"beats": (beat("caption", LOADING, 700),)}, "one is loading for 700 s (caption, chat.py:9; pid 7 on"),
    ],
)
def test_a_stage_without_an_actor_says_what_it_waits_for(changes: dict[str, Any], reason: str):
    line = why(stage("caption", alive=0, queued=5, **changes))[0]
    assert line.startswith("stage caption waits for an actor (5 blocks wait for it): ")
    assert reason in line


def test_other_standstills_are_told_apart(monkeypatch: pytest.MonkeyPatch):
    assert why(stage("shots", finished=True)) == ["no stage has anything left to do, and Ray Data does not end"]
    assert why(stage("shots", queued=3)) == ["stage shots is given no work: 3 blocks wait, 1 actors are idle"]
    assert "do not say at what" in why(stage("shots", tasks=1))[0]
    monkeypatch.setattr(stall, "_autoscaler", lambda: (2, "InsufficientInstanceCapacity"))
    assert why(stage("caption", alive=0, queued=1))[1:] == [
        "the autoscaler waits for 2 nodes",
        "the autoscaler could not get a node: InsufficientInstanceCapacity",
    ]
