"""Beats tell what a process is at, through the real key-value store of Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from pipeline.heartbeat import Beat, Heart, forget_beats, read_beats
from pipeline.meter import Meter
from tests.pipeline.small_chain import clip_row, made_operator


def wait_for(session: str, what: Callable[[Beat], bool]) -> Beat:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for beat in read_beats(session).values():
            if what(beat):
                return beat
        time.sleep(0.05)
    raise AssertionError("no such beat")


@pytest.mark.usefixtures("ray_session")
def test_a_process_tells_its_longest_task_its_operator_and_what_it_spent():
    session = uuid4().hex
    heart = Heart(session, 0.1, "shots")
    first = wait_for(session, lambda beat: True)  # told before anything else is done
    assert (first.stage, first.pid, first.at, first.rows) == ("shots", os.getpid(), "", 0)
    assert first.actor == f"pid {os.getpid()} on node {first.node[:8]}"
    slow = made_operator("slow")
    annotate = slow.annotate  # type: ignore[attr-defined]

    def busy(clips):
        wait_for(session, lambda beat: beat.at == "video a-1" and beat.where.startswith("slow, "))
        return annotate(clips)

    slow.annotate = busy  # type: ignore[attr-defined]
    with heart.at("video a-1"), heart.at("clips of video b-2"):
        rows = heart.counted(Meter([slow]).run([slow], [clip_row("a-1", 0), clip_row("a-1", 1)]))
        assert len(list(rows)) == 2
    last = wait_for(session, lambda beat: beat.rows == 2 and beat.at == "")
    assert last.number > first.number
    assert last.cpu > 0
    forget_beats(uuid4().hex)
    assert read_beats(session)
    forget_beats(session)
