"""Which failures are tried again, how often, for how long, and what is said in the end."""

from __future__ import annotations

import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, NoCredentialsError, ParamValidationError

from operators.errors import ConfigurationError, StorageError
from store.retries import Attempts, Patience, is_passing

QUICK = Patience(attempts=4, first_delay=0.001, longest_delay=0.002)


def answer(status: int, code: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # type: ignore[typeddict-item]


class Failing:
    """A request that fails in the given ways, then succeeds."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.problems:
            raise self.problems.pop(0)
        return "done"


RESET = ConnectionClosedError(endpoint_url="http://user:hunter2secret@host")


@pytest.mark.parametrize(
    ("problem", "unclear"),
    [
        (answer(500, "InternalError"), True),
        (answer(503, "SlowDown"), False),
        (answer(409, "ConditionalRequestConflict"), False),
        (RESET, True),
        (TimeoutError(), True),
    ],
)
def test_what_passes_is_tried_again_and_remembered_where_it_may_have_been_applied(
    problem: Exception, unclear: bool
) -> None:
    attempts, request = Attempts(QUICK, "write s3://b/k"), Failing(problem, problem)
    assert attempts.call(request) == "done"
    assert request.calls == 3
    assert attempts.unclear is unclear


@pytest.mark.parametrize("problem", [answer(412), answer(404), answer(403), answer(409, "BucketAlreadyExists")])
def test_final_answers_go_to_the_caller_at_once(problem: ClientError) -> None:
    request = Failing(problem)
    with pytest.raises(ClientError):
        Attempts(QUICK, "write s3://b/k").call(request)
    assert request.calls == 1
    assert not is_passing(problem)


def test_missing_credentials_and_wrong_calls_are_not_tried_again() -> None:
    for problem, kind in (
        (NoCredentialsError(), ConfigurationError),
        (ParamValidationError(report="x"), StorageError),
    ):
        request = Failing(problem)
        with pytest.raises(kind):
            Attempts(QUICK, "write s3://b/k").call(request)
        assert request.calls == 1


def test_tries_are_bounded_and_the_end_says_what_was_wrong_but_no_address() -> None:
    request = Failing(*[RESET] * 9)
    with pytest.raises(
        StorageError, match=r"write s3://b/k: no answer \(ConnectionClosedError\), after 4 tries"
    ) as end:
        Attempts(QUICK, "write s3://b/k").call(request)
    assert request.calls == 4
    assert "hunter2secret" not in str(end.value)


def test_time_is_bounded() -> None:
    patience = Patience(attempts=1000, seconds=0.3, first_delay=0.02, longest_delay=0.02)
    begun = time.monotonic()
    with pytest.raises(StorageError):
        Attempts(patience, "write s3://b/k").call(Failing(*[answer(503, "SlowDown")] * 1000))
    assert time.monotonic() - begun < 10.0, "a thousand tries would take 20 s"


def test_less_patience_leaves_time_for_three_tries() -> None:
    short = Patience().within(6.0)
    assert (short.seconds, short.read_timeout, short.connect_timeout) == (6.0, 2.0, 2.0)
    assert Patience().within(1e6) == Patience()
    with pytest.raises(ValueError, match="patience"):
        Patience(attempts=0)
