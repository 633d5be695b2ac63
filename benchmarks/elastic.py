"""A run on a cluster that grows from its head alone to its maximum and shrinks back, as a table.

    python -m benchmarks.elastic
    python -m benchmarks.elastic --json --until-full

The nodes are real Ray nodes of Ray's own autoscaler, started by its fake provider on this machine, with
logical CPUs and GPUs; the operators sleep. A line of the table: seconds since the run began, nodes of
each type, for each stage its actors (those that wait for a node after a plus) and the blocks queued before
it, and the videos and clips of the receipts that came back.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import store
from benchmarks.elastic_job import CLIPS, Pace, chain
from benchmarks.fake_autoscaling import autoscaling_cluster
from store.objects import open_store
from store.verify import verify

KINDS: dict[str, dict[str, Any]] = {
    "decoders": {"resources": {"CPU": 2}, "labels": {"rushes/role": "decode"}, "max_workers": 2},
    "models": {"resources": {"CPU": 2, "GPU": 1}, "labels": {"rushes/role": "models"}, "max_workers": 2},
}
"""The node types of the cluster; all may be zero."""

IDLE_SECONDS = 15.0
"""Time after which a node without work is ended. Ray counts from the start of the node's process."""

SHRINK_SECONDS = 300.0
"""Time after the run in which the cluster must be its head alone again."""


@dataclass(frozen=True)
class Moment:
    """A line of the timeline. `stages` maps a stage to (actors that run, actors that wait, blocks queued)."""

    seconds: float
    nodes: dict[str, int]
    stages: dict[str, tuple[int, int, int]]
    videos: int
    clips: int
    says: str = ""


@dataclass
class Timeline:
    """Samples the cluster and the run about once a second, from a thread of its own."""

    stages: dict[str, tuple[int, int, int]]
    hurry: Path | None = None
    moments: list[Moment] = field(default_factory=list)
    progress: Any = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _begun: float = field(default_factory=time.monotonic)

    def watch(self) -> None:
        """Sample until `end`."""
        while not self._ended.wait(1.0):
            self.moments.append(self.moment())
            if self.hurry is not None and self.full(self.moments[-1]):
                self.hurry.touch()

    def moment(self) -> Moment:
        """The state of things now."""
        import ray

        roles = Counter(node["Labels"].get("rushes/role") for node in ray.nodes() if node["Alive"])
        told = self.progress
        return Moment(
            seconds=round(time.monotonic() - self._begun, 1),
            nodes={name: roles[kind["labels"]["rushes/role"]] for name, kind in KINDS.items()},
            stages=dict(self.stages),
            videos=told.videos_done if told else 0,
            clips=told.clips_kept if told else 0,
            says=told.note if told else "",
        )

    @staticmethod
    def full(moment: Moment) -> bool:
        """Whether every node is there, and an actor runs on each GPU."""
        gpus = KINDS["models"]["max_workers"]
        looking = next((state for name, state in moment.stages.items() if "Clip" in name), (0, 0, 0))
        return looking[0] >= gpus and all(moment.nodes[name] >= kind["max_workers"] for name, kind in KINDS.items())

    def end(self) -> None:
        """Stop sampling."""
        self._ended.set()


