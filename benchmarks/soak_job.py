"""The job of the soak, as a process: lite operators with a caption on a logical GPU between them, and a call log.

    python -m benchmarks.soak_job VIDEOS OUTPUT ADDRESS CALLS PROGRESS [--model FOLDER] [--lease-term S]

Every batch that the GPU stage begins and ends, and every clip that is finished, is one line of JSON in the file CALLS;
every progress report of the run is one in PROGRESS. With `--model` vLLM answers in the GPU stage, on the CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from operators.audio.tags import AudioTags
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row, Settings, tuning
from operators.errors import RowFailure, RushesError
from operators.language.caption import small
from operators.video.colours import main_colours
from operators.video.quality import Quality
from operators.video.shots import SplitShots
from operators.video.stills import stills
from operators.video.text import TextCoverage
from operators.video.tiers import Tiers
from pipeline.cluster import Wishes
from pipeline.progress import Progress
from pipeline.run import Run, execute


class Logged(Settings):
    """`calls` is the path of the call log, `pause` the seconds that a batch takes beside its work."""

    calls: str = tuning("")
    pause: float = tuning(0.0)


class GpuCaption(ClipOperator):
    """Captions a clip with its id and colours, on half a logical GPU, several batches at once."""

    name = "caption"
    reads = ("clip_id", "keyframes")
    writes = select("caption")
    Settings = Logged
    resources = Resources(cpus=0.25, gpus=0.5, batch=2, concurrency=2)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        names = [clip["clip_id"] for clip in clips]
        log_call(self.settings.calls, "begin", names)
        rows = self.captions(clips)
        time.sleep(self.settings.pause)
        log_call(self.settings.calls, "end", names)
        return rows

    def captions(self, clips: Sequence[Row]) -> Sequence[Row]:
        """A caption for each clip that names it."""
        return [{"caption": f"{clip['clip_id']}: {main_colours(small(stills(clip)))}"} for clip in clips]


class EngineSettings(Logged):
    """`model` is the folder of a language model."""

    model: str = ""


class EngineCaption(GpuCaption):
    """Captions a clip with what vLLM says of its id: an answer that no other clip gets. On one logical GPU."""

    Settings = EngineSettings
    resources = Resources(cpus=0.25, gpus=1.0, batch=4, concurrency=2)

    def setup(self) -> None:
        from operators.models.vllm_chat import VllmChat
        from operators.models.vllm_engine import VllmOptions

        options = VllmOptions(
            model=Path(self.settings.model), dtype="float32", max_num_seqs=8, max_model_len=1024,
            cpu_cache_mb=128, compiled=False,
        )  # fmt: skip
        self._chat = VllmChat(options)

    def captions(self, clips: Sequence[Row]) -> Sequence[Row]:
        from operators.models.chat import ChatMessage, ChatRequest

        asked = [
            ChatRequest(messages=(ChatMessage(role="user", text=f"Describe {_token(clip)}"),), max_tokens=48)
            for clip in clips
        ]
        answers = self._chat.complete(asked)
        if failures := [answer for answer in answers if isinstance(answer, RowFailure)]:
            raise failures[0]
        return [{"caption": answer.text} for answer in answers if not isinstance(answer, RowFailure)]


def _token(clip: Row) -> str:
    """The clip's id in digits that are all different: a tiny model tells ids that share their beginning not apart."""
    return hashlib.sha256(clip["clip_id"].encode()).hexdigest()


class Finish(ClipOperator):
    """Repeats the caption beside what is heard, and logs the clip as finished."""

    name = "finish"
    reads = ("clip_id", "caption", "loudness")
    writes = select("merge_caption")
    on_dropped = True
    Settings = Logged
    resources = Resources(cpus=0.5)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        log_call(self.settings.calls, "done", [clip["clip_id"] for clip in clips])
        return [{"merge_caption": f"{clip.get('caption')} Loudness {clip.get('loudness')}."} for clip in clips]


def log_call(path: str, what: str, clips: Sequence[str]) -> None:
    """Append one line to the call log; one short write is atomic among processes."""
    line = json.dumps({"what": what, "pid": os.getpid(), "at": time.time(), "clips": list(clips)})
    with Path(path).open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def chain(calls: str, pause: float = 0.0, model: str = "") -> list[Operator]:
    """Shots and measures on CPUs, a caption on a GPU, sound and the end on CPUs again."""
    if model:
        caption: GpuCaption = EngineCaption(EngineSettings(calls=calls, pause=pause, model=model))
    else:
        caption = GpuCaption(Logged(calls=calls, pause=pause))
    tiers = Tiers(Tiers.Settings.model_validate({"visual": {"min_duration": 0.5}}))
    return [SplitShots(), Quality(), TextCoverage(), tiers, caption, AudioTags(), Finish(Logged(calls=calls))]


def told(file: Any) -> Any:
    """A listener of the run that writes each report to `file`."""

    def report(progress: Progress) -> None:
        file.write(json.dumps({"at": time.time(), **asdict(progress)}) + "\n")
        file.flush()

    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Run or resume; exit code 3 and the error's name and text on stderr where the run stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("videos", "output", "address", "calls", "progress"):
        parser.add_argument(name)
    parser.add_argument("--model", default="", help="folder of a language model for vLLM")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds that a batch on the GPU takes at least")
    parser.add_argument("--stall", type=float, default=200.0, help="the run's own watchdog's seconds (default: 200)")
    parser.add_argument("--lease-term", type=float, default=30.0, help="seconds (default: 30, as in the real jobs)")
    given = parser.parse_args(argv)
    run = Run(
        job="soak",
        input=str(Path(given.videos).resolve()),
        output=given.output,
        chain=chain(given.calls, given.pause, given.model),
        partition_size=4,
        lease_term=given.lease_term,
        shard_seconds=1.0,
        address=given.address,
        stall_seconds=given.stall,
        wishes=Wishes(placement="shared"),
    )
    with Path(given.progress).open("a") as file:
        try:
            summary = execute(run, told(file))
        except RushesError as problem:
            print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
            return 3
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
