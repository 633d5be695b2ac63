from __future__ import annotations

import pickle

import pytest

from operators import errors
from operators.errors import (
    FATAL_KINDS,
    ChainError,
    ConfigurationError,
    EngineError,
    ErrorKind,
    LeaseLost,
    MissingExtra,
    RowFailure,
    RunMismatch,
    RushesError,
    StorageError,
)


def test_every_exception_is_in_the_tree():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 9
    assert all(issubclass(kind, RushesError) for kind in kinds)


@pytest.mark.parametrize("kind", [ChainError, MissingExtra, RunMismatch])
def test_what_a_person_must_change_is_a_configuration_error(kind: type):
    assert issubclass(kind, ConfigurationError)


def test_what_ends_a_run_is_told_apart():
    assert issubclass(LeaseLost, StorageError)
    assert not issubclass(StorageError, ConfigurationError)
    assert not issubclass(EngineError, StorageError | ConfigurationError)


def test_a_missing_library_names_its_extra():
    assert str(MissingExtra("whisper", "models")) == (
        "whisper is not installed; install it with: pip install 'rushes[models]'"
    )


def test_kinds_are_written_as_plain_words_that_never_change():
    assert sorted(kind.value for kind in ErrorKind) == [
        "bad_output", "changed", "decode", "internal", "model", "no_video", "out_of_memory", "refused",
        "timeout", "unreadable", "worker_died",
    ]  # fmt: skip
    assert f"{ErrorKind.NO_VIDEO}" == "no_video"


def test_only_deaths_of_a_process_need_three_attempts():
    assert {kind.value for kind in FATAL_KINDS} == {"timeout", "out_of_memory", "worker_died"}
    assert "timeout" in FATAL_KINDS  # rows carry the plain word


def test_a_row_failure_carries_its_kind():
    failure = RowFailure(ErrorKind.REFUSED, "outside the input folder")
    assert (failure.kind, str(failure)) == (ErrorKind.REFUSED, "outside the input folder")


@pytest.mark.parametrize(
    "problem",
    [RowFailure(ErrorKind.DECODE, "broken"), MissingExtra("whisper", "models"), StorageError("gone")],
    ids=lambda problem: type(problem).__name__,
)
def test_exceptions_cross_processes(problem: RushesError):
    copy = pickle.loads(pickle.dumps(problem))
    assert (type(copy), str(copy), vars(copy)) == (type(problem), str(problem), vars(problem))
