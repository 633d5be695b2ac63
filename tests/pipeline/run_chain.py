"""Small chains over real video for tests that run the engine, and a command that runs one.

python -m tests.pipeline.run_chain INPUT OUTPUT [--pause SECONDS] [--term SECONDS] [--append]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row
from operators.errors import EngineError, ErrorKind, RowFailure
from operators.video.quality import Quality
from operators.video.shots import SplitShots
from operators.video.text import TextCoverage
from operators.video.tiers import Tiers
from pipeline.run import Run, execute

SIZE = (160, 120)


class Namer(ClipOperator):
    """Captions a clip with its own id, so that a row that lands on another clip is seen."""

    name = "namer"
    version = 1
    reads = ("clip_id", "sharpness")
    writes = select("caption")

    class Settings(contract.Settings):
        prefix: str = Field("clip", description="first word of the caption")
        pause: float = Field(0.0, description="seconds that a clip takes")
        fails: str = Field("", description="clip ids with this in them fail, while the file `unless` is missing")
        dies: str = Field("", description="clip ids with this in them end the process")
        halts: str = Field(
            "", description="clip ids with this in them find the engine down, while `unless` is missing"
        )
        hangs: str = Field("", description="clip ids with this in them take for ever")
        spins: float = Field(0.0, description="seconds that a clip keeps a CPU busy")
        stillborn: str = Field("", description="how the process ends before its first clip: 'dies' or 'raises'")
        unless: str = Field("", description="path of a file")

    def setup(self) -> None:
        if self.settings.stillborn == "dies":
            os._exit(11)
        if self.settings.stillborn == "raises":
            raise ValueError("the model is torn")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        results = []
        for clip in clips:
            time.sleep(self.settings.pause)
            name = clip["clip_id"]
            end = time.monotonic() + self.settings.spins
            while time.monotonic() < end:
                pass
            while self.settings.hangs and self.settings.hangs in name:
                time.sleep(1.0)
            if self.settings.dies and self.settings.dies in name:
                os._exit(11)
            if self.settings.fails and self.settings.fails in name and not Path(self.settings.unless).exists():
                raise RowFailure(ErrorKind.MODEL, "this clip cannot be captioned")
            if self.settings.halts and self.settings.halts in name and not Path(self.settings.unless).exists():
                raise EngineError("the server of the model is down")
            results.append({"caption": f"{self.settings.prefix} {name}"})
        return results


class GpuNamer(Namer):
    """The same on half a logical GPU, four clips at a time and two such batches at once."""

    resources = Resources(cpus=0.25, gpus=0.5, batch=4, concurrency=2)


class Fuser(ClipOperator):
    """Repeats the caption."""

    name = "fuser"
    reads = ("caption",)
    writes = select("merge_caption")

    class Settings(contract.Settings):
        suffix: str = Field(".", description="end of the sentence")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"merge_caption": clip["caption"] + self.settings.suffix} for clip in clips]


def chain(gpu: bool = False, suffix: str = ".", min_duration: float = 0.5, **namer: Any) -> list[Operator]:
    """Shots, quality, tiers, a caption and its fusion."""
    kind = GpuNamer if gpu else Namer
    tiers = Tiers(Tiers.Settings.model_validate({"visual": {"min_duration": min_duration}}))
    split = SplitShots(SplitShots.Settings.model_validate({"min_shot_frames": 5}))
    return [
        split,
        Quality(),
        TextCoverage(),
        tiers,
        kind(kind.Settings(**namer)),
        Fuser(Fuser.Settings(suffix=suffix)),
    ]


def write_film(path: Path, shots: Sequence[int], rate: int = 12) -> None:
    """A video of 160×120 pixels with shots of so many frames, each of another colour with a moving bar."""
    dice = np.random.default_rng(len(path.name))
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number, frames in enumerate(shots):
            colour = [(230, 30, 30), (20, 60, 220), (240, 240, 240), (10, 10, 10), (30, 200, 40)][number % 5]
            for frame in range(frames):
                pixels = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
                pixels[:] = colour
                pixels[:, (3 * frame) % 140 : (3 * frame) % 140 + 12] = dice.integers(90, 160)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def small_run(videos: Path, output: Path | str, operators: Sequence[Operator], **options: Any) -> Run:
    """A run with partitions of two videos and frequent shards."""
    defaults: dict[str, Any] = {"partition_size": 2, "shard_seconds": 0.5, "lease_term": 30.0}
    return Run(job="test", input=str(videos), output=str(output), chain=operators, **{**defaults, **options})


def main(argv: Sequence[str]) -> int:
    """Run the small chain; the exit code is the run's."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("output")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--term", type=float, default=30.0)
    parser.add_argument("--take-over", action="store_true")
    parser.add_argument("--append", action="store_true")
    given = parser.parse_args(argv)
    run = small_run(
        given.input,
        given.output,
        chain(pause=given.pause),
        lease_term=given.term,
        take_over=given.take_over,
        append=given.append,
        cpus=2,
    )
    summary = execute(run)
    print("\n".join(summary.notes), flush=True)
    return summary.exit_code


if __name__ == "__main__":
    from operators.errors import RushesError

    try:
        sys.exit(main(sys.argv[1:]))
    except RushesError as problem:
        print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
        sys.exit(3)
