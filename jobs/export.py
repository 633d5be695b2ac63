"""Writes a run's gesture clips as other programs read them: .npz files of BEAT2, with sound and words beside them.

python -m jobs.export --output out/ --format beat2 --to beat2/
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.console import FAILED, Parser, finish
from jobs.terminal import printable
from operators.errors import ConfigurationError, RowFailure

if TYPE_CHECKING:
    from operators.pose.meshes.body_model import BodyModel
    from store.reader import Dataset

FORMATS = ("beat2",)
SPANS = ("usable", "whole")
INTERVAL = 5.0
"""Seconds between lines of progress."""

SHOWN = 20
"""Clips that could not be written and are printed; all are counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; 0 where every clip was written, 1 where some could not be."""
    parser = Parser(
        "jobs.export",
        "Write a run's gesture clips as other programs read them. The run is only read, and may be at work.",
        "beat2 writes smplxflame_FPS/NAME.npz (poses, expressions, trans, betas, gender, mocap_frame_rate),\n"
        "textgrid/NAME.TextGrid, wave16k/NAME.wav where there is sound, and a line for each\n"
        "in clips.jsonl, with GES-X's `basic` block. docs/gestures.md says what the numbers mean.\n\n"
        "examples:\n"
        "  python -m jobs.export --output out/ --format beat2 --to beat2/\n"
        "  python -m jobs.export --output out/ --format beat2 --to beat2/ --fps 15 --spans whole\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    parser.add_argument("--format", required=True, choices=FORMATS, help="how the files are laid out")
    parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="where to write; made if not there")
    parser.add_argument("--fps", default="source", metavar="RATE", help="15, 30, or source (default): the clip's own")
    parser.add_argument(
        "--spans",
        default=SPANS[0],
        choices=SPANS,
        help="usable (default): each run of frames that passed the gates is a file; whole: each clip is one",
    )
    parser.add_argument("--speaker", action="append", metavar="ID", help="only this speaker_id; may be given again")
    parser.add_argument(
        "--hand-mean",
        type=Path,
        metavar="SMPLX.npz",
        help="write hands relative to the mean hand of this body model, as smplx and EMAGE's code read them by "
        "default; without it they are rotations of their own, to be read with flat_hand_mean=True",
    )
    parser.add_argument(
        "--vertices",
        type=Path,
        metavar="SMPLX.npz",
        help="also write this body model's posed mesh, (T, 10475, 3) metres, 126 kB a frame (extra smplx)",
    )
    return finish(parser, argv, _export)


def _export(options: argparse.Namespace) -> int:
    from jobs.beat2_folder import Beat2Folder, Options
    from store.objects import open_store
    from store.reader import open as open_run
    from store.tensors import to_rows

    fps = _fps(options.fps)
    data = open_run(open_store(options.output))
    columns = _columns(data)
    hands, body = _body(options.hand_mean), _body(options.vertices)
    chosen = Options(fps=fps, spans=options.spans, hand_means=None if hands is None else hands.hand_means, body=body)
    folder = Beat2Folder(_folder(options.to), chosen)
    progress = _Progress(data.count())
    failed: list[str] = []
    seen: set[str] = set()
    unusable = 0
    for table in data.clips(columns):
        for row in to_rows(table):
            progress.tell(folder.written, folder.seconds)
            seen.add(str(row.get("speaker_id")))
            if options.speaker and row.get("speaker_id") not in options.speaker:
                continue
            try:
                unusable += folder.add(row) == 0
            except RowFailure as problem:
                failed.append(f"{row['clip_id']}: {problem}")
    folder.close()
    _report(folder, options, failed, unusable)
    if options.speaker and (unknown := [name for name in options.speaker if name not in seen]):
        raise ConfigurationError(
            f"--speaker: no clip of {', '.join(unknown)}; there are {', '.join(sorted(seen)[:10])}"
        )
    return FAILED if failed else 0


def _fps(text: str) -> float | None:
    if text == "source":
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 1 <= fps <= 240:
        raise ConfigurationError(f"--fps {text}: give 15, 30, another number of frames per second, or source")
    return fps


def _columns(data: Dataset) -> list[str]:
    """The columns to read. Raises `ConfigurationError` where the run has no poses."""
    from jobs.beat2_folder import COLUMNS
    from operators.columns import STANDARD

    there = {field.name for field in STANDARD}.union(*(operator.writes for operator in data.run.operators))
    if missing := [name for name in ("poses", "transl", "rest_joints") if name not in there]:
        raise ConfigurationError(
            f"{data.store.url} is a run of {data.run.job} without {', '.join(missing)}; "
            "give the --output of python -m jobs.gesx"
        )
    return [name for name in COLUMNS if name in there]


def _folder(path: Path) -> Path:
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"--to {path} is a file; give a folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigurationError(f"--to {path}: {problem.strerror}") from problem
    return path


def _body(path: Path | None) -> BodyModel | None:
    if path is None:
        return None
    from operators.pose.meshes.body_model import BodyModel

    return BodyModel(path)


class _Progress:
    """A line every few seconds on stderr."""

    def __init__(self, clips: int) -> None:
        self._clips = clips
        self._at = 0
        self._next = time.monotonic() + INTERVAL

    def tell(self, written: int, seconds: float) -> None:
        """Call before each clip."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + INTERVAL
            done = f"{self._at:,} of {self._clips:,} clips read"
            print(f"{done}, {written:,} files of {seconds / 60:.1f} minutes written", file=sys.stderr)
        self._at += 1


def _report(folder: Any, options: argparse.Namespace, failed: Sequence[str], unusable: int) -> None:
    print(f"{folder.written:,} motions of {folder.seconds / 60:.1f} minutes written to {folder.folder}")
    if unusable:
        print(f"{unusable:,} clips have no usable span; --spans whole writes them too")
    if folder.without_sound:
        print(f"{folder.without_sound:,} have no sound, as their videos")
    for line in failed[:SHOWN]:
        print(printable(f"not written: {line}"), file=sys.stderr)
    if len(failed) > SHOWN:
        print(f"… and {len(failed) - SHOWN:,} more not written", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
