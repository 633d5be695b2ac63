"""A committed run of gesture clips, written with the real store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from operators.audio.sound import encode_flac
from operators.pose.columns import GESTURES
from store.markers import Marker, write_marker
from store.objects import ObjectStore
from store.run_record import OperatorRecord, create_run
from store.schema import clip_schema, to_table
from store.shards import write_shard
from tests.gesture_rows import gesture_row
from tests.store.committed import run_record

SAMPLE_RATE = 16_000


def gesture_clip(index: int = 0, frames: int = 60, **columns: Any) -> dict[str, Any]:
    """A clip with everything that jobs.gesx writes of it: fps 30, a tone as its sound, three words."""
    row = gesture_row(frames, index)
    fps = row["fps"]
    seconds = frames / fps
    tone = 8000 * np.sin(2 * np.pi * (200 + 50 * index) * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    del row["expression"], row["blendshapes"]
    return {
        **row,
        "video_path": "talks/v.mp4",
        "video_duration": 792.52,
        "video_resolution": [360, 640],
        "video_fps": 30.0,
        "clip_path": f"talks/v.mp4#t=3723.5,{3723.5 + seconds}",
        "clip_duration": seconds,
        "clip_start_end_idx": [100, 100 + frames],
        "clip_start_end_time": [3723.5, 3723.5 + seconds],
        "person": "only",
        "speaker_id": "v_s0",
        "body_model": "generic",
        "usable_spans": [{"start_frame": 0, "end_frame": frames, "start": 0.0, "end": seconds}],
        "transcript_quality": "low",
        "words": [
            {"word": word, "start": 0.1 + 0.4 * n, "end": 0.4 + 0.4 * n, "confidence": 0.5}
            for n, word in enumerate(("ask", "not", "what"))
        ],
        "phonemes": [{"phoneme": "AA", "start": 0.1, "end": 0.2, "word": 0}],
        "sound": encode_flac(tone.astype(np.int16)),
        **columns,
    }


def gesture_run(
    store: ObjectStore, clips: Sequence[dict[str, Any]], *, config: Mapping[str, Any] | None = None
) -> Marker:
    """Commit `clips` as the one partition of a run of gesx."""
    schema = clip_schema([pa.schema(list(GESTURES))], keep_media=False)
    writes = {field.name: str(field.type) for field in GESTURES}
    config = {"preset": "lite", **(config or {})}
    operators = (OperatorRecord(name="smooth", fingerprint="1", writes=writes),)
    create_run(store, run_record(1, 1, job="gesx", config=config, operators=operators))
    entry = write_shard(store, "clips", 0, "g1", to_table(clips, schema), {"chain": "abc"})
    dropped = sum(clip.get("drop_reason") is not None for clip in clips)
    marker = Marker.model_validate(
        {
            "partition": 0,
            "generation": 1,
            "epoch": 1,
            "nonce": "n",
            "fingerprint": "abc",
            "shards": (entry,),
            "videos": {"done": 1, "partial": 0, "failed": 0},
            "clips": {"kept": len(clips) - dropped, "dropped": dropped, "failed": 0},
            "tiers": {},
            "drop_reasons": {},
            "hq_drop_reasons": {},
            "failures": (),
            "operators": {},
            "video_seconds": 1.0,
            "bytes_read": 1,
            "started": 0.0,
            "committed": 1.0,
        }
    )
    write_marker(store, marker)
    return marker
