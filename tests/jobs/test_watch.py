"""A run that is looked at again and again while it begins, works, breaks and ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from jobs.status import main
from operators.errors import ConfigurationError, StorageError
from store.lease import Lease
from store.local import LocalStore
from store.markers import write_success
from store.run_record import create_run
from tests.store.committed import commit, run_record

PATIENCE = 120.0


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "out")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sequence[Callable[[], object]]], None]:
    """Lets things happen in the place of the pauses, one each, and nothing after the last."""

    def set_to(events: Sequence[Callable[[], object]]) -> None:
        left: Iterator[Callable[[], object]] = iter(events)
        monkeypatch.setattr("jobs.watch.time.sleep", lambda _: next(left)())

    return set_to


def story(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """A run begins, commits, is not to be reached for a moment, commits the rest and ends."""
    leases: list[Lease] = []
    lists = LocalStore.list

    def begins() -> None:
        create_run(store, run_record(2, 3))
        leases.append(Lease.acquire(store, job="mmtrail"))

    def breaks() -> None:
        def refuse(*_: object) -> None:
            raise StorageError("no answer (TimeoutError)")

        monkeypatch.setattr(LocalStore, "list", refuse)

    def ends() -> None:
        commit(store, 1, {"c": ["hq"]}, broken={"c": "decode"})
        write_success(store, {0: 1, 1: 1})
        leases[0].release()

    return [
        begins,
        lambda: commit(store, 0, {"a": ["hq", "-too_short"], "b": ["visual"]}),
        breaks,
        lambda: monkeypatch.setattr(LocalStore, "list", lists),
        ends,
    ]


def test_lines_tell_how_a_run_goes_and_its_end_ends_them(store, steps, monkeypatch, capsys):
    steps(story(store, monkeypatch))
    assert main(["--output", store.url, "--watch", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = [line.partition(" ")[2] for line in lines]
    assert said[0] == f"no run in {store.url} yet"
    assert said[1].startswith("running, 0 of 2 partitions, 0 of 3 videos, 0 clips, mmtrail of ")
    assert said[2].startswith("running, 1 of 2 partitions, 2 of 3 videos, 3 clips, ")
    assert " clips/s now and 0.06 on average, 1 dropped, about " in said[2]
    assert said[3] == "not to be read now: no answer (TimeoutError)"
    assert said[4].startswith("running, 1 of 2 partitions")
    assert said[5].startswith("complete, 2 of 2 partitions, 3 of 3 videos, 4 clips, ")
    assert said[5].endswith(", 1 dropped, failed: 1")
    assert len(said) == 6


def test_json_is_one_object_a_line(store, steps, monkeypatch, capsys):
    steps(story(store, monkeypatch))
    assert main(["--output", store.url, "--watch", "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [sorted(each) == ["problem", "time"] for each in found] == [True, False, False, True, False, False]
    assert [each["partitions"]["done"] for each in found if "partitions" in each] == [0, 1, 1, 2]
    assert found[-1]["complete"] and found[-1]["writer"] is None
    assert found[0]["time"] <= found[-1]["time"]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_is_redrawn_in_its_place(store, steps, monkeypatch):
    for name, value in (("TERM", "xterm"), ("COLUMNS", "120"), ("LINES", "60"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    steps(story(store, monkeypatch))
    assert main(["--output", store.url, "--watch", "5"]) == 0
    frames = terminal.getvalue().split("\x1b[1A")
    assert len(frames) > 5, "every picture begins where the one before began"
    text = terminal.getvalue()
    for piece in ("1 of 2 partitions, 50%", "mmtrail of videos/ →", "pace now", "too_short", "every 5 s; Ctrl-C ends"):
        assert piece in text
    end = text[text.rindex("2 of 2 partitions, 100%") :]
    assert "  complete" in end and "Ctrl-C" not in end
    assert "\x1b[?25h" in end, "the cursor is back"


def test_what_waiting_does_not_cure_ends_it(store, monkeypatch, capsys):
    def refuse(*_: object) -> None:
        raise ConfigurationError("no S3 credentials")

    monkeypatch.setattr(LocalStore, "list", refuse)
    create_run(store, run_record(1, 1))
    assert main(["--output", store.url, "--watch"]) == 2
    assert "no S3 credentials" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "0.5", "nan", "1e9", "-3"])
def test_pauses_that_make_no_sense_are_refused(store, capsys, seconds):
    assert main(["--output", store.url, f"--watch={seconds}"]) == 2
    assert "give 1 to 86400 seconds" in capsys.readouterr().err


def test_ctrl_c_ends_with_130(store):
    create_run(store, run_record(1, 1))
    command = [sys.executable, "-m", "jobs.status", "--output", store.url, "--watch", "1"]
    watching = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    alarm = threading.Timer(PATIENCE, watching.kill)
    alarm.start()
    try:
        assert watching.stdout is not None and watching.stderr is not None
        assert "not complete, and nobody writes, 0 of 1 partitions" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 130
        assert watching.stderr.read().strip() == "Stopped."
    finally:
        alarm.cancel()
        watching.kill()
        watching.wait(10)
        watching.communicate()
