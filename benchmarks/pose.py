"""What the pose stages of gesture clips cost, each against a reference in the same run.

    python -m benchmarks.pose --video talk.mp4 --json
    python -m benchmarks.pose --video talk.mp4 --device cuda --clips 256

Three figures, CPU seconds of this process in turns, medians over rounds:

landmarks   frames per second of the operator, which decodes, against MediaPipe's three landmarkers in a
            bare loop on the same pictures, decoded and cut ahead
fit         frames per second of the whole `lift` operator on the clip's first 300 frames, one thread; with
            `--device cuda` wall-clock seconds, `--clips` copies of it at once
job         the cost of all operators but those of speech, over that of the landmark stage

The video must show one speaker throughout, such as a talk's clip of ten seconds.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import mediapipe
import torch

from operators.contract import Operator, Row
from operators.pose.landmarks import Landmarks
from operators.pose.lift import Lift
from operators.pose.speakers import SplitSpeakers
from operators.video.span_frames import SpanFrames

FIT_FRAMES = 300
LONGEST_SIDE = 1280  # px, the default of `landmarks.longest_side`
SPEECH = ("audio", "speech", "phonemes", "talk", "sound")
"""Operators whose cost is that of the sound, and not counted in the job's ratio."""


def chain() -> list[Operator]:
    """The operators of `lite`, decoding in this process, so that its CPU time is all there is."""
    from jobs.gesx import lite

    decoding = (SplitSpeakers, Landmarks)
    made: list[Operator] = [kind(isolate=False) if issubclass(kind, decoding) else kind() for kind in lite()]
    for operator in made:
        operator.setup()
    return made


def run_chain(operators: Sequence[Operator], path: Path) -> tuple[dict[str, float], dict[str, list[Row]]]:
    """CPU seconds of each operator on the video, one after the other, and the rows that each was given."""
    rows: list[Row] = [{"record": "video_in", "video_id": "talk", "uri": str(path), "size": None, "etag": None}]
    seconds: dict[str, float] = {}
    given: dict[str, list[Row]] = {}
    for operator in operators:
        given[operator.name] = rows
        before = time.process_time()
        rows = list(operator(rows))
        seconds[operator.name] = time.process_time() - before
    given["end"] = rows
    return seconds, given


def pictures(clip: Row, landmarked: Row, path: Path) -> list[Any]:
    """The clip's pictures as the landmark stage sees them: RGB, cut, in memory."""
    start, stop = clip["clip_start_end_time"]
    first, end = clip["clip_start_end_idx"]
    x, y, width, height = (float(side) for side in landmarked["crop"])
    place: dict[str, Any] = {"frames": (first, end), "crop": (x, y, width, height), "longest_side": LONGEST_SIDE}
    with SpanFrames(isolate=False) as frames:
        read = frames.read(path, (start, stop), fps=landmarked["fps"], **place)
        return [(index, rgb.copy()) for index, rgb in read]


def bare_loop(operator: Landmarks, frames: Sequence[Any], fps: float) -> None:
    """MediaPipe's three landmarkers on every picture, and nothing else."""
    with operator.tracker() as tracker:
        for index, rgb in frames:
            tracker(rgb, round(1000 * index / fps))


def cpu_seconds(work: Callable[[], Any]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def landmark_rates(operator: Landmarks, clip: Row, landmarked: Row, path: Path, rounds: int) -> dict[str, float]:
    """Frames per CPU second of the operator and of the bare loop, in turns."""
    frames, fps = pictures(clip, landmarked, path), float(landmarked["fps"])
    ours, bare = [], []
    for _ in range(rounds):
        bare.append(cpu_seconds(lambda: bare_loop(operator, frames, fps)))
        ours.append(cpu_seconds(lambda: operator.landmarks(clip)))
    return {
        "frames": len(frames),
        "bare_per_second": round(len(frames) / statistics.median(bare), 2),
        "operator_per_second": round(len(frames) / statistics.median(ours), 2),
        "ratio": round(statistics.median(b / o for b, o in zip(bare, ours, strict=True)), 3),
    }


def fit_rate(row: Row, device: str, clips: int, rounds: int) -> dict[str, Any]:
    """Frames per second of the fit: per CPU second on a CPU, per second of wall-clock time on a GPU."""
    lift = Lift(Lift.Settings.model_validate({"device": device, "batch": clips}))
    lift.setup()
    rows = [_shortened(row)] * clips
    lift.annotate(rows)
    clock = time.process_time if device == "cpu" else time.perf_counter
    spent = []
    for _ in range(rounds):
        before = clock()
        lift.annotate(rows)
        spent.append(clock() - before)
    frames = clips * len(rows[0]["presence"])
    return {"frames": frames, "device": device, "per_second": round(frames / statistics.median(spent), 1)}


def _shortened(row: Row) -> Row:
    per_frame = [name for name in Lift.reads if hasattr(row.get(name), "shape")]
    return {**row, **{name: row[name][:FIT_FRAMES] for name in per_frame}}


def measure(path: Path, rounds: int, device: str, clips: int) -> dict[str, Any]:
    """All figures for one video."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    operators = chain()
    by_name = {operator.name: operator for operator in operators}
    costs: list[dict[str, float]] = []
    given: dict[str, list[Row]] = {}
    for _ in range(rounds):
        seconds, given = run_chain(operators, path)
        costs.append(seconds)
    kept = [row for row in given["lift"] if row["record"] == "clip" and not row.get("drop_reason")]
    if not kept:
        reasons = sorted({str(row.get("drop_reason")) for row in given["end"] if row["record"] == "clip"})
        raise SystemExit(f"{path.name} has no clip of one speaker: {', '.join(reasons)}")
    clip = next(row for row in given["landmarks"] if row.get("clip_id") == kept[0]["clip_id"])
    landmarks = by_name["landmarks"]
    assert isinstance(landmarks, Landmarks)
    ratios = [sum(v for k, v in cost.items() if k not in SPEECH) / cost["landmarks"] for cost in costs]
    return {
        "video": path.name,
        "rounds": rounds,
        "landmarks": landmark_rates(landmarks, clip, kept[0], path, rounds),
        "fit": fit_rate(kept[0], device, clips, rounds),
        "job": {
            "cpu_seconds": {name: round(statistics.median(c[name] for c in costs), 3) for name in costs[0]},
            "over_landmarks": round(statistics.median(ratios), 3),
        },
        "machine": f"{platform.machine()}, Python {platform.python_version()}, MediaPipe {mediapipe.__version__}, "
        f"torch {torch.__version__}, PyAV {av.__version__}",
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pose",
        description="Cost of landmarks, fit and the whole gesture job, against references in the same run.",
    )
    parser.add_argument("--video", type=Path, required=True, help="a clip of one speaker, ten seconds or so")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, in turns (default: 5)")
    parser.add_argument("--device", default="cpu", help="where the fit runs: cpu (default) or cuda")
    parser.add_argument("--clips", type=int, default=1, help="copies of the clip that are fitted at once (default: 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(argv)
    found = measure(options.video, options.rounds, options.device, options.clips)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    marks, fit, job = found["landmarks"], found["fit"], found["job"]
    rates = f"{marks['operator_per_second']} frames/s, bare loop {marks['bare_per_second']}"
    print(f"landmarks  {rates}: {marks['ratio']}")
    print(f"fit        {fit['per_second']} frames/s on {fit['device']}, {fit['frames']} frames at once")
    print(f"job        {job['over_landmarks']} × the landmark stage, speech aside: {job['cpu_seconds']}")


if __name__ == "__main__":
    main()
