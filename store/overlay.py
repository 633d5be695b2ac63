"""What a reader sees in place of what a shard holds: verdicts over clips, lost clips over video records."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

VERDICT_COLUMNS = ("tier", "drop_reason", "hq_drop_reason")


def lay(clips: pa.Table, verdicts: pa.Table) -> pa.Table:
    """`clips` with the tier and reasons of `verdicts`, by `clip_id`; the last verdict on a clip counts.

    `clips` needs `clip_id`; verdict columns that it lacks are not added.
    """
    names = [name for name in VERDICT_COLUMNS if name in clips.column_names]
    if not verdicts.num_rows or not names:
        return clips
    backwards = verdicts.combine_chunks().take(np.arange(verdicts.num_rows - 1, -1, -1))
    options = pc.SetLookupOptions(value_set=_flat(backwards["clip_id"]))
    place = pc.call_function("index_in", [_flat(clips["clip_id"])], options)
    decided = place.is_valid()
    for name in names:
        laid = pc.call_function("if_else", [decided, _flat(backwards[name]).take(place), _flat(clips[name])])
        clips = clips.set_column(clips.column_names.index(name), clips.schema.field(name), laid)
    return clips


def settle(videos: pa.Table, failed: pa.Table) -> pa.Table:
    """`videos` where a video that is done but lost a clip to an error is partial, as its marker counts it.

    `failed` needs `video_id` and `clip_index`; rows without index stand for whole videos.
    """
    hurt = {
        video_id
        for video_id, index in zip(failed["video_id"].to_pylist(), failed["clip_index"].to_pylist(), strict=True)
        if index is not None
    }
    if not hurt:
        return videos
    pairs = zip(videos["video_id"].to_pylist(), videos["status"].to_pylist(), strict=True)
    statuses = ["partial" if status == "done" and video_id in hurt else status for video_id, status in pairs]
    column = videos.column_names.index("status")
    return videos.set_column(column, videos.schema.field(column), pa.array(statuses, pa.string()))


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
