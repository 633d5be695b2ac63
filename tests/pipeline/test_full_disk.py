"""An output that cannot be written ends the run with that reason; no video is to blame."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from operators.contract import Operator
from pipeline.chain import compose
from pipeline.graph import ClipStage, VideoStage
from pipeline.opening import open_run
from pipeline.receipt import Receipt
from pipeline.source import Batch, to_row
from pipeline.transit import HALT, from_block, transit_schema
from store.local import LocalStore
from tests.pipeline.small_chain import Judge, Listen, Score, Split
from tests.pipeline.small_run import a_run, make_videos, order_of

pytestmark = pytest.mark.usefixtures("ray_session")
"""Stages tell Ray that they live, and Ray starts one that it does not find."""


class FullStore(LocalStore):
    """A folder in which objects of one kind find no space."""

    full: Sequence[str] = ()

    def put(self, key: str, data: bytes) -> str:
        if key.split("/")[0] in self.full:
            with self._errors("write", key):
                raise OSError(errno.ENOSPC, "No space left on device")
        return super().put(key, data)


@pytest.fixture
def store(tmp_path: Path) -> FullStore:
    return FullStore(tmp_path / "out")


def first_stage(store: FullStore, tmp_path: Path, operators: Sequence[Operator], passes: bool = False):
    """The actor of the first stage, a block with one video for it, and the order of both."""
    run = a_run(make_videos(tmp_path / "videos", 1), tmp_path / "out", operators)
    open_run(run, store)
    order = order_of(run, store)
    schema = transit_schema(order.schema, [Listen()]) if passes else None
    [task] = Batch(partition=0, n_videos=1).tasks(store)
    return VideoStage(order, compose(operators)[0], schema), pa.Table.from_pylist([to_row(task)]), order


@pytest.mark.parametrize("kind", ["clips", "videos", "attempts"])
def test_a_stage_that_writes_tells_the_driver_to_stop(store: FullStore, tmp_path: Path, kind: str):
    stage, block, _ = first_stage(store, tmp_path, [Split(), Score(), Judge()])
    store.full = (kind,)
    *_, last = [Receipt.from_row(row) for table in stage(block) for row in table.to_pylist()]
    assert last.partition == 0
    assert "No space left on device; free some space" in last.halted
    assert kind in last.halted


def test_a_stage_in_the_middle_passes_the_reason_on(store: FullStore, tmp_path: Path):
    stage, block, order = first_stage(store, tmp_path, [Split(), Score(), Judge()], passes=True)
    store.full = ("attempts",)
    [table] = stage(block)
    [row] = from_block(table)
    assert (row["record"], row["partition"]) == (HALT, 0)
    end = ClipStage(order, compose([Listen()])[0], None)
    store.full = ()
    *_, last = [Receipt.from_row(row) for told in end(table) for row in told.to_pylist()]
    assert "No space left" in last.halted
