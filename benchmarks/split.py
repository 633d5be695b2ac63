"""What one pass over a video costs, against bare decoding of the same file in the same run.

    python -m benchmarks.split --video trailer.mp4 --json
    python -m benchmarks.split --hours 1 --size 1920x1080

The first prints CPU seconds of this process (one thread) for bare decoding, for the whole pass
(shots, motion, keyframes, sound), for PySceneDetect's `detect`, and their ratios: medians over
rounds in which the three take turns, so that a busy machine disturbs all alike. The second makes a
long video, by repeating a minute of encoded noise and shapes without encoding it again, and splits
it in the decoding process to show the peak of its memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from scenedetect import ContentDetector, detect

from operators.video.decoding import DecodingProcess, Limits
from operators.video.events import Clip, Ended
from operators.video.one_pass import PassOptions, watch

REFERENCE_THRESHOLD = 30.0


def decode(path: Path) -> int:
    """Decode every frame of the best video stream in one thread; their number."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        return sum(len(packet.decode()) for packet in container.demux(stream))


def whole_pass(path: Path) -> list[int]:
    """Everything that `SplitShots` does, in this process; the cuts."""
    events = list(watch(path, PassOptions()))
    ended = events[-1]
    assert isinstance(ended, Ended) and ended.kind is None, ended
    return [event.first for event in events if isinstance(event, Clip)][1:]


def reference(path: Path) -> list[int]:
    """PySceneDetect's own `detect` with its PyAV backend; its cuts in nominal frames."""
    scenes = detect(str(path), ContentDetector(threshold=REFERENCE_THRESHOLD), backend="pyav")
    return [start.frame_num for start, _ in scenes][1:]


def cpu_seconds(work: Callable[[Path], Any], path: Path) -> float:
    """CPU time of this process, user and system, that `work` takes."""
    before = time.process_time()
    work(path)
    return time.process_time() - before


def measure(path: Path, rounds: int) -> dict[str, Any]:
    """Medians in seconds and ratios of medians for one video."""
    cv2.setNumThreads(1)
    works = {"decode": decode, "pass": whole_pass, "pyscenedetect": reference}
    cuts = {"pass": whole_pass(path), "pyscenedetect": reference(path)}
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(cpu_seconds(work, path))
    medians = {name: statistics.median(values) for name, values in times.items()}
    rounds_ratio = [a / b for a, b in zip(times["pass"], times["decode"], strict=True)]
    return {
        "video": path.name,
        "rounds": rounds,
        "cpu_seconds": {name: round(value, 4) for name, value in medians.items()},
        "ratio": {name: round(medians[name] / medians["decode"], 3) for name in ("pass", "pyscenedetect")},
        "pass_ratio_median_of_rounds": round(statistics.median(rounds_ratio), 3),
        "cuts": cuts,
        **isolated(path),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, PyAV {av.__version__}",
    }


def isolated(path: Path) -> dict[str, Any]:
    """The pass in a decoding process: its peak memory in MiB, and the bytes of the clips that came out."""
    process = DecodingProcess(Limits())
    sizes: list[int] = []
    started = time.monotonic()
    ended: Ended | None = None
    try:
        for event in process.watch(path, PassOptions()):
            if isinstance(event, Clip):
                sizes.append(sum(map(len, event.keyframes)) + len(event.audio or b"") + 512)
            elif isinstance(event, Ended):
                ended = event
    finally:
        peak = process.peak_memory
        process.close()
    assert ended is not None
    return {
        "clips": ended.clips,
        "frames": ended.frames,
        "video_seconds": ended.duration,
        "error": ended.message,
        "wall_seconds": round(time.monotonic() - started, 2),
        "peak_mb": round(peak / (1 << 20), 1),
        "clip_mb_mean": round(statistics.mean(sizes) / 1e6, 3) if sizes else None,
        "clip_mb_largest": round(max(sizes) / 1e6, 3) if sizes else None,
    }


def make_long(folder: Path, hours: float, width: int, height: int) -> Path:
    """A video of that length: one minute of cuts, motion and noise with sound, repeated packet by packet."""
    minute = folder / "minute.mp4"
    _encode_minute(minute, width, height)
    long = folder / "long.mp4"
    with av.open(str(minute)) as source, av.open(str(long), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        packets = [packet for packet in source.demux() if _lies_in_the_minute(packet)]
        for turn in range(round(hours * 60)):
            for packet in packets:
                copy = av.Packet(bytes(packet))
                base = packet.stream.time_base
                assert base is not None and packet.pts is not None and packet.dts is not None
                shift = round(60 * turn / base)
                copy.time_base, copy.is_keyframe = base, packet.is_keyframe
                copy.pts, copy.dts, copy.duration = packet.pts + shift, packet.dts + shift, packet.duration
                copy.stream = streams[packet.stream.index]
                target.mux(copy)
    return long


def _lies_in_the_minute(packet: av.Packet) -> bool:
    base = packet.stream.time_base
    if packet.dts is None or packet.duration is None or base is None:
        return False
    return packet.dts >= 0 and (packet.dts + packet.duration) * base <= 60


def _encode_minute(path: Path, width: int, height: int, fps: int = 24) -> None:
    rng = np.random.default_rng(7)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", fps, options={"preset": "ultrafast", "bf": "0", "crf": "30"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", 44_100, layout="mono")
        for index in range(60 * fps):
            if index % (5 * fps) == 0:
                scene = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (width, height))
            picture = np.roll(scene, 4 * (index % (5 * fps)), axis=1).astype(np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(video.encode())
        step = 1024
        for start in range(0, 60 * 44_100, step):
            wave = 0.3 * np.sin(np.arange(start, start + step) * 2 * np.pi * 440 / 44_100)
            frame = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
            container.mux(audio.encode(frame))
        container.mux(audio.encode())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.split", description="Cost of one pass over a video.")
    parser.add_argument("--video", type=Path, help="measure this file")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the three measurements (default 5)")
    parser.add_argument("--hours", type=float, help="instead, make a video of this length and show the memory used")
    parser.add_argument("--size", default="1920x1080", help="its size (default 1920x1080)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    if (arguments.video is None) == (arguments.hours is None):
        parser.error("give either --video or --hours")
    if arguments.rounds < 5:
        parser.error("--rounds must be at least 5")
    if arguments.video is not None:
        result = measure(arguments.video, arguments.rounds)
    else:
        width, height = map(int, arguments.size.split("x"))
        with tempfile.TemporaryDirectory() as folder:
            result = isolated(make_long(Path(folder), arguments.hours, width, height))
    print(json.dumps(result) if arguments.json else "\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
