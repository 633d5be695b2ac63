"""Operators that sleep for as long as the real ones were measured to take, and say what fits their columns.

A sleeping chain has the names, columns and resources of the real one, so that the graph, the rows, the shards
and the commit are the real ones; only decoding and models are replaced by time. Lengths of videos follow from
their names: every run of the same videos does the same work.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row
from pipeline.chain import DROPS
from pipeline.meter import added
from store.markers import OperatorTally

VIDEOS, CLIPS, HOURS = 285_518, 21_000_000, 27_100
"""The collection of MMTrail: trailers, clips and hours of footage (arXiv 2407.20962, 20M+ clips in 27.1k hours)."""

CLIPS_PER_VIDEO = CLIPS / VIDEOS
SECONDS_PER_CLIP = HOURS * 3600 / CLIPS

MEASURED: Mapping[str, float] = {
    "shots": 1.62 / 720 * 24 * SECONDS_PER_CLIP,
    "quality": 0.018,
    "text": 0.097,
    "tiers": 0.0005,
    "people": 0.070,
    "caption": 0.012,
    "audio": 0.005 * SECONDS_PER_CLIP,
    "music": 0.005 * SECONDS_PER_CLIP,
    "speech": 0.3 * SECONDS_PER_CLIP,
    "fusion": 0.0005,
}
"""Seconds a clip of `lite`'s operators on one core, from docs/performance.md; trailers have 24 frames a second."""

SPREAD = 0.5
"""Videos have between 1 − SPREAD and 1 + SPREAD of the mean number of clips, evenly."""

FRAMES = 100
"""Frames in every clip."""

SENTENCE = (
    "a the man woman street night walks rain looks camera slowly left two children house wide view from behind "
    "music rises with dark trees and run through water light"
)
WORDS = SENTENCE.split()


def measured(tallies: Iterable[Mapping[str, OperatorTally]]) -> dict[str, float]:
    """Seconds a clip of every operator that met clips, from the tallies of a real run's markers."""
    return {name: tally.seconds / tally.clips for name, tally in added(*tallies).items() if tally.clips}


def clips_of(video_id: str, mean: float) -> int:
    """How many clips a video has, at least one: the same every time, and `mean` on average."""
    share = _number(video_id) / 2**64
    return max(1, round(mean * (1 - SPREAD + 2 * SPREAD * share)))


@dataclass(frozen=True, kw_only=True)
class Part:
    """An operator to stand in for: its name, columns and resources, and seconds a clip."""

    name: str
    reads: tuple[str, ...]
    writes: pa.Schema
    resources: Resources
    seconds: float
    on_dropped: bool = False


class SleepingShots(Operator):
    """Stands in for the pass over a video: sleeps before each clip, and gives it tiny keyframes and sound."""

    name = "shots"
    reads = ("video_id", "uri")

    class Settings(contract.Settings):
        """How much work there is."""

        seconds: float = Field(ge=0, description="seconds a clip")
        clips: float = Field(CLIPS_PER_VIDEO, gt=0, description="clips in a video, on average")

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            yield from self._split(row)

    def _split(self, row: Row) -> Iterator[Row]:
        n_clips, have = clips_of(row["video_id"], self.settings.clips), row.get("have") or {}
        for index in range(n_clips):
            _sleep(self.settings.seconds)
            if index not in have:
                yield self._clip(row, index)
        yield {
            "record": "video",
            "video_id": row["video_id"],
            "video_path": row["uri"],
            "status": "done",
            "n_clips": n_clips,
            "error": None,
            "video_duration": n_clips * SECONDS_PER_CLIP,
            "size": row.get("size"),
            "etag": row.get("etag"),
            "extra": row.get("extra"),
        }

    def _clip(self, row: Row, index: int) -> Row:
        number = _number(f"{row['video_id']} {index}")
        columns = {field.name: plausible(field.type, number) for field in self.writes if field.name != "extra"} | {
            "video_id": row["video_id"],
            "video_path": row["uri"],
            "clip_id": f"{row['video_id']}_{index:07d}",
            "clip_index": index,
            "clip_start_end_idx": [FRAMES * index, FRAMES * (index + 1)],
            "keyframes": [b"jpeg"] * 3,
            "audio": b"\0\0",
        }
        author = dict.fromkeys(columns, f"{self.name}/{self.version}")
        return {"record": "clip", **columns, "extra": row.get("extra"), "provenance": author, "error": None}


