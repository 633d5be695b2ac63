"""Verdicts over clips, against a dictionary; lost clips over video records."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from store.overlay import VERDICT_COLUMNS, lay, settle
from store.schema import VERDICT_SCHEMA, to_table

words = st.one_of(st.none(), st.sampled_from(["hq", "visual", "dark"]))
rows = st.lists(
    st.fixed_dictionaries(
        {"clip_id": st.sampled_from("abcdefgh"), "tier": words, "drop_reason": words, "hq_drop_reason": words}
    ),
    max_size=12,
)


@settings(deadline=None)
@given(clips=rows, verdicts=rows, cut=st.integers(0, 12))
def test_the_last_verdict_on_a_clip_counts(
    clips: list[dict[str, Any]], verdicts: list[dict[str, Any]], cut: int
) -> None:
    table = to_table(clips, VERDICT_SCHEMA)
    laid = to_table(verdicts, VERDICT_SCHEMA)
    laid = pa.concat_tables([laid.slice(0, cut), laid.slice(cut)])
    last = {verdict["clip_id"]: verdict for verdict in verdicts}
    read = lay(pa.concat_tables([table.slice(0, cut), table.slice(cut)]), laid)
    assert read.schema.equals(table.schema)
    for got, clip in zip(read.to_pylist(), clips, strict=True):
        meant = last.get(clip["clip_id"], clip)
        assert {name: got[name] for name in VERDICT_COLUMNS} == {name: meant[name] for name in VERDICT_COLUMNS}
        assert got["clip_id"] == clip["clip_id"]


def test_only_columns_that_were_read_are_replaced() -> None:
    clips = pa.table({"clip_id": ["a", "b"], "tier": pa.array(["hq", None], pa.string())})
    laid = lay(clips, to_table([{"clip_id": "b", "tier": "hq", "drop_reason": "dark"}], VERDICT_SCHEMA))
    assert laid.to_pylist() == [{"clip_id": "a", "tier": "hq"}, {"clip_id": "b", "tier": "hq"}]


def test_a_video_that_lost_a_clip_is_partial() -> None:
    videos = pa.table({"video_id": ["a", "b", "c", "d"], "status": ["done", "done", "failed", "partial"]})
    failed = pa.table({"video_id": ["a", "b", "c"], "clip_index": pa.array([3, None, 1], pa.int32())})
    assert settle(videos, failed)["status"].to_pylist() == ["partial", "done", "failed", "partial"]
    assert settle(videos, failed.slice(1, 1)) is videos
