from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from operators.columns import select
from operators.tensors import per_frame
from pipeline.meter import Meter
from pipeline.transit import CHUNK_BYTES, from_block, to_blocks, transit_schema, with_tallies
from store.schema import clip_schema
from tests.pipeline.small_chain import Listen, Score, Tell, chain, clip_row, video_row

CLIPS = clip_schema([operator.writes for operator in chain()], keep_media=False)
SCHEMA = transit_schema(CLIPS, [Score(), Listen()])


def stamped(row: dict[str, Any], partition: int = 7, take: int = 1) -> dict[str, Any]:
    return {**row, "partition": partition, "take": take}


def over(rows: list[dict[str, Any]], schema: pa.Schema = SCHEMA) -> list[dict[str, Any]]:
    tables = list(to_blocks(rows, schema))
    assert all(table.schema.equals(schema) for table in tables)
    return [row for table in tables for row in from_block(table)]


def test_only_media_that_a_later_operator_reads_cross_a_boundary():
    assert {"keyframes", "audio"} <= set(SCHEMA.names)
    assert "audio" not in transit_schema(CLIPS, [Score()]).names
    assert not {"keyframes", "audio"} & set(transit_schema(CLIPS, [Tell()]).names)
    kept = clip_schema((), keep_media=True)
    assert transit_schema(kept, [Score()]).names.count("keyframes") == 1


def test_rows_arrive_as_they_left():
    rows = [
        stamped(
            clip_row(
                "Ünï",
                0,
                keyframes=[b"\xff\xd8", b"", b"\0"],
                audio=b"\0\1",
                sharpness=0.5,
                tier="hq",
                words=[{"word": "l'été", "start": 0.0, "end": 0.5, "confidence": 1.0}],
                reused=frozenset({"split", "score"}),
                tallies=[{"split": {"clips": 1, "seconds": 0.5}}],
                extra='{"a": "\u2028"}',
            )
        ),
        stamped(clip_row("v", 1, error={"operator": "score", "kind": "model", "message": "no"}, reused=frozenset())),
        stamped(video_row("v", 2, error={"operator": "split", "kind": "decode", "message": "\u202e"}, has_audio=True)),
        {"record": "suspect", "video_id": "w", "partition": 3, "take": 0},
    ]
    assert over(rows) == rows


def test_missing_and_null_are_the_same_afterwards():
    (row,) = over([stamped(clip_row("v", 0, sharpness=None))])
    assert "sharpness" not in row
    assert row["error"] is None
    assert row["reused"] == frozenset()
    assert row["provenance"] == {"clip_duration": "split/1"}


def test_a_clip_that_does_not_fit_travels_on_as_a_failed_clip_and_its_neighbours_unharmed():
    rows = [
        stamped(clip_row("v", 0, sharpness=0.25)),
        stamped(clip_row("v", 1, sharpness=float("nan"), tier="hq")),
        stamped(clip_row("v", 2, keyframes="no list")),
        stamped(video_row("v", 3)),
    ]
    first, second, third, record = over(rows)
    assert first["error"] is None
    assert second["error"]["operator"] == "schema"
    assert second["error"]["kind"] == "bad_output"
    assert "sharpness" in second["error"]["message"]
    assert "sharpness" not in second
    assert (second["tier"], second["clip_index"], second["partition"], second["take"]) == ("hq", 1, 7, 1)
    assert "keyframes" in third["error"]["message"]
    assert third["clip_start_end_idx"] == [200, 300]
    assert record == rows[3]


@pytest.mark.parametrize(("size", "blocks"), [(0, 2), (CHUNK_BYTES // 4, 3), (CHUNK_BYTES, 12)])
def test_blocks_are_limited_by_rows_and_by_media(size: int, blocks: int):
    rows = [stamped(clip_row("v", index, audio=bytes(size))) for index in range(12)]
    tables = list(to_blocks(rows, SCHEMA, limit=8))
    assert len(tables) == blocks
    assert sum(table.num_rows for table in tables) == 12
    assert [row["clip_index"] for table in tables for row in from_block(table)] == list(range(12))


def test_the_cost_of_a_stage_travels_with_its_last_row():
    operator = Tell()
    meter = Meter([operator])
    earlier = [{"split": {"clips": 2, "seconds": 0.5}}]
    rows = [stamped(clip_row("v", index, sharpness=1.0, loudness=-1.0)) for index in range(2)]
    for record in ([], [stamped(video_row("v", 2, tallies=earlier))]):
        *others, last = over(list(with_tallies(meter.run([operator], [*rows, *record]), meter)))
        assert all(not row.get("tallies") for row in others)
        assert last["tallies"][:-1] == (earlier if record else [])
        assert last["tallies"][-1]["tell"]["clips"] == (4 if record else 2)
    assert list(with_tallies([], meter)) == []


def test_no_rows_make_no_block():
    assert list(to_blocks([], SCHEMA)) == []


def test_columns_of_ones_own_cross_too():
    own = pa.field("pose", pa.list_(pa.float32()))
    schema = transit_schema(clip_schema([pa.schema([own])], keep_media=False), [])
    assert set(select("caption").names) <= set(schema.names)
    (row,) = over([stamped(clip_row("v", 0, pose=[0.5, 1.0]))], schema)
    assert row["pose"] == [0.5, 1.0]


POSES = transit_schema(clip_schema([pa.schema([("poses", per_frame(pa.float32(), 4, 3))])], keep_media=False), [])


def test_tensors_cross_as_arrays():
    poses = np.linspace(0, 1, 36, dtype=np.float32).reshape(3, 4, 3)
    first, second, third, record = over(
        [
            stamped(clip_row("v", 0, poses=poses)),
            stamped(clip_row("v", 1)),
            stamped(clip_row("v", 2, poses=poses.astype(np.float64))),
            stamped(video_row("v", 3)),
        ],
        POSES,
    )
    assert np.array_equal(first["poses"], poses.reshape(3, 12))
    assert "poses" not in second
    assert third["error"]["operator"] == "schema"
    assert "float64" in third["error"]["message"]
    assert record["n_clips"] == 3


def test_blocks_are_limited_by_tensors():
    poses = np.zeros((CHUNK_BYTES // 96 + 1, 4, 3), np.float32)  # half a block
    tables = list(to_blocks([stamped(clip_row("v", index, poses=poses)) for index in range(5)], POSES))
    assert [table.num_rows for table in tables] == [2, 2, 1]