class SleepingClips(ClipOperator):
    """Stands in for an operator on clips: sleeps for each clip of a batch, and fills its columns."""

    class Settings(contract.Settings):
        """How much work there is."""

        seconds: float = Field(ge=0, description="seconds a clip")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        _sleep(self.settings.seconds * len(clips))
        return [self._columns(_number(f"{clip['clip_id']} {self.name}")) for clip in clips]

    def _columns(self, number: int) -> Row:
        fields = [field for field in self.writes if not field.name.endswith(DROPS)]
        return {field.name: "hq" if field.name == "tier" else plausible(field.type, number) for field in fields}


def chain_of(parts: Sequence[Part], clips: float = CLIPS_PER_VIDEO) -> list[Operator]:
    """A sleeping operator for each of `parts`; the first one splits videos into `clips` clips on average."""
    first, *rest = parts
    shots = _shaped(SleepingShots, first)(SleepingShots.Settings(seconds=first.seconds, clips=clips))
    return [shots, *(_shaped(SleepingClips, part)(SleepingClips.Settings(seconds=part.seconds)) for part in rest)]


def parts_of(operators: Iterable[type[Operator]], seconds: Mapping[str, float], faster: float = 1.0) -> list[Part]:
    """What stands in for `operators`, at `seconds` a clip by name divided by `faster`; 0 where none is given."""
    return [
        Part(
            name=operator.name,
            reads=operator.reads,
            writes=operator.writes,
            resources=Resources(cpus=operator.resources.cpus),
            on_dropped=getattr(operator, "on_dropped", False),
            seconds=seconds.get(operator.name, 0.0) / faster,
        )
        for operator in operators
    ]


def gpu_parts(stages: int, cpu_seconds: float, gpu_seconds: float, batch: int = 8) -> list[Part]:
    """A chain of a CPU stage and `stages` GPU stages with a whole logical GPU an actor, in seconds a clip each."""
    split = ("clip_id", "clip_index", "clip_start_end_idx", "clip_duration", "keyframes", "audio")
    written = ("caption", "polish_caption", "merge_caption", "objects", "background")
    first = Part(
        name="shots",
        reads=("video_id", "uri"),
        writes=select("video_id", "video_path", *split),
        resources=Resources(),
        seconds=cpu_seconds,
    )
    gpu = Resources(cpus=0.0, gpus=1.0, batch=batch)
    return [first] + [
        Part(name=f"model{n}", reads=("keyframes",), writes=select(written[n]), resources=gpu, seconds=gpu_seconds)
        for n in range(stages)
    ]


def plausible(kind: pa.DataType, number: int = 0) -> Any:
    """A value that takes about the room that a column of this type takes in storage, another for each `number`."""
    if pa.types.is_string(kind):
        return " ".join(WORDS[(number >> shift) % len(WORDS)] for shift in range(0, 60, 5))
    if pa.types.is_binary(kind):
        return b"\0\0"
    if pa.types.is_boolean(kind):
        return number % 2 == 0
    if pa.types.is_integer(kind):
        return number % 1000
    if pa.types.is_floating(kind):
        return number % 9973 / 9973
    if pa.types.is_struct(kind):
        return {field.name: plausible(field.type, number) for field in kind}
    if pa.types.is_fixed_size_list(kind):
        return [plausible(kind.value_type, number + step) for step in range(kind.list_size)]
    if pa.types.is_list(kind):
        return [plausible(kind.value_type, number + step) for step in range(3)]
    return None


def _sleep(seconds: float) -> None:
    if seconds:  # even a sleep of 0 gives the core away
        time.sleep(seconds)


def _number(name: str) -> int:
    """A number that follows from `name`, from 0 to 2⁶⁴ − 1."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _shaped(base: type[Any], part: Part) -> type[Any]:
    """A subclass of `base` with the name, columns and resources of `part`; Ray pickles it by value."""
    shape = {"name": part.name, "reads": part.reads, "writes": part.writes, "resources": part.resources}
    return type(base.__name__, (base,), {**shape, "on_dropped": part.on_dropped, "__module__": "__main__"})
