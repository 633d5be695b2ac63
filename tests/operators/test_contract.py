from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from operators import contract
from operators.columns import select
from operators.contract import MESSAGE_LIMIT, ClipOperator, Media, Resources, Row, row_error
from operators.errors import ErrorKind, RowFailure


class Measure(ClipOperator):
    """Sharpness of the clip's index; clip `poison` cannot be measured."""

    name = "measure"
    version = 3
    writes = select("sharpness", "contrast")

    class Settings(contract.Settings):
        scale: float = Field(default=1.0, gt=0, description="what to multiply with")
        poison: tuple[int, ...] = Field(default=(), description="clips that raise")

    def __init__(self, settings: contract.Settings | None = None, *, batch: int = 1) -> None:
        super().__init__(settings)
        self.resources = Resources(batch=batch)
        self.batches: list[list[int]] = []
        self.recovered: list[int] = []

    def recover(self, problem: Exception, clips: int) -> None:
        self.recovered.append(clips)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        self.batches.append([clip["clip_index"] for clip in clips])
        for clip in clips:
            if clip["clip_index"] in self.settings.poison:
                raise RowFailure(ErrorKind.MODEL, f"clip {clip['clip_index']} is poison")
        return [{"sharpness": self.settings.scale * clip["clip_index"], "contrast": None} for clip in clips]


class OutOfMemoryError(RuntimeError):
    """Named as torch's own, which is no `MemoryError`."""


def measure(batch: int = 1, **fields: Any) -> Measure:
    return Measure(Measure.Settings(**fields), batch=batch)


def clip(index: int, **columns: Any) -> Row:
    row = {"record": "clip", "video_id": "v", "clip_index": index, "error": None, "provenance": {"video_id": "x/1"}}
    return {**row, **columns}


VIDEO: Row = {"record": "video", "video_id": "v", "n_clips": 4, "error": None}
ERROR = {"operator": "earlier", "kind": "decode", "message": "no"}


def test_clips_get_their_columns_and_their_credit():
    (row,) = measure(scale=2.0)([clip(3)])
    assert row["sharpness"] == 6.0
    assert row["provenance"] == {"video_id": "x/1", "sharpness": "measure/3"}  # nothing was measured of contrast


def test_the_revision_of_a_model_is_part_of_the_credit_and_of_the_fingerprint():
    class Modelled(Measure):
        def revision(self) -> str:
            return "sha-9"

    (row,) = Modelled()([clip(1)])
    assert row["provenance"]["sharpness"] == "measure/3@sha-9"


def test_the_rows_given_are_not_changed():
    given_row = clip(1)
    list(measure()([given_row]))
    assert given_row == clip(1)


def test_clips_are_gathered_to_batches_and_the_order_stays():
    operator = measure(batch=3)
    rows = [clip(0), clip(1, drop_reason="still"), clip(2), VIDEO, clip(3), clip(4)]
    told = list(operator(rows))
    assert operator.batches == [[0, 2, 3], [4]]
    assert [row.get("clip_index") for row in told] == [0, 1, 2, None, 3, 4]


def test_rows_that_wait_for_nothing_pass_at_once():
    taken: list[int] = []

    def rows() -> Iterator[Row]:
        for number, row in enumerate([VIDEO, clip(0, error=ERROR), clip(1), VIDEO]):
            taken.append(number)
            yield row

    told = measure(batch=2)(rows())
    assert next(told) == VIDEO
    assert next(told)["error"] == ERROR
    assert taken == [0, 1]
    assert [row["record"] for row in told] == ["clip", "video"]


@pytest.mark.parametrize(
    "row",
    [
        VIDEO,
        {"record": "suspect", "video_id": "v"},
        clip(1, error=ERROR),
        clip(1, drop_reason="still"),
        clip(1, reused=frozenset({"measure", "other"})),
    ],
)
def test_rows_that_are_none_of_its_business_pass_unchanged(row: Row):
    operator = measure(batch=2)
    assert list(operator([row])) == [row]
    assert operator.batches == []


def test_an_operator_may_ask_for_dropped_clips_too():
    class Measured(Measure):
        on_dropped = True

    (dropped, broken) = Measured()([clip(1, drop_reason="still"), clip(2, drop_reason="still", error=ERROR)])
    assert dropped["sharpness"] == 1.0
    assert "sharpness" not in broken


def test_columns_reused_from_another_operator_do_not_spare_this_one():
    (row,) = measure()([clip(2, reused=frozenset({"other"}))])
    assert row["sharpness"] == 2.0


def test_a_poisoned_clip_fails_alone():
    operator = measure(batch=4, poison=(2,))
    rows = list(operator([clip(index) for index in range(4)]))
    assert [row["error"] for row in rows] == [
        None,
        None,
        {"operator": "measure", "kind": "model", "message": "clip 2 is poison"},
        None,
    ]
    assert [row.get("sharpness") for row in rows] == [0.0, 1.0, None, 3.0]
    assert rows[2]["provenance"] == {"video_id": "x/1"}
    assert operator.batches == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]
    assert operator.recovered == [4, 2, 1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12), st.integers(1, 5), st.sets(st.integers(0, 11)))
