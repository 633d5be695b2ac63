"""Writes clips into a folder as BEAT2 has them, so that its loaders find them.

smplxflame_30/<name>.npz    poses, at 30 frames per second (or the rate that was asked for)
wave16k/<name>.wav          the sound of the same seconds, where the run kept it
textgrid/<name>.TextGrid    its words and phonemes
clips.jsonl                 one line for each of these: GES-X's `basic` block, and what the files lack
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from jobs.textgrid import Interval, textgrid
from operators.audio.sound import decode_flac
from operators.audio.waveform import SAMPLE_RATE
from operators.contract import Row
from operators.pose.beat2 import Motion, lacks, meshes, motion_of, to_beat2
from operators.pose.meshes.body_model import BodyModel
from operators.pose.motion.frame_spans import Frames, frames_of

COLUMNS = (
    "video_id", "video_path", "video_duration", "video_resolution", "video_fps", "clip_id", "clip_path",
    "clip_duration", "clip_start_end_idx", "clip_start_end_time", "person", "speaker_id", "fps", "poses", "transl",
    "expression", "expression_basis", "betas", "rest_joints", "body_model", "frame_mask", "usable_spans",
    "transcript_quality", "words", "phonemes", "sound",
)  # fmt: skip
"""What is read of a clip."""

NAME_LENGTH = 100
LISTING = "clips.jsonl"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|\Z)", re.IGNORECASE)

Spans = Literal["usable", "whole"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How clips are written. `fps` None keeps the clip's own; `hand_means` as in `to_beat2`.

    With `body` its posed meshes are written too: 126 kB a frame.
    """

    fps: float | None = None
    spans: Spans = "usable"
    hand_means: ArrayLike | None = None
    body: BodyModel | None = None


class Beat2Folder:
    """A folder that is filled clip by clip; every file appears whole or not at all."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder = folder
        self.options = options
        self.seconds = 0.0
        self.written = 0
        self.without_sound = 0
        self._names: set[str] = set()
        self._lines: list[str] = []

    def add(self, row: Row) -> int:
        """Write a clip, and say as how many runs of frames. Raises `RowFailure` for columns that do not fit."""
        motion = motion_of(row)
        spans: Sequence[Frames] = [(0, len(motion))]
        if self.options.spans == "usable":
            spans = [frames_of(span) for span in row.get("usable_spans") or ()]
        for number, span in enumerate(spans):
            self._add(row, motion, span, number)
        return len(spans)

    def close(self) -> None:
        """Write the listing."""
        self._write(LISTING, "".join(self._lines).encode())

    def _add(self, row: Row, motion: Motion, span: Frames, number: int) -> None:
        part = motion.cut(span)
        resampled = part if self.options.fps is None else part.at(self.options.fps)
        start, stop = span[0] / motion.fps, span[1] / motion.fps
        name = self._name(str(row["clip_id"]) if self.options.spans == "whole" else f"{row['clip_id']}_{number:03d}")
        files = {"npz": f"smplxflame_{resampled.fps:g}/{name}.npz", "textgrid": f"textgrid/{name}.TextGrid"}
        packed = io.BytesIO()
        np.savez_compressed(packed, **to_beat2(resampled, self.options.hand_means))  # pyright: ignore[reportArgumentType]
        self._write(files["npz"], packed.getvalue())
        self._write(files["textgrid"], textgrid(_tiers(row, start), stop - start).encode())
        if self.options.body is not None:
            files["vertices"] = f"vertices_{resampled.fps:g}/{name}.npy"
            array = io.BytesIO()
            np.save(array, meshes(resampled, self.options.body), allow_pickle=False)
            self._write(files["vertices"], array.getvalue())
        if row.get("sound") is None:
            self.without_sound += 1
        else:
            files["wav"] = f"wave16k/{name}.wav"
            self._write(files["wav"], _wav(decode_flac(row["sound"]), start, stop))
        self._lines.append(json.dumps(self._line(row, span, resampled, files), ensure_ascii=False) + "\n")
        self.seconds += stop - start
        self.written += 1

    def _line(self, row: Row, span: Frames, motion: Motion, files: Mapping[str, str]) -> dict[str, Any]:
        own = float(row["fps"])
        return {
            "basic": basic(row),
            "files": dict(files),
            "frames": len(motion),
            "fps": motion.fps,
            "span": {"start_frame": span[0], "end_frame": span[1], "start": span[0] / own, "end": span[1] / own},
            "speaker_id": row.get("speaker_id"),
            "person": row.get("person"),
            "transcript_quality": row.get("transcript_quality"),
            "lacks": lacks(row),
        }

    def _name(self, wanted: str) -> str:
        """A file name for an id: the id itself where it is a plain and new one, else with a digest of it."""
        name = wanted
        if not _PLAIN.match(wanted) or len(wanted) > NAME_LENGTH or _DEVICES.match(wanted):
            readable = re.sub(r"[^A-Za-z0-9_-]+", "_", wanted)[: NAME_LENGTH - 20].strip("_-") or "clip"
            name = f"id_{readable}-{_digest(wanted)}"
        if name.casefold() in self._names:  # file systems that do not tell case
            name = f"{name[: NAME_LENGTH - 10]}-{_digest(wanted)}"
        self._names.add(name.casefold())
        return name

    def _write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".part-", delete=False) as file:
            try:
                file.write(content)
                file.close()
                Path(file.name).chmod(0o644)
                os.replace(file.name, path)  # noqa: PTH105
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise


def basic(row: Row) -> dict[str, Any]:
    """GES-X's `basic` block of a clip, by its names and in its formats: [height, width], times as HH:MM:SS.mmm."""
    return {
        "video_id": row.get("video_id"),
        "video_path": row.get("video_path"),
        "video_duration": _rounded(row.get("video_duration")),
        "video_resolution": _plain(row.get("video_resolution")),
        "video_fps": _rounded(row.get("video_fps")),
        "clip_id": row.get("clip_id"),
        "clip_path": row.get("clip_path"),
        "clip_duration": _rounded(row.get("clip_duration")),
        "clip_start_end_idx": _plain(row.get("clip_start_end_idx")),
        "clip_start_end_time": [clock(time) for time in row.get("clip_start_end_time") or ()],
    }


def clock(seconds: float) -> str:
    """Seconds as "00:00:00.960"."""
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)


def _plain(values: Sequence[int] | None) -> list[int] | None:
    return None if values is None else [int(value) for value in values]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _tiers(row: Row, start: float) -> dict[str, list[Interval]]:
    def intervals(column: str, field: str) -> list[Interval]:
        return [(item["start"] - start, item["end"] - start, item[field] or "") for item in row.get(column) or ()]

    return {"words": intervals("words", "word"), "phones": intervals("phonemes", "phoneme")}


def _wav(samples: np.ndarray, start: float, stop: float) -> bytes:
    """Seconds [start, stop) of 16 kHz sound, with silence where it ends sooner, as a mono 16-bit WAV file."""
    first, last = round(start * SAMPLE_RATE), round(stop * SAMPLE_RATE)
    part = np.zeros(last - first, np.int16)
    there = samples[first:last]
    part[: len(there)] = there
    sink = io.BytesIO()
    with wave.open(sink, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(part.astype("<i2").tobytes())
    return sink.getvalue()
