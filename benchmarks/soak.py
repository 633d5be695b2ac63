"""Let a cluster lose things again and again under a running job, and count what the job lost, doubled or changed.

    python -m benchmarks.soak --rounds 20
    python -m benchmarks.soak --rounds 5 --only node_kill,drain --seed 7 --json

A cluster of four raylets runs on this machine: a head without CPUs, two workers with a logical GPU each, one without.
The job runs once undisturbed. Then each round runs it on a new output while events of the round strike at random
moments, and starts it again where it stopped, until it is done. After each event what is committed, and at the end
everything, must equal the undisturbed run. A round without progress for `--patience` seconds has failed; the last
progress that was seen is told.

Cutting a network and filling a disk need Linux and root: without, these events are left out, and the reason is told.
Only processes that this program started are killed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.chaos_rows import rows_of
from benchmarks.faulty_s3 import FaultyProxy
from benchmarks.soak_cluster import OneMachine, Shape
from benchmarks.soak_events import EVENTS, PLACES
from benchmarks.soak_network import Network, bridged, why_not_bridged
from benchmarks.soak_places import Bucket, Place, SmallDisk, mounted, why_no_small_disk
from benchmarks.soak_report import Report
from benchmarks.soak_round import Round, Setting, calm_run
from benchmarks.soak_videos import slices

SHAPES = (Shape(2, 1), Shape(2, 1), Shape(2))
"""The workers; with the head, four nodes."""

FOLDERS = "/tmp"
"""Ray's sockets lie below the temporary folder, and their paths have room for 107 bytes."""


def possible(wanted: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Of the events `wanted`, those that this machine allows, and why it does not allow the others."""
    reasons = {"network_cut": why_not_bridged, "disk_full": why_no_small_disk}
    skipped = {kind: why for kind in wanted if kind in reasons and (why := reasons[kind]())}
    return [kind for kind in wanted if kind not in skipped], skipped


def agenda(kinds: Sequence[str], rounds: int, per_round: int, dice: random.Random) -> list[list[str]]:
    """The events of each round: every kind in turn, shuffled; those that need a place of their own stand alone."""
    deck: list[str] = []
    result: list[list[str]] = []
    while len(result) < rounds:
        events: list[str] = []
        while len(events) < per_round:
            if not deck:
                deck = dice.sample(list(kinds), len(kinds))
            if events and (deck[-1] in PLACES or events[-1] in PLACES):
                break
            events.append(deck.pop())
        result.append(events)
    return result


@contextmanager
def setting(
    kinds: Sequence[str], folder: Path, videos: Path, seed: int, mean_seconds: float, patience: float
) -> Iterator[Setting]:
    """A network, an S3 server where one is needed, a cluster, and the rows of an undisturbed run on it."""
    with ExitStack() as stack:
        network = stack.enter_context(bridged()) if "network_cut" in kinds else Network()
        places: dict[type[Place], Place] = {Place: Place(folder / "out")}
        environment: Mapping[str, str] = {}
        if "disk_full" in kinds:
            places[SmallDisk] = stack.enter_context(mounted(folder / "disk"))
        if "s3_drop" in kinds:
            from tests.s3_servers import moto_server

            server = stack.enter_context(moto_server())
            proxy = FaultyProxy(server.url, rate=0.0, seed=seed, hang=5.0, kinds=AWAY, host=network.home)
            stack.enter_context(proxy)
            places[Bucket] = Bucket(server.new_bucket(), proxy)
            environment = server.environment(proxy.url)
            os.environ.update(server.environment())
        cluster = stack.enter_context(OneMachine(folder, network, SHAPES, environment))
        calm = calm_run(cluster, videos, folder, environment, patience)
        yield Setting(
            cluster=cluster,
            network=network,
            places=places,
            videos=videos,
            folder=folder,
            environment=environment,
            expected=rows_of(calm),
            dice=random.Random(seed),
            mean_seconds=mean_seconds,
            patience=patience,
        )


AWAY = ("500", "503", "hang", "reset_before")
"""Faults of a server that is away: nothing is applied."""


def soak(
    scene: Setting,
    rounds: Sequence[Sequence[str]],
    tell: Callable[[str], None] = lambda line: None,
    seconds: float = math.inf,
    report: Report | None = None,
) -> Report:
    """Run `rounds`; events that came too late for their job are tried again on another output.

    None begins after so many `seconds`. What happens is counted in `report` as it happens.
    """
    report = report or Report()
    begun = time.monotonic()
    for number, events in enumerate(rounds, 1):
        if time.monotonic() - begun > seconds:
            break
        left, tries = list(events), 0
        while left and tries < 3:
            tries += 1
            one = Round(scene, f"round-{number}-{tries}", report)
            left = one.run(left)
            told = "; ".join(one.told) or "nothing could be struck"
            tell(f"round {number} of {len(rounds)}: {told}; {'clean so far' if report.clean else 'NOT CLEAN'}")
            shutil.rmtree(scene.folder / one.name, ignore_errors=True)
            one.forget()
        report.findings += [f"round {number}: {kind} found nothing to strike" for kind in left]
        report.rounds += 1
        report.seconds = time.monotonic() - begun
    return report


def main(argv: Sequence[str] | None = None) -> int:
    """Print what the soak did; 0 when nothing was lost, doubled, changed or annotated twice without need."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=len(EVENTS), help="how many jobs to disturb (default: 7)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no round after so many (default: none)")
    parser.add_argument("--per-round", type=int, default=1, help="events that strike each job (default: 1)")
    parser.add_argument("--only", default=",".join(EVENTS), help=f"events, of {','.join(EVENTS)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments and the victims (default: 0)")
    parser.add_argument("--videos", type=Path, default=Path("samples/videos"), help="a folder of videos to cut up")
    parser.add_argument("--slices", type=int, default=16, help="videos of a job, five seconds each (default: 16)")
    parser.add_argument("--mean-seconds", type=float, default=4.0, help="mean time before an event (default: 4)")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds without progress (default: 300)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(argv)
    wanted = [kind for kind in options.only.split(",") if kind]
    if strangers := sorted(set(wanted) - set(EVENTS)):
        parser.error(f"--only knows {', '.join(EVENTS)}; not {', '.join(strangers)}")
    kinds, skipped = possible(wanted)
    for kind, why in skipped.items():
        _tell(f"left out: {kind}: {why}")
    if not kinds:
        return 2
    dice, report = random.Random(options.seed), Report()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that everything is taken down
    with tempfile.TemporaryDirectory(prefix="rsk-", dir=FOLDERS, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        slices(options.videos, folder / "videos", options.slices)
        try:
            with setting(
                kinds, folder, folder / "videos", options.seed, options.mean_seconds, options.patience
            ) as scene:
                rounds = agenda(kinds, options.rounds, options.per_round, dice)
                soak(scene, rounds, _tell, 60 * options.minutes, report)
        finally:  # what was seen counts, whatever ends the soak
            shown = json.dumps({**vars(report), "skipped": skipped, **report.shares()}, indent=2)
            print(shown if options.json else report.table(), flush=True)
    return 0 if report.clean else 1


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
