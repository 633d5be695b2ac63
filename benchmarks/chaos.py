"""Kill a running job again and again, and count what was lost, doubled or annotated twice.

    python -m benchmarks.chaos --kills 50 --videos FOLDER

The job runs once undisturbed. Then it runs on the same videos while its driver, its Ray workers and
its decoding processes are killed (SIGKILL) at random moments, and is started again until it is done, on
as many outputs as it takes for all kills. At the end all must hold the same rows as the undisturbed
run. Only processes that this program started are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.chaos_job import CALL_LOG
from benchmarks.chaos_processes import family, kill, names
from benchmarks.chaos_rows import compare, rows_of, visible_clips
from pipeline.attempts import STRIKES, Attempt, read_attempts
from store.objects import open_store
from store.run_record import read_run

DECODER = "operators.video.decoder"
"""Module that a decoding process runs."""

PATIENCE = 5_400.0
"""Seconds without an end, after which the whole thing counts as hung."""


@dataclass
class Report:
    """What the kills did. `calls` counts clips that were annotated, `repeated` those of them again.

    `storms` are jobs on outputs of their own, `starts` their drivers, `clips` those of one job.
    """

    kills: Counter[str] = field(default_factory=Counter)
    storms: int = 0
    starts: int = 0
    clips: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    reannotated: int = 0
    calls: int = 0
    repeated: int = 0
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def killed(self) -> int:
        """Kills of all kinds."""
        return self.kills.total()

    @property
    def repeated_share(self) -> float:
        """Clips annotated again, because they were in flight, over clips annotated."""
        return self.repeated / (self.calls - self.repeated) if self.calls > self.repeated else 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, changed or paid for twice."""
        return not (self.lost or self.doubled or self.changed or self.reannotated or self.findings)


def chaos(videos: Path, kills: int, seed: int, folder: Path, mean_seconds: float = 8.0) -> Report:
    """Run the job undisturbed, then under `kills` kills in `folder`, and compare.

    A job that is done before its last kill is followed by another on a new output.
    """
    begun = time.monotonic()
    calm = folder / "calm"
    _start(videos, calm, folder / "calm.calls").wait()
    report = Report()
    dice = random.Random(seed)
    while (before := report.killed) < kills and time.monotonic() - begun < PATIENCE:
        report.storms += 1
        _storm(videos, calm, folder / f"storm-{report.storms}", report, _Killer(dice, mean_seconds, report), kills)
        if report.killed == before:
            report.findings.append("a job was done before anything could be killed: give more videos")
            break
    report.seconds = time.monotonic() - begun
    return report


def _storm(videos: Path, calm: Path, folder: Path, report: Report, killer: _Killer, kills: int) -> None:
    """One job under kills, started again until it is done."""
    folder.mkdir()
    output, begun = folder / "output", time.monotonic()
    sessions: list[tuple[set[str], Path]] = []
    while time.monotonic() - begun < PATIENCE:
        calls = folder / f"session-{len(sessions):03d}.calls"
        sessions.append((visible_clips(str(output)), calls))
        process = _start(videos, output, calls)
        report.starts += 1
        if killer.harass(process, output, kills):
            break
    _compare(str(calm), str(output), report)
    logged = [_read_calls(calls) for _, calls in sessions]
    report.reannotated += sum(len(seen & set(log)) for (seen, _), log in zip(sessions, logged, strict=True))
    report.calls += sum(map(len, logged))
    report.repeated += sum(map(len, logged)) - len(set().union(*logged))


class _Killer:
    def __init__(self, dice: random.Random, mean_seconds: float, report: Report) -> None:
        self._dice, self._mean, self._report = dice, mean_seconds, report

    def harass(self, process: subprocess.Popen[bytes], output: Path, kills: int) -> bool:
        """Kill parts of a running job until it ends or its driver is killed; True when it ended by itself."""
        self._await_workers(process)
        while self._report.killed < kills:
            try:
                process.wait(timeout=self._dice.expovariate(1 / self._mean))
                return self._ended(process)
            except subprocess.TimeoutExpired:
                if self._strike(process, output):
                    return False
        process.wait(timeout=PATIENCE)
        return self._ended(process)

    def _await_workers(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a worker exists: kills before that would only test that Ray starts."""
        while process.poll() is None and not any(names(p, "VideoStage") for p in family(process.pid)):
            time.sleep(0.2)

    def _ended(self, process: subprocess.Popen[bytes]) -> bool:
        if process.returncode != 0:
            self._report.findings.append(f"the job ended with exit code {process.returncode}")
        return True

    def _strike(self, process: subprocess.Popen[bytes], output: Path) -> bool:
        below = family(process.pid)
        victims = {
            "driver": [None],
            "worker": [p for p in below if names(p, "VideoStage")],
            "decoder": [p for p in below if names(p, DECODER)],
        }
        kind = self._dice.choice(self._allowed(output, [kind for kind, found in victims.items() if found]))
        if kind == "nobody":
            return False
        self._report.kills[kind] += 1
        if kind != "driver":
            kill([self._dice.choice(victims[kind])])
            return False
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(below, timeout=20)
        kill(alive)
        return True

    def _allowed(self, output: Path, kinds: list[str]) -> list[str]:
        """Whom to kill without bringing a video nearer to its verdict, which would change the rows by design.

        A video may lose its process twice, and may be alone with two drivers that die.
        """
        objects = open_store(str(output))
        run = read_run(objects)
        for partition in range(run.n_partitions if run else 0):
            tries: dict[str, list[Attempt]] = {}
            for attempt in read_attempts(objects, partition):
                tries.setdefault(attempt.video_id, []).append(attempt)
            for attempts in tries.values():
                if sum(attempt.alone for attempt in attempts) >= STRIKES - 1:
                    return ["nobody"]
                witnessed = Counter(attempt.session for attempt in attempts)
                deaths = sum(bool(attempt.ended) for attempt in attempts) + max(witnessed.values()) - 1
                if deaths >= STRIKES - 1:
                    kinds = [kind for kind in kinds if kind == "driver"]
        return kinds


def _start(videos: Path, output: Path, calls: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.chaos_job", str(videos), str(output)]
    with (calls.parent / f"{calls.stem}.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, CALL_LOG: str(calls)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )


def _read_calls(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def _compare(calm: str, stormy: str, report: Report) -> None:
    difference = compare(rows_of(calm), stormy)
    report.clips = difference.clips
    report.lost += difference.lost
    report.doubled += difference.doubled
    report.changed += difference.changed
    report.findings += difference.findings


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report of a storm as JSON; 0 when nothing was lost, doubled or annotated twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="how many processes to kill (default: 50)")
    parser.add_argument("--videos", type=Path, default=Path("samples/videos"), help="a folder of videos")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the victims (default: 0)")
    parser.add_argument("--mean-seconds", type=float, default=8.0, help="mean time between kills (default: 8)")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rushes-chaos-") as folder:
        report = chaos(options.videos, options.kills, options.seed, Path(folder), options.mean_seconds)
    print(
        json.dumps(
            {**vars(report), "kills": dict(report.kills), "repeated_share": round(report.repeated_share, 4)}, indent=2
        )
    )
    return 0 if report.clean else 1


if __name__ == "__main__":
    sys.exit(main())
