from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from operators.errors import ErrorKind
from pipeline.attempts import RESTARTED, Attempt, Evidence, read_attempts, weigh, write_attempt
from store.layout import attempt_key
from store.local import LocalStore

NOW = "present"


def attempt(session: str = NOW, *, alone: bool = False, ended: str = "", number: str = "1") -> Attempt:
    return Attempt(video_id="v", session=session, number=number, alone=alone, ended=ended, message=ended and "gone")


def test_attempts_are_read_back_and_an_end_replaces_its_beginning(tmp_path: Path):
    store = LocalStore(str(tmp_path))
    one, two = attempt(number="1"), attempt("x" * 32, number="2", alone=True)
    write_attempt(store, 3, one)
    write_attempt(store, 3, two)
    write_attempt(store, 3, attempt(number="1", ended="timeout"))
    write_attempt(store, 4, attempt(number="9"))
    found = read_attempts(store, 3)
    assert sorted(found, key=lambda a: a.number) == [attempt(number="1", ended="timeout"), two]


def test_tries_before_the_commit_that_is_done_anew_are_forgotten(tmp_path: Path):
    store = LocalStore(str(tmp_path))
    tries = [replace(attempt(f"s{epoch}", ended="timeout", number=str(epoch)), epoch=epoch) for epoch in (1, 2, 3)]
    for one in tries:
        write_attempt(store, 0, one)
    assert sorted(found.epoch for found in read_attempts(store, 0)) == [1, 2, 3]
    assert read_attempts(store, 0, settled=2) == tries[2:]


def test_video_ids_of_any_script_make_sound_keys(tmp_path: Path):
    store = LocalStore(str(tmp_path))
    strange = Attempt(video_id="../Ünï/試\u202e", session="s" * 32, number="a1", alone=False)
    write_attempt(store, 0, strange)
    assert read_attempts(store, 0) == [strange]


STRANGE = b'{"video_id": "v", "session": "s", "number": "1", "alone": false, "epoch": "x"}'


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"{}", b'{"video_id": "v", "surprise": 1}', STRANGE, b"\xff\xfe"])
def test_records_that_are_not_whole_are_no_evidence(tmp_path: Path, data: bytes):
    store = LocalStore(str(tmp_path))
    store.put(attempt_key(0, "broken"), data)
    write_attempt(store, 0, attempt())
    assert read_attempts(store, 0) == [attempt()]


MINE, OTHERS = attempt(), attempt("a")
DIED, DIED_ALONE = attempt(ended="timeout"), attempt(ended="timeout", alone=True)
LONELY = attempt("a", alone=True)


@pytest.mark.parametrize(
    ("attempts", "vanished", "strikes", "lonely", "unexplained", "alone", "convicted"),
    [
        ([], True, 0, 0, 0, False, False),
        ([MINE], False, 0, 0, 0, False, False),
        ([MINE], True, 1, 0, 0, False, False),
        ([DIED], False, 1, 0, 0, False, False),
        ([attempt(ended=RESTARTED)], True, 0, 0, 0, False, False),
        ([DIED, DIED], False, 2, 0, 0, True, False),
        ([DIED, MINE], False, 1, 0, 0, False, False),
        ([DIED, MINE], True, 2, 0, 0, True, False),
        ([DIED, DIED, DIED, MINE], True, 4, 0, 0, True, False),  # never alone: one more try
        ([DIED, DIED, DIED_ALONE], False, 3, 0, 0, True, True),
        ([DIED, DIED, attempt(alone=True)], False, 2, 0, 0, True, False),
        ([DIED, DIED, attempt(alone=True)], True, 3, 0, 0, True, True),
        ([attempt("a", ended="timeout"), attempt("b", ended="timeout"), DIED_ALONE], False, 3, 0, 0, True, True),
        ([OTHERS, OTHERS, OTHERS], True, 0, 0, 1, False, False),  # one driver's death, seen three times
        ([OTHERS, attempt("b"), attempt("c")], True, 0, 0, 3, True, False),
        ([LONELY, attempt("b", alone=True)], True, 0, 2, 0, False, False),
        ([LONELY, attempt("b", alone=True), attempt("c", alone=True)], True, 0, 3, 0, False, True),
    ],
)
def test_evidence(
    attempts: list[Attempt],
    vanished: bool,
    strikes: int,
    lonely: int,
    unexplained: int,
    alone: bool,
    convicted: bool,
):
    found = weigh(attempts, NOW, vanished)
    assert (found.strikes, found.lonely, found.unexplained) == (strikes, lonely, unexplained)
    assert (found.alone, found.convicted) == (alone, convicted)


def test_the_last_witnessed_death_is_told():
    found = weigh([attempt(ended="timeout"), attempt()], NOW, vanished=True)
    assert (found.last_death, found.message) == ("timeout", "gone")
    assert Evidence().last_death == ErrorKind.WORKER_DIED
