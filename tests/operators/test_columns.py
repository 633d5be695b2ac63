from __future__ import annotations

import pyarrow as pa
import pytest

from operators.columns import BOOKKEEPING, IDENTITY, STANDARD, TRANSIENT, VERDICT, select

MMTRAIL = {
    "video_id", "video_path", "clip_id", "clip_path", "video_duration", "video_resolution", "video_fps",
    "clip_duration", "clip_start_end_idx", "image_quality", "imaging_quality", "of_score", "aesthetic_score",
    "ocr_score", "view_scale", "movement", "speed", "objects", "background", "frame_caption", "caption",
    "music_caption", "music_caption_wo_vocal", "vocal_caption", "polish_caption", "merge_caption",
}  # fmt: skip
"""Fields of the data set as released."""


def test_column_names_are_unique():
    names = [field.name for field in (*STANDARD, *TRANSIENT)]
    assert len(set(names)) == len(names)


def test_the_released_fields_are_there_under_their_own_names():
    told = {field.name for field in STANDARD if (field.metadata or {}).get(b"source") == b"MMTrail"}
    assert told == MMTRAIL


@pytest.mark.parametrize("field", [*STANDARD, *TRANSIENT], ids=lambda field: field.name)
def test_every_column_is_explained_and_may_be_null(field: pa.Field):
    assert set(field.metadata) == {b"unit", b"doc", b"source"}
    assert field.metadata[b"doc"]
    assert field.nullable


def test_transient_columns_are_not_standard():
    assert [field.name for field in TRANSIENT] == ["keyframes", "audio"]
    assert not {field.name for field in TRANSIENT} & {field.name for field in STANDARD}


def test_select_gives_the_standard_fields_in_the_order_asked_for():
    schema = select("drop_reason", "clip_id", "keyframes")
    assert schema.names == ["drop_reason", "clip_id", "keyframes"]
    assert schema.field("drop_reason").equals(VERDICT[1], check_metadata=True)
    assert schema.field("clip_id").equals(IDENTITY[2], check_metadata=True)
    assert select().names == []


def test_select_refuses_what_is_no_standard_column():
    with pytest.raises(KeyError, match="mood"):
        select("caption", "mood")


def test_an_error_tells_its_operator_kind_and_message():
    error = next(field for field in BOOKKEEPING if field.name == "error")
    assert [error.type.field(i).name for i in range(error.type.num_fields)] == ["operator", "kind", "message"]
