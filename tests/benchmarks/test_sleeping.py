"""Sleeping operators take the time that they are told to, and their rows are what the engine writes."""

from __future__ import annotations

import statistics
import time

import cloudpickle
import pyarrow as pa
import pytest

from benchmarks.sleeping import (
    CLIPS_PER_VIDEO,
    MEASURED,
    chain_of,
    clips_of,
    gpu_parts,
    measured,
    parts_of,
    plausible,
)
from jobs.mmtrail import lite
from pipeline.chain import check, compose
from pipeline.meter import Meter
from store.markers import OperatorTally
from store.schema import VIDEO_SCHEMA, clip_schema, to_table

VIDEO = {"record": "video_in", "video_id": "trailer-1", "uri": "s3://b/t.mp4", "size": 5, "etag": "e", "extra": None}


def test_the_sleeping_chain_has_the_operators_columns_and_resources_of_the_real_one() -> None:
    real = [operator() for operator in lite()]
    sleeping = chain_of(parts_of(lite(), MEASURED))
    check(sleeping)
    for mine, theirs in zip(sleeping, real, strict=True):
        assert (mine.name, mine.reads, mine.writes) == (theirs.name, theirs.reads, theirs.writes)
        assert mine.resources.cpus == theirs.resources.cpus
    assert set(MEASURED) == {operator.name for operator in real}
    assert len(compose(sleeping)) == len(compose(real)) == 1


def test_rows_fit_the_schema_and_fill_it() -> None:
    chain = chain_of(parts_of(lite(), {}), clips=4)
    rows = list(Meter(chain).run(chain, [VIDEO]))
    clips, videos = [r for r in rows if r["record"] == "clip"], [r for r in rows if r["record"] == "video"]
    table = to_table(clips, clip_schema([operator.writes for operator in chain], False))
    assert table.num_rows == videos[0]["n_clips"] == clips_of("trailer-1", 4) > 0
    assert [name for name in table.column_names if table[name].null_count == table.num_rows] == [
        name for name in table.column_names if name not in _written(chain)
    ]
    assert to_table(videos, VIDEO_SCHEMA)["status"].to_pylist() == ["done"]
    assert set(table["tier"].to_pylist()) == {"hq"}


def _written(chain) -> set[str]:
    """Columns that some operator of the chain fills, and the stream's own."""
    reasons = {"drop_reason", "hq_drop_reason", "extra"}
    return {name for operator in chain for name in operator.writes.names} - reasons | {"provenance"}


def test_clips_that_storage_has_are_slept_for_and_not_told_again() -> None:
    (shots,) = chain_of(parts_of(lite()[:1], {}), clips=6)
    told = [row["clip_index"] for row in shots([{**VIDEO, "have": {0: (0, 100), 2: (200, 300)}}]) if "clip_id" in row]
    assert told == [index for index in range(clips_of("trailer-1", 6)) if index not in (0, 2)]


def test_a_chain_sleeps_for_as_long_as_it_is_told() -> None:
    chain = chain_of(parts_of(lite(), {"shots": 0.02, "speech": 0.03}, faster=2), clips=5)
    meter = Meter(chain)
    began = time.monotonic()
    rows = list(meter.run(chain, [VIDEO]))
    n_clips = len(rows) - 1
    assert time.monotonic() - began >= n_clips * (0.01 + 0.015)
    assert meter.tallies()["speech"].clips == n_clips
    assert meter.tallies()["speech"].seconds >= n_clips * 0.015
    assert measured([meter.tallies()])["speech"] >= 0.015


def test_lengths_are_those_of_the_collection_on_average_and_always_the_same() -> None:
    lengths = [clips_of(f"v{number}", CLIPS_PER_VIDEO) for number in range(4000)]
    assert lengths == [clips_of(f"v{number}", CLIPS_PER_VIDEO) for number in range(4000)]
    assert statistics.mean(lengths) == pytest.approx(CLIPS_PER_VIDEO, rel=0.03)
    assert min(lengths) >= CLIPS_PER_VIDEO * 0.49 and max(lengths) <= CLIPS_PER_VIDEO * 1.51


def test_times_are_taken_from_the_markers_of_a_run() -> None:
    tallies = [
        {"shots": OperatorTally(clips=10, seconds=4.0), "speech": OperatorTally(clips=0, seconds=0.0)},
        {"shots": OperatorTally(clips=30, seconds=4.0), "text": OperatorTally(clips=4, seconds=1.0)},
    ]
    assert measured(tallies) == {"shots": 0.2, "text": 0.25}


def test_gpu_stages_are_stages_of_their_own() -> None:
    chain = chain_of(gpu_parts(2, 0.1, 0.2), clips=5)
    check(chain)
    assert [stage.gpus for stage in compose(chain)] == [0, 1, 1, 0]
    assert [operator.name for operator in cloudpickle.loads(cloudpickle.dumps(chain))] == ["shots", "model0", "model1"]


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32(), 3), pa.list_(pa.list_(pa.string())), pa.struct([("a", pa.bool_()), ("b", pa.binary())])],
    ids=str,
)
def test_plausible_values_have_their_type(kind: pa.DataType) -> None:
    assert pa.array([plausible(kind)], kind).null_count == 0
