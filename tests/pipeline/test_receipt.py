from __future__ import annotations

import json

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.receipt import (
    DESCRIBED_CLIP,
    DESCRIBED_VIDEO,
    VIDEO_LEVEL,
    ClipLine,
    Contents,
    Outcome,
    Receipt,
    VideoLine,
    describe,
    describe_table,
)
from store.markers import OperatorTally
from store.schema import VIDEO_SCHEMA, clip_schema, to_table
from tests.pipeline.lines import clip, clips, entry
from tests.pipeline.small_chain import clip_row, video_row

text = st.text(st.characters(codec="utf-8"), max_size=12)
maybe = st.none() | text
outcomes = st.builds(Outcome, st.sampled_from(["kept", "dropped", "failed"]), maybe, maybe, maybe, maybe, maybe, maybe)
spans = st.none() | st.tuples(st.integers(0, 2**53), st.integers(0, 2**53))
clip_lines = st.builds(ClipLine, text, st.integers(VIDEO_LEVEL, 2**31 - 1), outcomes, spans)
seconds = st.floats(0, 1e9)
statuses = st.sampled_from(["done", "partial", "failed"])
sizes = st.integers(0, 2**62)
video_lines = st.builds(VideoLine, text, statuses, st.integers(0, 2**31 - 1), seconds, sizes, maybe, maybe, maybe)
counts = st.integers(0, 2**40)
tallies = st.builds(OperatorTally, clips=counts, seconds=seconds, tokens_in=counts, tokens_out=counts)


@st.composite
def contents(draw: st.DrawFn) -> Contents:
    takes = draw(st.dictionaries(text, st.integers(1, 9), max_size=2))
    if draw(st.booleans()):
        lines = tuple(draw(st.lists(video_lines, max_size=3)))
        return Contents(entry=entry("videos", "a", len(lines)), videos=lines, takes=takes)
    rows = tuple(draw(st.lists(clip_lines, max_size=5)))
    return Contents(entry=entry(draw(st.sampled_from(["clips", "failed"])), "b", len(rows)), clips=rows, takes=takes)


receipts = st.builds(
    Receipt,
    task=text,
    partition=st.integers(0, 99_999),
    shards=st.lists(contents(), max_size=3).map(tuple),
    operators=st.dictionaries(text, tallies, max_size=3),
)


@settings(deadline=None)
@given(receipts)
def test_a_receipt_survives_its_way_to_the_driver(receipt: Receipt):
    table = pa.Table.from_pylist([receipt.to_row()])
    (row,) = table.to_pylist()
    assert Receipt.from_row(row) == receipt


def test_a_receipt_is_tiny():
    lines = [clip("a-video-with-a-long-name-0123456789ab", index) for index in range(1000)]
    receipt = Receipt(task="t", partition=0, shards=(clips("a", *lines),), operators={})
    assert len(receipt.to_row()["receipt"]) < 25 * len(lines)
    json.loads(receipt.to_row()["receipt"])


def test_a_shard_is_described_alike_from_rows_and_from_storage():
    schema = clip_schema((), keep_media=False)
    error = {"operator": "score", "kind": "model", "message": "x" * 300}
    rows = [
        clip_row("v", 0, tier="visual", hq_drop_reason="too_small"),
        clip_row("v", 1, drop_reason="still", hq_drop_reason="still"),
        clip_row("v", 2, error=error),
        {"record": "video", "video_id": "w", "error": error},
    ]
    told = describe(entry("failed", "a", 4), rows, {"v": 2})
    assert [line.outcome.state for line in told.clips] == ["kept", "dropped", "failed", "failed"]
    assert [line.index for line in told.clips] == [0, 1, 2, VIDEO_LEVEL]
    assert [line.span for line in told.clips] == [(0, 100), (100, 200), (200, 300), None]
    assert told.clips[2].outcome == Outcome("failed", operator="score", kind="model", message="x" * 200)
    assert describe_table(told.entry, to_table(rows, schema), {"v": 2}) == told

    records = [video_row("v", 3), video_row("w", 0, status="failed", error=error, video_duration=None, size=None)]
    told = describe(entry("videos", "a", 2), records, {})
    assert told.videos[0] == VideoLine("v", "done", 3, 12.0, 1000)
    assert told.videos[1] == VideoLine("w", "failed", 0, 0.0, 0, "score", "model", "x" * 200)
    assert describe_table(told.entry, to_table(records, VIDEO_SCHEMA), {}) == told


def test_the_columns_that_are_needed_suffice():
    row = clip_row("v", 0, tier="hq")
    assert describe(entry("clips", "a", 1), [{name: row.get(name) for name in DESCRIBED_CLIP}], {}).clips == (
        ClipLine("v", 0, Outcome("kept", "hq"), (0, 100)),
    )
    record = video_row("v", 1, video_duration=-3.0)  # a container may say anything
    needed = {name: record.get(name) for name in DESCRIBED_VIDEO}
    assert describe(entry("videos", "a", 1), [needed], {}).videos == (VideoLine("v", "done", 1, 0.0, 1000),)
