"""A chain of small operators without media, and the rows that they make, for the tests of the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Media, Operator, Resources, Row


def clip_row(video_id: str, index: int, **columns: Any) -> Row:
    return {
        "record": "clip",
        "video_id": video_id,
        "video_path": f"{video_id}.mp4",
        "clip_id": f"{video_id}_{index:07d}",
        "clip_index": index,
        "clip_start_end_idx": [100 * index, 100 * index + 100],
        "clip_duration": 4.0,
        "provenance": {"clip_duration": "split/1"},
        "error": None,
        **columns,
    }


def video_row(video_id: str, n_clips: int, **columns: Any) -> Row:
    return {
        "record": "video",
        "video_id": video_id,
        "video_path": f"{video_id}.mp4",
        "status": "done",
        "n_clips": n_clips,
        "error": None,
        "video_duration": 4.0 * n_clips,
        "size": 1000,
        "etag": None,
        "extra": None,
        **columns,
    }


def no_media(uri: str):
    @contextmanager
    def opened() -> Iterator[Media]:
        raise AssertionError(f"{uri} was opened")
        yield

    return opened()


class Split(Operator):
    """`clips` clips of `length` frames for every video; those in `have` are counted, not told."""

    name = "split"
    reads = ("video_id", "uri")
    writes = select(
        "video_id", "video_path", "clip_id", "clip_index", "clip_start_end_idx", "clip_duration", "keyframes", "audio"
    )

    class Settings(contract.Settings):
        clips: int = Field(default=3, ge=0, description="clips in a video")
        length: int = Field(default=100, ge=1, description="frames in a clip")

    def __init__(self, settings: contract.Settings | None = None, **options: Any) -> None:
        super().__init__(settings, **options)
        self.seen: list[Row] = []

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            self.seen.append(row)
            yield from self.split(row)

    def split(self, row: Row) -> Iterator[Row]:
        length, have = self.settings.length, row.get("have") or {}
        for index in range(self.settings.clips):
            span = (length * index, length * (index + 1))
            if index in have:
                if tuple(have[index]) != span:
                    yield video_row(row["video_id"], index, restart=True)
                    return
                continue
            media = {"keyframes": [b"jpeg"], "audio": b"\0\0"}
            yield clip_row(row["video_id"], index, clip_start_end_idx=list(span), **media)
        yield video_row(row["video_id"], self.settings.clips)


class Score(ClipOperator):
    """Sharpness from the keyframes."""

    name = "score"
    reads = ("keyframes",)
    writes = select("sharpness")

    class Settings(contract.Settings):
        base: float = Field(default=0.5, description="sharpness of every clip")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"sharpness": self.settings.base + len(clip["keyframes"]) / 10} for clip in clips]


class Judge(ClipOperator):
    """Drops the clips whose index is `drop`."""

    name = "judge"
    reads = ("sharpness",)
    writes = select("tier", "drop_reason", "hq_drop_reason")

    class Settings(contract.Settings):
        drop: int = Field(default=-1, description="index of the clip to drop")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [
            {"tier": None, "drop_reason": "unwanted", "hq_drop_reason": "unwanted"}
            if clip["clip_index"] == self.settings.drop
            else {"tier": "hq", "drop_reason": None, "hq_drop_reason": None}
            for clip in clips
        ]


class Listen(ClipOperator):
    """Loudness from the audio, after the verdict."""

    name = "listen"
    reads = ("audio",)
    writes = select("loudness")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"loudness": -float(len(clip["audio"]))} for clip in clips]


class Gate(ClipOperator):
    """A second verdict, after the annotation: drops the clips whose index is `drop`."""

    name = "gate"
    reads = ("loudness",)
    writes = select("drop_reason", "energy")

    class Settings(contract.Settings):
        drop: int = Field(default=-1, description="index of the clip to drop")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [
            {"drop_reason": "gated" if clip["clip_index"] == self.settings.drop else None, "energy": [1.0]}
            for clip in clips
        ]


class Tell(ClipOperator):
    """A sentence from the stored columns."""

    name = "tell"
    reads = ("sharpness", "loudness")
    writes = select("merge_caption")

    class Settings(contract.Settings):
        word: str = Field(default="sharp", description="word of the sentence")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [
            {"merge_caption": f"{self.settings.word} {clip['sharpness']:.2f} {clip['loudness']:.1f}"} for clip in clips
        ]


def chain(
    *, clips: int = 3, length: int = 100, base: float = 0.5, drop: int = -1, word: str = "sharp"
) -> list[Operator]:
    return [
        Split(Split.Settings(clips=clips, length=length)),
        Score(Score.Settings(base=base)),
        Judge(Judge.Settings(drop=drop)),
        Listen(),
        Tell(Tell.Settings(word=word)),
    ]


def gated_chain(*, drop: int = -1, gate: int = -1, word: str = "sharp") -> list[Operator]:
    """`chain` with a second operator that drops clips, before the last."""
    *first, last = chain(drop=drop, word=word)
    return [*first, Gate(Gate.Settings(drop=gate)), last]


def made_operator(
    name: str,
    reads: tuple[str, ...] = (),
    writes: Sequence[str | pa.Field] = (),
    resources: Resources | None = None,
) -> Operator:
    """A clip operator of this shape, for checks that run nothing."""
    schema = pa.schema([select(column).field(0) if isinstance(column, str) else column for column in writes])

    class Made(ClipOperator):
        def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
            return [{} for _ in clips]

    Made.name, Made.reads, Made.writes = name, reads, schema
    Made.__qualname__ = f"Made.{name}"
    if resources is not None:
        Made.resources = resources
    return Made()
