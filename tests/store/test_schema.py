"""What fits a column, and what the columns are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.columns import STANDARD, select
from operators.errors import ChainError, ErrorKind, RowError
from store import schema
from store.schema_doc import described

CLIPS = schema.clip_schema((), keep_media=False)
GOLDEN = Path(__file__).parent / "golden" / f"schema-{schema.SCHEMA_VERSION}.json"


def clip(index: Any = 0, **columns: Any) -> dict[str, Any]:
    return {"record": "clip", "video_id": "v", "clip_id": f"v_{index:07d}", "clip_index": index, **columns}


def test_schemas_equal_the_golden_file_of_their_version() -> None:
    assert described() == json.loads(GOLDEN.read_text(encoding="utf-8")), (
        "a schema changed: raise SCHEMA_VERSION in store/schema.py, then "
        "`python -m store.schema_doc --json > tests/store/golden/schema-N.json` with its number"
    )


def test_clip_schema_is_the_standard_then_media_then_the_chains_own() -> None:
    own = pa.schema([("brand", pa.string())])
    with_media = schema.clip_schema([select("tier"), own], keep_media=True)
    assert with_media.names == [*(f.name for f in STANDARD), "keyframes", "audio", "brand"]
    without = schema.clip_schema([select("keyframes", "audio"), own], keep_media=False)
    assert without.names == [*(f.name for f in STANDARD), "brand"]


def test_columns_that_clash_are_chain_errors() -> None:
    with pytest.raises(ChainError, match="'tier' is string elsewhere"):
        schema.clip_schema([pa.schema([("tier", pa.int32())])], keep_media=False)
    with pytest.raises(ChainError, match="'brand' is string elsewhere"):
        schema.clip_schema([pa.schema([("brand", pa.string())]), pa.schema([("brand", pa.int8())])], keep_media=False)
    with pytest.raises(ChainError, match="'record' belongs to the stream"):
        schema.clip_schema([pa.schema([("record", pa.string())])], keep_media=False)
    with pytest.raises(ChainError, match="'audio' is binary elsewhere"):
        schema.clip_schema([pa.schema([("audio", pa.string())])], keep_media=False)


def test_rows_become_a_table_in_order_with_nulls_and_without_strangers() -> None:
    rows = [clip(0, energy=[-20.5], provenance={"b": "2", "a": "1"}, keyframes=[b"x"], stranger=object()), clip(1)]
    table = schema.to_table(rows, CLIPS)
    assert table.schema.equals(CLIPS, check_metadata=True)
    assert table["clip_index"].to_pylist() == [0, 1]
    assert table["provenance"].to_pylist() == [[("a", "1"), ("b", "2")], None]
    assert table["energy"].to_pylist() == [[-20.5], None]
    assert schema.to_table([], CLIPS).num_rows == 0


def test_numpy_values_fit() -> None:
    row = clip(np.int64(3), of_score=np.float32(1.5), energy=np.array([1.0, 2.0]), faces=np.array([1, 2]))
    table = schema.to_table([row], CLIPS)
    assert table["faces"].to_pylist() == [[1, 2]]
    assert table["of_score"].to_pylist() == [1.5]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("of_score", math.nan),
        ("of_score", math.inf),
        ("of_score", 1e300),
        ("of_score", "fast"),
        ("energy", [0.0, -math.inf]),
        ("words", [{"word": "a", "start": math.nan, "end": 1.0, "confidence": 1.0}]),
        ("speech_spans", [[0.0, math.nan]]),
        ("people", 1.5),
        ("people", 1.0),
        ("people", True),
        ("people", 2**40),
        ("faces", [1, 2.5]),
        ("video_resolution", [720.0, 1280.0]),
        ("video_resolution", 720),
        ("caption", 5),
        ("caption", "\udc80"),
        ("caption", b"\xff"),
        ("dominant_colours", "red"),
        ("provenance", {"a": 1}),
        ("provenance", {1: "a", "b": "c"}),
        ("error", {"operator": 1, "kind": "x", "message": "y"}),
    ],
)
def test_a_value_that_does_not_fit_names_column_and_clip(column: str, value: Any) -> None:
    rows = [clip(0), clip(1, **{column: value}), clip(2)]
    with pytest.raises(schema.Misfit, match=f"column '{column}' of v_0000001: ") as caught:
        schema.to_table(rows, CLIPS)
    assert (caught.value.kind, caught.value.column) == (ErrorKind.BAD_OUTPUT, column)
    with pytest.raises(schema.Misfit, match=f"column '{column}' of v_0000001: "):
        schema.check_row(rows[1], CLIPS)
    schema.check_row(rows[0], CLIPS)


def test_fitting_parts_the_rows_and_failed_row_keeps_what_fits() -> None:
    rows = [clip(0), clip(1, of_score=math.nan, people=2), clip(2)]
    table, misfits = schema.fitting(rows, CLIPS)
    assert table["clip_index"].to_pylist() == [0, 2]
    assert [(row["clip_id"], problem.column) for row, problem in misfits] == [("v_0000001", "of_score")]
    error = RowError(operator="motion", kind="bad_output", message="NaN")
    kept = schema.to_table([schema.failed_row(rows[1], error, CLIPS)], CLIPS).to_pylist()[0]
    assert (kept["clip_id"], kept["of_score"], kept["people"], kept["error"]) == ("v_0000001", None, 2, error)


def test_a_failed_video_is_a_row_without_clip() -> None:
    video = {"record": "video", "video_id": "v", "video_path": "v.mp4", "status": "failed", "n_clips": 0}
    error = RowError(operator="shots", kind="unreadable", message="no such file")
    row = schema.to_table([schema.failed_row(video, error, CLIPS)], CLIPS).to_pylist()[0]
    assert (row["video_id"], row["clip_id"], row["clip_index"], row["error"]) == ("v", None, None, error)
    assert schema.to_table([{**video, "error": error}], schema.VIDEO_SCHEMA).num_rows == 1


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(), st.integers(-5, 5)), max_size=8), st.data())
def test_to_table_and_check_row_agree(values: list[float | int | None], data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(["of_score", "people", "video_fps"]))
    rows = [clip(i, **{column: value}) for i, value in enumerate(values)]
    table, misfits = schema.fitting(rows, CLIPS)
    assert table.num_rows + len(misfits) == len(rows)
    fits = [value for value, row in zip(values, rows, strict=True) if not any(row is bad for bad, _ in misfits)]
    read = table[column].to_pylist()
    assert [value is None for value in read] == [value is None for value in fits]
    pairs = [pair for pair in zip(read, fits, strict=True) if None not in pair]
    assert all(got == pytest.approx(value, rel=1e-6, abs=1e-37) for got, value in pairs)
