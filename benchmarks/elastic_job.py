"""The operators of `benchmarks.elastic`: they take time and no processor, so that logical nodes are enough."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row

CLIPS = 2
"""Clips of a video."""

HURRY = 0.02
"""Seconds that anything takes once the file `hurry` is there."""


class Pace(contract.Settings):
    """How long things take."""

    seconds: float = Field(1.5, ge=0, description="seconds that a video or a clip takes")
    hurry: str = Field("", description="path of a file; once it exists nothing takes long any more")

    def take(self) -> None:
        """Sleep as long as the work would take."""
        end = time.monotonic() + self.seconds
        while time.monotonic() < end and not (self.hurry and Path(self.hurry).exists()):
            time.sleep(min(HURRY, self.seconds))


class Cut(Operator):
    """Some clips of every video, on a CPU."""

    name = "cut"
    reads = ("video_id", "uri")
    writes = select("video_id", "video_path", "clip_id", "clip_index", "clip_start_end_idx", "clip_duration")
    Settings = Pace

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            video_id, have = row["video_id"], row.get("have") or {}
            self.settings.take()
            for index in set(range(CLIPS)) - set(have):
                yield {
                    "record": "clip",
                    "video_id": video_id,
                    "video_path": row["uri"],
                    "clip_id": f"{video_id}_{index:07d}",
                    "clip_index": index,
                    "clip_start_end_idx": [100 * index, 100 * index + 100],
                    "clip_duration": 4.0,
                    "provenance": {},
                    "error": None,
                }
            yield {
                "record": "video",
                "video_id": video_id,
                "video_path": row["uri"],
                "status": "done",
                "n_clips": CLIPS,
                "error": None,
                "video_duration": 4.0 * CLIPS,
                "size": row["size"],
                "etag": row["etag"],
                "extra": row["extra"],
            }


class Look(ClipOperator):
    """A caption that names the clip, on a GPU."""

    name = "look"
    reads = ("clip_id",)
    writes = select("caption")
    resources = Resources(cpus=1, gpus=1, batch=1)
    Settings = Pace

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        for _ in clips:
            self.settings.take()
        return [{"caption": f"this is {clip['clip_id']}"} for clip in clips]


class Tell(ClipOperator):
    """The caption as a sentence, on a CPU again."""

    name = "tell"
    reads = ("caption",)
    writes = select("merge_caption")
    resources = Resources(cpus=0.5)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"merge_caption": f"{clip['caption']}."} for clip in clips]


def chain(cut: Pace, look: Pace) -> list[Operator]:
    """Cut on CPUs, look on GPUs, tell on CPUs."""
    return [Cut(cut), Look(look), Tell()]
