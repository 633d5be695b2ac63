from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from operators.columns import select
from operators.contract import ClipOperator, Operator, Row
from operators.errors import ErrorKind, RowFailure, StorageError
from pipeline.attempts import RESTARTED, STRIKES, read_attempts
from pipeline.ledger import Ledger
from pipeline.meter import Meter
from pipeline.worker import ClipWorker, Task, VideoWorker, WorkOrder, new_writer
from pipeline.writer import ShardOptions
from store.local import LocalStore
from store.schema import clip_schema
from tests.pipeline.small_chain import Score, Split, clip_row, no_media, video_row

VIDEO = {"video_id": "v", "uri": "v.mp4", "size": 9, "etag": "e", "extra": None}


class Dying(Split):
    """Tells clips up to `dies_at` and then that its process died, `deaths` times; then everything."""

    deaths = 1
    dies_at = 2
    kind = "worker_died"

    def split(self, row: Row) -> Iterator[Row]:
        if len(self.seen) > self.deaths:
            yield from super().split(row)
            return
        rows = [clip for clip in super().split(row) if clip["record"] == "clip" and clip["clip_index"] < self.dies_at]
        yield from rows
        error = {"operator": "split", "kind": self.kind, "message": f"death {len(self.seen)}"}
        status = "partial" if rows else "failed"
        yield video_row(row["video_id"], self.dies_at, status=status, error=error, codec="h264", size=10)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def order(store: LocalStore) -> WorkOrder:
    return WorkOrder(
        store=store,
        session="s" * 32,
        schema=clip_schema((), keep_media=False),
        footer={"chain": "c"},
        options=ShardOptions(),
        open_media=no_media,
    )


def task(**facts: Any) -> Task:
    return Task(**{"partition": 0, "video": VIDEO, "have": {}, **facts})


def work(store: LocalStore, operators: Sequence[Operator], given: Task) -> list[Row]:
    return list(VideoWorker(order(store), operators).rows(given, Meter(operators)))


def dying(deaths: int, **facts: Any) -> Dying:
    split = Dying(Split.Settings(clips=4))
    for name, value in {"deaths": deaths, **facts}.items():
        setattr(split, name, value)
    return split


def told(rows: Sequence[Row]) -> list[Any]:
    return [row["clip_index"] if row["record"] == "clip" else row["record"] for row in rows]


def endings(store: LocalStore) -> list[str]:
    return sorted(attempt.ended for attempt in read_attempts(store, 0))


def test_a_video_is_split_and_annotated_and_its_try_was_written_down_before(store: LocalStore):
    class Looking(Split):
        def split(self, row: Row) -> Iterator[Row]:
            self.before = read_attempts(store, 0)
            yield from super().split(row)

    operators = [Looking(), Score()]
    rows = work(store, operators, task())
    assert told(rows) == [0, 1, 2, "video"]
    assert {(row["partition"], row["take"]) for row in rows} == {(0, 0)}
    assert [row["sharpness"] for row in rows[:3]] == [pytest.approx(0.6)] * 3
    (attempt,) = operators[0].before
    assert (attempt.video_id, attempt.session, attempt.alone, attempt.ended) == ("v", "s" * 32, False, "")


def test_operators_are_set_up_once_with_the_opener(store: LocalStore):
    class Counting(Split):
        ups = 0

        def setup(self) -> None:
            self.ups += 1

    split = Counting()
    worker = VideoWorker(order(store), [split])
    for _ in range(2):
        list(worker.rows(task(), Meter([split])))
    assert split.ups == 1
    assert split.open_media is no_media


def test_clips_that_storage_has_are_not_told_again(store: LocalStore):
    assert told(work(store, [Split()], task(have={0: (0, 100), 2: (200, 300)}))) == [1, "video"]


def test_a_death_is_survived_and_its_clips_are_not_paid_again(store: LocalStore):
    split = dying(1)
    rows = work(store, [split], task())
    assert told(rows) == [0, 1, 2, 3, "video"]
    assert rows[-1]["status"] == "done"
    assert split.seen[1]["have"] == {0: (0, 100), 1: (100, 200)}
    assert endings(store) == ["", "worker_died"]


def test_a_second_death_beside_others_makes_a_suspect(store: LocalStore):
    rows = work(store, [dying(9)], task())
    assert told(rows) == [0, 1, "suspect"]
    assert rows[-1] == {"record": "suspect", "video_id": "v", "partition": 0}
    assert endings(store) == ["worker_died"] * (STRIKES - 1)


def test_a_third_death_alone_is_the_verdict_and_what_came_out_before_stays(store: LocalStore):
    rows = work(store, [dying(9, dies_at=3)], task(have={0: (0, 100)}, strikes=2, alone=True, take=1))
    assert told(rows) == [1, 2, "video"]
    record = rows[-1]
    assert (record["status"], record["n_clips"], record["take"]) == ("partial", 3, 1)
    assert record["error"]["kind"] == "worker_died"
    assert record["error"]["message"] == "death 1 (3 attempts, the last one alone)"
    assert (record["codec"], record["size"], record["etag"]) == ("h264", 10, "e")