def elastic(videos: int, until_full: bool, folder: Path) -> dict[str, Any]:
    """Run the job on a cluster that begins with its head alone; the timeline, and what the run came to."""
    # Ray Data reads these once, when it is imported: it asks for nodes every 10 s unless told otherwise.
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_DATA_MIN_GAP_BETWEEN_AUTOSCALING_REQUESTS="2")
    hurry = folder / "hurry"
    source = folder / "videos"
    source.mkdir()
    for number in range(videos):
        (source / f"film{number:03d}.mp4").write_bytes(b"not opened")
    output = folder / "out"
    with autoscaling_cluster(KINDS, IDLE_SECONDS) as address:
        import ray
        from ray.data import DataContext

        from benchmarks.stage_watcher import STAGES, StageWatcher
        from pipeline.cluster import ONE_THREAD, QUIET
        from pipeline.run import Run, execute

        os.environ.update(QUIET)
        ray.init(
            address=address, log_to_driver=False, logging_level=logging.ERROR, runtime_env={"env_vars": ONE_THREAD}
        )
        DataContext.get_current().custom_execution_callback_classes = [StageWatcher]
        timeline = Timeline(STAGES, hurry=hurry if until_full else None)
        sampler = threading.Thread(target=timeline.watch, daemon=True)
        sampler.start()
        pace = Pace.model_validate({"hurry": str(hurry)} if until_full else {})
        operators = chain(pace, pace)
        notes: list[str] = []

        def note(progress: Any) -> None:
            timeline.progress = progress
            if progress.note and progress.note not in notes[-1:]:
                notes.append(progress.note)

        try:
            begun = time.monotonic()
            summary = execute(
                Run(job="elastic", input=str(source), output=str(output), chain=operators, partition_size=8), note
            )
            ran = time.monotonic() - begun
            timeline.progress = summary.progress
            timeline.stages.clear()
            shrunk = _await_shrinking(timeline)
        finally:
            timeline.end()
            sampler.join()
            ray.shutdown()
    return {
        "exit_code": summary.exit_code,
        "run_seconds": round(ran, 1),
        "shrunk_seconds": shrunk,
        "problems": _problems(output, videos),
        "most": {
            "nodes": {kind: max(moment.nodes[kind] for moment in timeline.moments) for kind in KINDS},
            "actors": {
                name: max(moment.stages.get(name, (0, 0, 0))[0] for moment in timeline.moments)
                for name in sorted({name for moment in timeline.moments for name in moment.stages})
            },
        },
        "notes": notes,
        "moments": [asdict(moment) for moment in timeline.moments],
    }


def _await_shrinking(timeline: Timeline) -> float | None:
    """Seconds until the head is alone again; None where that did not come."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < SHRINK_SECONDS:
        if not any(timeline.moment().nodes.values()):
            time.sleep(1.5)  # one more line for the table
            return round(waited, 1)
        time.sleep(1.0)
    return None


def _problems(output: Path, videos: int) -> list[str]:
    """What is wrong with the rows: none may be missing, doubled or mixed up."""
    found = [str(finding) for finding in verify(open_store(str(output)))]
    rows = [row for table in store.open(str(output)).clips() for row in table.to_pylist()]
    ids = Counter(row["clip_id"] for row in rows)
    if len(ids) != videos * CLIPS:
        found.append(f"{len(ids)} clips for {videos} videos")
    found += [f"{clip} is there {count} times" for clip, count in ids.items() if count > 1]
    mixed = [row for row in rows if row["merge_caption"] != f"this is {row['clip_id']}."]
    return [*found, *(f"{row['clip_id']} says: {row['merge_caption']}" for row in mixed)]


def table(report: dict[str, Any]) -> str:
    """The timeline for people; moments that say what the one before said are left out."""
    names = list(report["most"]["actors"])
    short = {name: f"stage {number}" for number, name in enumerate(names, 1)}
    head = ["seconds", *KINDS, *(f"{short[name]} {what}" for name in names for what in ("actors", "queue"))]
    lines, before = [[*head, "videos", "clips"]], None
    for moment in report["moments"]:
        cells = [str(moment["nodes"][kind]) for kind in KINDS]
        for name in names:
            running, pending, queued = moment["stages"].get(name, (0, 0, 0))
            cells += [f"{running}+{pending}" if pending else str(running), str(queued)]
        cells += [str(moment["videos"]), str(moment["clips"])]
        if cells != before:
            lines.append([f"{moment['seconds']:.0f}", *cells])
        before = cells
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    drawn = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    legend = [f"{short[name]}: {name.partition(':')[2]}" for name in names]
    return "\n".join([*legend, *drawn])


def main(argv: Sequence[str] | None = None) -> int:
    """Print the timeline; 1 where the cluster did not grow and shrink, or rows are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=64, help="videos of the run, two clips each (default: 64)")
    parser.add_argument("--until-full", action="store_true", help="hurry once the cluster was at its maximum")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="rushes-elastic-") as name:
        report = elastic(options.videos, options.until_full, Path(name))
    print(json.dumps(report) if options.json else table(report))
    full = all(report["most"]["nodes"][name] == kind["max_workers"] for name, kind in KINDS.items())
    good = full and report["exit_code"] == 0 and report["shrunk_seconds"] is not None and not report["problems"]
    if not options.json:
        print(
            f"\nthe run took {report['run_seconds']} s; {report['shrunk_seconds']} s later the head was alone again; "
            f"rows: {'all there, each once' if not report['problems'] else report['problems']}"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
