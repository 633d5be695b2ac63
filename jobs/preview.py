"""Clips of a gesture run as short videos to look at, and one sheet of stills."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from operators.contract import Row
from operators.errors import ConfigurationError, RowFailure

if TYPE_CHECKING:
    import pyarrow as pa

    from operators.pose.meshes.body_model import BodyModel
    from store.reader import Dataset

SECONDS = 20.0
"""Longest preview."""

LONGEST_SIDE = 640  # px, of the picture with its panel
STILLS = 4
STILL_WIDTH = 400  # px
NARROWEST = 420  # px, so that a line of words fits

COLUMNS = (
    "video_id", "video_path", "clip_id", "clip_start_end_idx", "clip_start_end_time", "video_resolution",
    "drop_reason", "speaker_id", "fps", "frame_count", "body_landmarks", "hand_landmarks", "face_landmarks",
    "presence", "raw_poses", "raw_transl", "poses", "transl", "rest_joints", "betas", "camera", "joint_mask",
    "gates", "frame_mask", "usable_spans", "words", "phonemes",
)  # fmt: skip

Picture = NDArray[np.uint8]


def preview(output: str, count: int, to: Path | None = None) -> list[Path]:
    """Write `count` clips of the run at `output` as MP4s with their poses, and a sheet of stills; gives the paths.

    Kept clips, evenly over the run, and where there are fewer, dropped ones that have poses. `to` is the
    folder to write in: by default `preview/` in the output, or here where that is object storage.

    Raises `ConfigurationError` where the run has no poses to show, or none of its videos can be read.
    """
    from store.reader import open as open_run

    data = open_run(output)
    body = _body_model(data)
    folder = to or (Path("preview") if "://" in output else Path(output) / "preview")
    folder.mkdir(parents=True, exist_ok=True)
    films: list[Path] = []
    stills: list[list[Picture]] = []
    problems: list[str] = []
    for row in _rows(data, _chosen(data, count)):
        path = folder / f"{_file_name(row['clip_id'])}.mp4"
        try:
            stills.append(_film(row, path, _opener(data), body))
            films.append(path)
        except RowFailure as problem:
            path.unlink(missing_ok=True)
            problems.append(f"{row['clip_id']}: {problem}")
    if not films:
        raise ConfigurationError("no clip could be shown: " + "; ".join(problems))
    return [*films, _sheet(stills, folder / "sheet.png")]


def _chosen(data: Dataset, count: int) -> list[str]:
    """Ids of the clips to show, in the run's order."""
    there = set().union(*(operator.writes for operator in data.run.operators))
    if missing := {"raw_poses", "camera", "rest_joints"} - there:
        raise ConfigurationError(f"this run of {data.run.job} has no poses ({', '.join(sorted(missing))}) to show")
    kept: list[str] = []
    dropped: list[str] = []
    for table in data.clips(["clip_id", "drop_reason", "camera"], dropped=True):
        for row in table.to_pylist():
            if row["camera"] is not None:
                (kept if row["drop_reason"] is None else dropped).append(row["clip_id"])
    chosen = {*_evenly(kept, count), *_evenly(dropped, max(0, count - len(kept)))}
    if not chosen:
        raise ConfigurationError("no clip of this run has poses; `python -m jobs.status` tells why clips were dropped")
    return [clip_id for clip_id in (*kept, *dropped) if clip_id in chosen]