def test_batches_change_no_row(shape: list[tuple[bool, bool]], batch: int, poison: set[int]):
    rows = [
        clip(index, drop_reason="still" if dropped else None) if is_clip else {**VIDEO, "n_clips": index}
        for index, (is_clip, dropped) in enumerate(shape)
    ]
    alone = list(measure(poison=tuple(poison))(rows))
    assert list(measure(batch=batch, poison=tuple(poison))(rows)) == alone
    assert [row.get("clip_index", row.get("n_clips")) for row in alone] == list(range(len(rows)))


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "0 results for 1 clips"),
        ([{}, {}], "2 results for 1 clips"),
        ([{"sharpness": 1.0, "mood": "gay"}], "columns not declared in writes: ['mood']"),
        ([{"error": None}], "columns not declared in writes: ['error']"),
    ],
)
def test_results_that_do_not_fit_fail_the_clip(results: list[Row], message: str):
    class Wrong(Measure):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
            return results

    (row,) = Wrong()([clip(0)])
    assert row["error"] == {"operator": "measure", "kind": "bad_output", "message": message}
    assert "sharpness" not in row


@pytest.mark.parametrize("results", [None, 7, [None], iter([{}])])
def test_results_of_another_kind_are_a_bug_of_that_clip_only(results: Any):
    class Wrong(Measure):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
            return results

    rows = list(Wrong()([clip(0), VIDEO]))
    assert rows[0]["error"]["kind"] == "internal"
    assert rows[1] == VIDEO


def test_an_operator_may_fail_one_clip_and_credit_another_author():
    class Selective(Measure):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
            good = {"sharpness": 1.0, "contrast": 2.0, "provenance": {"contrast": "stated/1"}}
            return [good if clip["clip_index"] else RowFailure(ErrorKind.MODEL, "no") for clip in clips]

    operator = Selective(batch=2)
    bad, good = operator([clip(0), clip(1)])
    assert bad["error"] == {"operator": "measure", "kind": "model", "message": "no"}
    assert "sharpness" not in bad
    assert good["provenance"] == {"video_id": "x/1", "sharpness": "measure/3", "contrast": "stated/1"}
    assert operator.recovered == []


def test_settings_that_only_tune_are_no_part_of_the_fingerprint():
    class Tuned(Measure):
        class Settings(contract.Settings):
            scale: float = Field(default=1.0)
            threads: int = contract.tuning(1, ge=1, description="how fast")

    def fingerprint(**fields: Any) -> str:
        return Tuned(Tuned.Settings(**fields)).fingerprint()

    assert fingerprint(threads=4) == fingerprint()
    assert fingerprint(scale=2.0) != fingerprint()
    assert Tuned.Settings(threads=4).identity() == {"scale": 1.0}
    with pytest.raises(ValidationError):
        Tuned.Settings(threads=0)


def test_stopping_a_worker_is_no_error_of_a_row():
    class Stopped(Measure):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Stopped()([clip(0)]))


def test_a_fingerprint_is_the_same_in_every_process_and_changes_with_the_output():
    plain = measure().fingerprint()
    assert plain == measure(batch=8).fingerprint() == Measure().fingerprint()
    assert len(plain) == 16
    assert int(plain, 16) >= 0

    class Newer(Measure):
        version = 4

    class Modelled(Measure):
        def revision(self) -> str:
            return "sha-9"

    for other in (Newer, Modelled):
        other.__module__, other.__qualname__ = Measure.__module__, Measure.__qualname__
    others = {operator.fingerprint() for operator in (measure(scale=2), measure(poison=(1,)), Newer(), Modelled())}
    assert len({*others, plain}) == 5


def test_settings_are_frozen_strict_and_finite():
    with pytest.raises(ValidationError):
        Measure.Settings.model_validate({"scale": 1, "scael": 2})
    with pytest.raises(ValidationError):
        Measure.Settings(scale=float("inf"))
    with pytest.raises(ValidationError):
        Measure.Settings(scale=0)
    with pytest.raises(ValidationError):
        Measure.Settings().scale = 3  # type: ignore[misc]


def test_an_operator_keeps_the_opener_it_is_given():
    def opener(uri: str) -> AbstractContextManager[Media]:
        raise AssertionError(uri)

    operator = Measure()
    assert operator.open_media is None
    operator.open_media = opener
    assert operator.open_media is opener


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (RowFailure(ErrorKind.REFUSED, "over the limit"), "refused", "over the limit"),
        (
            type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
            "out_of_memory",
            "OutOfMemoryError: CUDA out of memory",
        ),
        (MemoryError(), "out_of_memory", "MemoryError: "),
        (ValueError("bad\x1b[31m\nthing\ud800"), "internal", "ValueError: bad\ufffd[31m\ufffdthing\ufffd"),
    ],
)
def test_errors_become_rows_that_can_be_written(problem: Exception, kind: str, message: str):
    error = row_error("measure", problem)
    assert error == {"operator": "measure", "kind": kind, "message": message}
    error["message"].encode()


def test_messages_are_cut():
    assert len(row_error("measure", ValueError("x" * 10_000))["message"]) == MESSAGE_LIMIT
