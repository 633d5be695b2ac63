"""Split videos into shots: the chain's first operator, one pass per video."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import Media, OpenMedia, Operator, Resources, Row, row_error
from operators.errors import ErrorKind, RowError, RowFailure
from operators.video.decoding import DecodingProcess
from operators.video.events import Clip, Ended, Event, Opened, Progress
from operators.video.limits import Limits, LimitSettings
from operators.video.local_media import open_local
from operators.video.one_pass import PassOptions, watch


class SplitShots(Operator):
    """One video row in; its clips out as they are found, and last, always, one video record.

    The picture and the sound are decoded once, in a child process under limits of time and memory
    (`isolate=False` decodes in this process, for measurements). Shots are PySceneDetect's; a video
    without cuts is one clip; shots longer than `max_clip_seconds` are cut there. A video that fails
    half-way keeps the clips before the failure.

    Reads `video_id`, `uri` and, where given: `size` and `etag` (another file is a failure of kind
    changed), `extra` (carried along), and `have`, a mapping of clip index to (first frame, end) of
    clips stored earlier: these are counted, not told again. Where a stored span differs from the one
    found, the record has `restart=True` and the video must be done again without `have`.
    """

    name = "shots"
    version = 1
    reads = ("video_id", "uri")
    writes = select(
        "video_id", "video_path", "clip_id", "clip_path", "clip_index",
        "video_duration", "video_resolution", "video_fps",
        "clip_duration", "clip_start_end_idx", "clip_start_end_time",
        "of_score", "motion_method", "pan_x", "pan_y", "zoom", "motion_residual",
        "keyframe_times", "keyframes", "audio", "extra",
    )  # fmt: skip
    resources = Resources(cpus=1.0, memory_mb=900)

    class Settings(LimitSettings):
        """Settings of the pass and the limits of the decoding process."""

        detector: Literal["content", "adaptive", "hash"] = Field(
            "content", description="PySceneDetect detector that finds the cuts"
        )
        threshold: float | None = Field(
            None, gt=0, description="detector's threshold; unset: content 30, adaptive 3, hash 0.395"
        )
        min_shot_frames: int = Field(15, ge=1, le=1000, description="shortest shot in frames; closer cuts are merged")
        max_clip_seconds: float = Field(300.0, ge=10, le=3600, description="longer shots are cut at this length")
        keyframe_size: int = Field(1280, ge=64, le=4096, description="longer side of keyframes at most, in pixels")
        keyframe_quality: int = Field(85, ge=30, le=100, description="JPEG quality of keyframes")
        max_clips: int = Field(default=50_000, ge=1, description="clips of a video; what comes after them is refused")
        max_hours: float = Field(
            default=24.0, gt=0, description="hours of footage of a video; what comes after is refused"
        )
        output_mb: int = Field(default=16_384, ge=1, description="MiB of keyframes and sound that one video may yield")

    def __init__(
        self, settings: contract.Settings | None = None, *, open_media: OpenMedia | None = None, isolate: bool = True
    ) -> None:
        super().__init__(settings, open_media=open_media)
        self._options = self.pass_options()
        limits = Limits(owner=self.name, **self.settings.model_dump(include=set(Limits.__dataclass_fields__)))
        self._process = DecodingProcess(limits) if isolate else None

    def pass_options(self) -> PassOptions:
        """What the pass looks for, from the settings of the same names."""
        given = self.settings.model_dump(include=set(PassOptions.__dataclass_fields__))
        return PassOptions(owner=self.name, **given)

    def close(self) -> None:
        """End the decoding process; the next video starts a new one."""
        if self._process is not None:
            self._process.close()

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            if "record" in row and row["record"] != "video_in":
                yield row
            else:
                yield from self._split(row)

    def _split(self, row: Row) -> Iterator[Row]:
        record = _blank_record(row)
        try:
            with (self.open_media or open_local)(row["uri"]) as media:
                record["size"], record["etag"] = media.size, media.etag or row.get("etag")
                _compare(row, media)
                yield from self._clips(row, record, media)
        except Exception as problem:
            record["error"] = row_error(self.name, problem)
        record["status"] = "done" if record["error"] is None else "partial" if record["n_clips"] else "failed"
        yield record

    def _clips(self, row: Row, record: Row, media: Media) -> Iterator[Row]:
        have: Mapping[int, tuple[int, int]] = row.get("have") or {}
        opened: Opened | None = None
        for event in self._events(media.path, have):
            if isinstance(event, Opened):
                opened = event
                record |= video_facts(event)
            elif isinstance(event, Clip):
                assert opened is not None
                record["n_clips"] = event.index + 1
                yield self._clip_row(row, opened, event)
            elif isinstance(event, Progress):
                record["n_clips"] = max(record["n_clips"], event.clips)
            elif isinstance(event, Ended):
                self._conclude(record, event, have)

    def _events(self, path: Path, have: Mapping[int, tuple[int, int]]) -> Generator[Event, None, None]:
        run = watch if self._process is None else self._process.watch
        yield from run(path, self._options, have)

    def _conclude(self, record: Row, ended: Ended, have: Mapping[int, tuple[int, int]]) -> None:
        record["n_clips"] = max(record["n_clips"], ended.clips)
        record["video_duration"] = ended.duration if ended.duration is not None else record["video_duration"]
        if ended.restart:
            record["restart"] = True
        if ended.kind is not None:
            failure = RowFailure(ErrorKind(ended.kind), ended.message or "")
            record["error"] = row_error(self.name, failure)
            while record["n_clips"] in have:
                record["n_clips"] += 1

    def _clip_row(self, row: Row, opened: Opened, clip: Clip, more: Row | None = None) -> Row:
        columns: Row = {
            "video_id": row["video_id"],
            "video_path": row["uri"],
            "clip_id": f"{row['video_id']}_{clip.index:07d}",
            "clip_path": f"{row['uri']}#t={clip.start:.3f},{clip.stop:.3f}",
            "clip_index": clip.index,
            "video_duration": opened.duration,
            "video_resolution": list(opened.resolution),
            "video_fps": opened.fps,
            "clip_duration": round(clip.stop - clip.start, 6),
            "clip_start_end_idx": [clip.first, clip.end],
            "clip_start_end_time": [clip.start, clip.stop],
            "of_score": clip.motion.of_score,
            "motion_method": clip.motion.motion_method,
            "pan_x": clip.motion.pan_x,
            "pan_y": clip.motion.pan_y,
            "zoom": clip.motion.zoom,
            "motion_residual": clip.motion.motion_residual,
            "keyframe_times": list(clip.keyframe_times),
            "keyframes": list(clip.keyframes),
            "audio": clip.audio,
            **(more or {}),
        }
        provenance = self._author(columns)
        return {"record": "clip", **columns, "extra": row.get("extra"), "provenance": provenance, "error": None}

    def _author(self, columns: Row) -> dict[str, str]:
        revision = self.revision()
        author = f"{self.name}/{self.version}" + (f"@{revision}" if revision else "")
        return {name: author for name, value in columns.items() if value is not None}


def video_facts(opened: Opened) -> Row:
    """What a video record says of the file's header."""
    return {
        "video_duration": opened.duration,
        "video_resolution": list(opened.resolution),
        "video_fps": opened.fps,
        "codec": opened.codec,
        "has_audio": opened.has_audio,
    }


def _blank_record(row: Row) -> Row:
    error: RowError | None = None
    unknown: dict[str, Any] = dict.fromkeys(("video_duration", "video_resolution", "video_fps", "codec", "has_audio"))
    return {
        "record": "video",
        "video_id": row["video_id"],
        "video_path": row["uri"],
        "status": "failed",
        "n_clips": 0,
        "error": error,
        **unknown,
        "size": row.get("size"),
        "etag": row.get("etag"),
        "extra": row.get("extra"),
    }


def _compare(row: Row, media: Media) -> None:
    for name, now in (("size", media.size), ("etag", media.etag)):
        then = row.get(name)
        if then is not None and now != "" and then != now:
            raise RowFailure(
                ErrorKind.CHANGED,
                f"{name} was {then} in the manifest and is {now} now: make a new manifest",
            )