def _evenly(names: Sequence[str], count: int) -> list[str]:
    if len(names) <= count:
        return list(names)
    return [names[(2 * k + 1) * len(names) // (2 * count)] for k in range(count)]


def _rows(data: Dataset, chosen: Sequence[str]) -> Iterator[Row]:
    import pyarrow.compute as pc

    from operators.columns import STANDARD
    from store.tensors import to_rows

    there = {field.name for field in STANDARD}.union(*(operator.writes for operator in data.run.operators))
    columns = [name for name in COLUMNS if name in there]
    for table in data.clips(columns, dropped=True):
        wanted: pa.Table = table.filter(pc.field("clip_id").isin(list(chosen)))
        yield from to_rows(wanted)


def _opener(data: Dataset) -> Any:
    from store.input_media import InputMedia

    return InputMedia([source for source, _ in data.run.inputs])


def _body_model(data: Dataset) -> BodyModel | None:
    """The body model that the run used, where its file is still there."""
    named = (data.run.config.get("lift") or {}).get("body_model") or ""
    path = Path(named)
    if not named or "://" in named or not path.exists():
        return None
    from operators.models.one_file import path_in
    from operators.pose.meshes.body_model import BodyModel, body_model_files

    folder = path if path.is_dir() else path.parent
    return BodyModel(path_in(folder, body_model_files("lift.body_model", named)))


def _film(row: Row, path: Path, open_media: Any, body: BodyModel | None) -> list[Picture]:
    """Write one clip; gives its stills. Raises `RowFailure` where the video cannot be read."""
    from jobs.preview_film import Film, sound_of
    from jobs.preview_panel import HEIGHT, Panel
    from operators.pose.drawing import PoseDrawing
    from operators.video.span_frames import SpanFrames

    fps = float(row["fps"])
    start, stop = row["clip_start_end_time"]
    first, end = row["clip_start_end_idx"]
    drawing = PoseDrawing(row, body, frames=max(1, round(SECONDS * fps)))
    size = _size(row["camera"], LONGEST_SIDE - HEIGHT)
    width = max(NARROWEST, size[0])
    panel = Panel(row, width, int(row["frame_count"]))
    keep = {(2 * k + 1) * drawing.frames // (2 * STILLS) for k in range(STILLS)}
    stills: list[Picture] = []
    with open_media(row["video_path"]) as media, SpanFrames() as frames:
        samples = sound_of(media.path, start, start + drawing.frames / fps)
        shown = frames.read(media.path, (start, stop), fps=fps, frames=(first, end), longest_side=max(size))
        with Film(path, fps, (width, size[1] + HEIGHT), samples) as film:
            for index, picture in islice(shown, drawing.frames):
                drawn = panel.over(drawing.draw(_fitted(picture, size), index), index)
                whole = np.concatenate([_centred(drawn, width), panel.below(index)])
                film.add(whole)
                if index in keep:
                    stills.append(whole)
    return stills


def _size(camera: Mapping[str, Any], tallest: int) -> tuple[int, int]:
    """Width and height of the shown picture, even, at most `LONGEST_SIDE` and `tallest`."""
    scale = min(1.0, LONGEST_SIDE / camera["width"], tallest / camera["height"])
    return max(2, round(camera["width"] * scale / 2) * 2), max(2, round(camera["height"] * scale / 2) * 2)


def _fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    import cv2

    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _centred(picture: Picture, width: int) -> Picture:
    left = (width - picture.shape[1]) // 2
    return np.pad(picture, ((0, 0), (left, width - picture.shape[1] - left), (0, 0)))


def _sheet(clips: Sequence[Sequence[Picture]], path: Path) -> Path:
    """Stills of the clips, a row for each, as PNG."""
    from PIL import Image

    rows = []
    for stills in clips:
        smaller = [Image.fromarray(still) for still in stills]
        smaller = [still.resize((STILL_WIDTH, round(still.height * STILL_WIDTH / still.width))) for still in smaller]
        row = np.zeros((smaller[0].height, STILLS * STILL_WIDTH, 3), np.uint8)
        for number, still in enumerate(smaller):
            row[:, number * STILL_WIDTH : (number + 1) * STILL_WIDTH] = np.asarray(still)
        rows.append(row)
    Image.fromarray(np.concatenate(rows)).save(path, optimize=True)
    return path


def _file_name(clip_id: str) -> str:
    """The clip's id as a file name; other characters than letters, digits, dots and dashes become "_"."""
    return re.sub(r"[^A-Za-z0-9.-]+", "_", clip_id).lstrip(".")[-100:] or "clip"