def test_a_verdict_counts_clips_up_to_the_first_gap(store: LocalStore):
    rows = work(store, [dying(9, dies_at=1)], task(have={1: (100, 200), 3: (300, 400)}, strikes=2, alone=True))
    assert (rows[-1]["status"], rows[-1]["n_clips"]) == ("partial", 2)
    rows = work(store, [dying(9, dies_at=0)], task(strikes=2, alone=True))
    assert (rows[-1]["status"], rows[-1]["n_clips"]) == ("failed", 0)


def test_alone_without_enough_strikes_the_video_stays_a_suspect(store: LocalStore):
    assert told(work(store, [dying(9, dies_at=0)], task(strikes=0, alone=True))) == ["suspect"]
    (attempt,) = read_attempts(store, 0)
    assert attempt.alone


@pytest.mark.parametrize(("kind", "tries"), [("timeout", 2), ("out_of_memory", 2), ("decode", 1)])
def test_only_deaths_are_tried_again(store: LocalStore, kind: str, tries: int):
    split = dying(1, kind=kind, dies_at=0)
    work(store, [split], task())
    assert len(split.seen) == tries


def test_another_span_than_the_stored_one_begins_the_video_anew(store: LocalStore):
    rows = work(store, [Split()], task(have={1: (90, 200)}, take=3))
    assert [(row.get("clip_index"), row["take"]) for row in rows] == [(0, 3), (0, 4), (1, 4), (2, 4), (None, 4)]
    assert endings(store) == ["", RESTARTED]
    assert not any(row.get("restart") for row in rows)


def test_a_video_begun_anew_may_still_die(store: LocalStore):
    class Both(Dying):
        def split(self, row: Row) -> Iterator[Row]:
            if len(self.seen) == 1:
                yield video_row("v", 0, restart=True)
            else:
                yield from super().split(row)

    split = Both(Split.Settings(clips=3))
    split.deaths = 2
    rows = work(store, [split], task(have={0: (5, 6)}))
    assert told(rows) == [0, 1, "suspect"]
    assert endings(store) == [RESTARTED, "worker_died"]


def test_a_splitter_that_always_wants_to_begin_anew_does_not_run_forever(store: LocalStore):
    class Restless(Split):
        def split(self, row: Row) -> Iterator[Row]:
            yield video_row("v", 0, restart=True)

    assert told(work(store, [Restless()], task(have={0: (5, 6)}))) == ["video"]


class Fussy(ClipOperator):
    name = "fussy"
    writes = select("sharpness")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        if any(clip["clip_index"] == 1 for clip in clips):
            raise RowFailure(ErrorKind.MODEL, "not this one")
        return [{"sharpness": 1.0} for _ in clips]


def test_an_operator_that_raises_on_a_clip_fails_that_clip_only(store: LocalStore):
    rows = work(store, [Split(), Fussy()], task())
    assert [row["error"] and row["error"]["kind"] for row in rows] == [None, "model", None, None]
    assert len(read_attempts(store, 0)) == 1


class Breaking(Operator):
    """No clip operator: nothing of ours catches what it raises."""

    name = "breaking"

    def __init__(self, problem: type[Exception] = ValueError, times: int = 9) -> None:
        super().__init__()
        self.problem, self.left = problem, times

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if row.get("clip_index") == 1 and self.left:
                self.left -= 1
                raise self.problem("a bug")
            yield row


def test_an_operator_that_raises_outside_of_a_clip_costs_tries_of_its_video_only(store: LocalStore):
    assert told(work(store, [Split(), Breaking(times=1)], task())) == [0, 1, 2, "video"]
    assert told(work(store, [Split(), Breaking()], task())) == [0, "suspect"]
    (record,) = work(store, [Split(), Breaking()], task(strikes=2, alone=True, have={0: (0, 100)}))
    assert (record["status"], record["n_clips"]) == ("partial", 1)
    assert record["error"]["operator"] == "worker"
    assert record["error"]["message"].startswith("ValueError: a bug")


def test_storage_that_fails_is_no_fault_of_the_video(store: LocalStore):
    with pytest.raises(StorageError):
        work(store, [Split(), Breaking(StorageError)], task())
    assert endings(store) == [""]


def test_what_a_worker_says_completes_a_ledger(store: LocalStore):
    operators = [dying(1), Fussy()]
    rows = VideoWorker(order(store), operators).rows(task(), meter := Meter(operators))
    ledger = Ledger(0, ["v"])
    for receipt in new_writer(order(store), meter).write(rows):
        ledger.add_receipt(receipt)
    assert ledger.complete()
    assert ledger.clip_counts() == {"kept": 3, "dropped": 0, "failed": 1}
    assert ledger.operators()["fussy"].clips == 4


def test_a_later_stage_annotates_clips_and_passes_records():
    operator = Fussy()
    rows = [clip_row("v", 0), clip_row("v", 1), video_row("v", 2)]
    first, second, record = ClipWorker([operator]).rows(rows, Meter([operator]))
    assert first["sharpness"] == 1.0
    assert second["error"]["operator"] == "fussy"
    assert record == rows[2]
