"""What becomes of broken inputs in the decoding process, one after another, and what they cost."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from operators.contract import MESSAGE_LIMIT, Row
from operators.errors import ErrorKind
from operators.video.shots import SplitShots
from tests.hostile.corpus import Hostile

LIMITS = {"stall_seconds": 120, "cpu_seconds": 30, "wall_seconds": 300, "seconds_per_frame": 0.1, "memory_mb": 600}
"""Settings of `shots` under which the inputs are tried: an idle core needs a fraction of a second for each."""

EXPECTED = frozenset(
    {
        ErrorKind.UNREADABLE,
        ErrorKind.REFUSED,
        ErrorKind.NO_VIDEO,
        ErrorKind.DECODE,
        ErrorKind.TIMEOUT,
        ErrorKind.OUT_OF_MEMORY,
    }
)
"""What a broken file may end as, beside a video that plays. A crash (worker_died) or a bug (internal) is neither."""

POLLS = 50
"""Inputs between two looks at the memory of both processes."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an input ended: `kind` is None where it played. `cpu` and `wall` in seconds, `told` in bytes of clips."""

    name: str
    kind: str | None
    message: str
    clips: int
    cpu: float
    wall: float
    told: int


@dataclass
class Memory:
    """After so many inputs: resident MiB of the decoding process and of this one, and this one's open files."""

    inputs: int
    decoding: int
    reading: int
    files: int


@dataclass
class Trial:
    """Tries inputs in one decoding process, in the operator that jobs use.

    `children` counts the processes that were started: one, and another after each death.
    """

    folder: Path
    outcomes: list[Outcome] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    children: int = 0
    peak: int = 0

    def run(self, inputs: Iterable[Hostile]) -> Iterator[Outcome]:
        """One outcome after another. Raises `AssertionError` where an input does not end as one video record."""
        shots = SplitShots(SplitShots.Settings.model_validate(LIMITS))
        process = shots._process
        assert process is not None
        pids: set[int] = set()
        try:
            for number, hostile in enumerate(inputs, start=1):
                path = self.folder / hostile.name
                path.write_bytes(hostile.data)
                outcome = _outcome(shots, path)
                path.unlink()
                pids |= {process.pid} - {None}  # type: ignore[operator]
                self.children, self.peak = len(pids), process.peak_memory
                self.outcomes.append(outcome)
                if number % POLLS == 0 and process.pid is not None:
                    self.memory.append(_memory(number, process.pid))
                yield outcome
        finally:
            shots.close()

    @property
    def kinds(self) -> Counter[str]:
        """Outcomes by kind; "played" where there was no error."""
        return Counter(outcome.kind or "played" for outcome in self.outcomes)

    def lines(self) -> Iterator[str]:
        """What was seen, as a table of plain text."""
        yield f"{len(self.outcomes):,} inputs in {self.children} decoding processes"
        yield "  " + ", ".join(f"{kind} {count:,}" for kind, count in self.kinds.most_common())
        for memory in self.memory:
            yield (
                f"  after {memory.inputs:>6,}: decoding {memory.decoding} MiB, "
                f"reading {memory.reading} MiB, {memory.files} open files"
            )
        yield f"  most memory of a decoding process: {self.peak >> 20} MiB"
        for outcome in sorted(self.outcomes, key=lambda outcome: -outcome.cpu)[:5]:
            kind = outcome.kind or "played"
            yield f"  {outcome.cpu:6.2f} s of CPU, {outcome.wall:6.2f} s: {outcome.name} ({kind})"


def _outcome(shots: SplitShots, path: Path) -> Outcome:
    process = shots._process
    assert process is not None
    before, cpu, started = process.pid, _cpu(process.pid), time.monotonic()
    *clips, record = shots([{"record": "video_in", "video_id": "v", "uri": str(path)}])
    assert record["record"] == "video", record
    assert record["n_clips"] == len(clips) == len({clip["clip_index"] for clip in clips})
    error = record["error"] or {"kind": None, "message": ""}
    assert (record["status"] == "done") is (error["kind"] is None)
    assert error["message"].isprintable() and len(error["message"]) <= MESSAGE_LIMIT
    return Outcome(
        name=path.name,
        kind=error["kind"],
        message=error["message"],
        clips=len(clips),
        cpu=_cpu(process.pid) - (cpu if process.pid == before else 0.0),
        wall=time.monotonic() - started,
        told=sum(map(_bytes, clips)),
    )


def _bytes(clip: Row) -> int:
    return sum(map(len, clip["keyframes"])) + len(clip["audio"] or b"")


def _cpu(pid: int | None) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2]) if pid is not None else 0.0


def _memory(inputs: int, pid: int) -> Memory:
    return Memory(
        inputs=inputs,
        decoding=psutil.Process(pid).memory_info().rss >> 20,
        reading=psutil.Process().memory_info().rss >> 20,
        files=len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0,  # noqa: PTH208
    )
