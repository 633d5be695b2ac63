"""Exit codes and messages that every command shares."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from jobs.console import Parser, finish
from operators.errors import ChainError, LeaseLost, RunMismatch, StorageError


def parser() -> Parser:
    made = Parser("jobs.example", "An example.")
    made.add_argument("--output", required=True)
    made.add_argument("--partition-size")
    return made


def ending(body, *argv: str) -> int:
    return finish(parser(), ["--output", "out", *argv], body)


def raising(problem: BaseException):
    def body(options):
        raise problem

    return body


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        (RunMismatch("another configuration"), 2, "error: another configuration\n"),
        (ChainError("fusion reads caption"), 2, "error: fusion reads caption\n"),
        (StorageError("no answer"), 1, "error: no answer\n"),
        (LeaseLost("taken over"), 1, "error: taken over\n"),
        (KeyboardInterrupt(), 130, "\nStopped.\n"),
    ],
)
def test_errors_become_exit_codes_without_tracebacks(capsys, problem, code, said):
    assert ending(raising(problem)) == code
    assert capsys.readouterr() == ("", said)


def test_sigterm_ends_a_command_as_ctrl_c_does(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert ending(lambda options: os.kill(os.getpid(), signal.SIGTERM) or 0) == 143
    assert capsys.readouterr() == ("", "\nStopped.\n")
    assert signal.getsignal(signal.SIGTERM) is before


def test_debug_shows_where_an_error_was_raised(capsys):
    assert ending(raising(StorageError("no answer")), "--debug") == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("error: no answer\n")


def test_a_bug_keeps_its_traceback_and_fails(capsys):
    assert ending(raising(ZeroDivisionError("oops"))) == 1
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("error: a bug in Rushes, please report it: ZeroDivisionError: oops\n")


def test_the_body_gives_the_exit_code():
    assert ending(lambda options: 7 if options.output == "out" else 0) == 7


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--outptu", "x", "--output", "y"], "unrecognized arguments: --outptu x; did you mean --output?"),
        (["--output", "y", "--partitionsize=3"], "did you mean --partition-size?"),
        (["--out", "y"], "the following arguments are required: --output"),
        ([], "the following arguments are required: --output"),
    ],
)
def test_wrong_options_exit_2_and_name_the_nearest(capsys, argv, said):
    assert finish(parser(), argv, lambda options: 0) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "See python -m jobs.example --help" in error


def test_help_exits_0(capsys):
    assert finish(parser(), ["--help"], lambda options: 1) == 0
    assert "An example." in capsys.readouterr().out


def test_a_reader_that_leaves_early_is_no_traceback():
    code = (
        "import sys; from jobs.console import Parser, finish; "
        "sys.exit(finish(Parser('x', 'y'), [], lambda options: print('x' * 10**6) or 0))"
    )
    pipe = f'{sys.executable} -W error -c "{code}" | head -c 10; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("x" * 10, "", 1)
