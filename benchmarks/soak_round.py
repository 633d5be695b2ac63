"""One round of the soak: a job on a new output, struck by events, started again until it is done, and compared."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.chaos_rows import compare, rows_of, visible_clips
from benchmarks.soak_calls import annotated, read_calls
from benchmarks.soak_cluster import OneMachine
from benchmarks.soak_driver import Driver, Hung
from benchmarks.soak_events import EVENTS, PLACES, NoVictim, Scene
from benchmarks.soak_network import Network
from benchmarks.soak_places import Place
from benchmarks.soak_report import Report
from operators.errors import RushesError
from pipeline.attempts import read_attempts
from store.objects import open_store
from store.run_record import read_run

MOST_STARTS = 12
"""Drivers of one round, after which something is wrong."""

STOPPED = 3
"""Exit code of a job that stopped and says that it can be resumed."""


@dataclass
class Setting:
    """What all rounds share. `expected` are the rows of the undisturbed run, by identity."""

    cluster: OneMachine
    network: Network
    places: Mapping[type[Place], Place]
    videos: Path
    folder: Path
    environment: Mapping[str, str]
    expected: dict[str, dict[str, Any]]
    dice: random.Random
    mean_seconds: float
    patience: float
    options: Sequence[str] = ()


def calm_run(
    cluster: OneMachine, videos: Path, folder: Path, environment: Mapping[str, str], patience: float,
    options: Sequence[str] = (),
) -> str:  # fmt: skip
    """The output of an undisturbed run on the cluster. Raises `RuntimeError` where that fails."""
    own = folder / "calm"
    own.mkdir()
    driver = Driver(videos, str(own / "output"), cluster.address, own, environment, options)
    while not driver.ended(60.0, patience):
        pass
    if driver.process.returncode != 0:
        raise RuntimeError(f"the undisturbed run failed: {driver.complaint()}")
    return str(own / "output")


class Round:
    """One job and what befell it. `told` says so for people."""

    def __init__(self, setting: Setting, name: str, report: Report) -> None:
        self.name, self.told = name, []
        self._setting, self._report = setting, report
        self._own = setting.folder / name
        self._own.mkdir()
        self._stored: list[tuple[float, set[str]]] = []
        self._in_flight = 0
        self._struck: list[str] = []
        self._driver: Driver | None = None

    def run(self, events: Sequence[str]) -> list[str]:
        """Strike with `events` in turn; return those that the job was too quick for."""
        setting, report, begun = self._setting, self._report, time.monotonic()
        place = setting.places[PLACES.get(events[0], Place)]
        self._output = place.output(self.name)
        scene = Scene(setting.cluster, setting.network, place, setting.dice, self._calls, self._kill)
        left, stops, starts, over = list(events), 0, 0, False
        try:
            while not over and starts < MOST_STARTS:
                starts += 1
                self._start()
                left = self._harass(scene, left)
                over, stopped = self._outcome()
                stops += stopped
        except Hung as problem:
            report.findings.append(f"{self.name}, after {self._struck}: {problem}")
            self._kill()
        report.starts += starts
        if over:
            self._compare()
        elif starts >= MOST_STARTS:
            report.findings.append(f"{self.name}, after {self._struck}: not done after {starts} starts")
        self._account(stops, time.monotonic() - begun)
        return left

    def forget(self) -> None:
        """Remove what the job wrote, so that a small disk has room for the next."""
        store = open_store(self._output)
        store.delete([info.key for info in store.list()])

    def _start(self) -> None:
        self._snapshot()
        self._tries = len(self._attempts())
        setting = self._setting
        self._driver = Driver(
            setting.videos, self._output, setting.cluster.address, self._own, setting.environment, setting.options
        )

    def _harass(self, scene: Scene, events: list[str]) -> list[str]:
        """Strike the present driver until it ends; return the events that are left."""
        setting, driver, begun = self._setting, self._driver, self._tries
        assert driver is not None
        left = list(events)
        while left and len(self._attempts()) == begun:  # before its first video a driver has nothing to lose
            if driver.ended(0.5, setting.patience):
                return left
        delay = 0.0
        while left:
            delay = delay or min(20.0, setting.dice.expovariate(1 / setting.mean_seconds))
            if driver.ended(delay, setting.patience):
                return left
            in_flight, kind = self._open_clips(), left[0]
            try:
                self.told.append(EVENTS[kind](scene))
            except NoVictim:
                delay = 0.2
                continue
            delay = 0.0
            self._in_flight += in_flight
            left.pop(0)
            self._struck.append(kind)
            self._report.events[kind] += 1
            self._check_committed()
        while not driver.ended(60.0, setting.patience):
            pass
        return left

    def _outcome(self) -> tuple[bool, int]:
        """Whether the job is done, and 1 where it stopped by itself and can be resumed."""
        driver, after = self._driver, self._struck[-1] if self._struck else "nothing"
        assert driver is not None
        code = driver.process.returncode
        if code == 0:
            return True, 0
        if code < 0 and after == "driver":
            return False, 0
        self._report.stops[after] += 1
        self._report.messages.append(f"{self.name}, after {after}: {driver.complaint()[-300:]}")
        if code != STOPPED:
            self._report.findings.append(f"{self.name}, after {after}: exit code {code}: {driver.complaint()}")
        return False, 1

    def _kill(self) -> None:
        if self._driver is not None:
            self._driver.kill()

    def _calls(self) -> list[dict[str, Any]]:
        return read_calls(self._own / "calls")

    def _snapshot(self) -> None:
        """Note what is stored now: nobody may do it again."""
        self._stored.append((time.time(), visible_clips(self._output)))

    def _attempts(self) -> list[str]:
        """Keys of the tries of videos so far."""
        return [info.key for info in open_store(self._output).list("attempts/")]

    def _open_clips(self) -> int:
        """Clips of videos that were begun and are not stored whole, by what the undisturbed run has of each."""
        store = open_store(self._output)
        run = read_run(store)
        stored = visible_clips(self._output)
        clips: dict[str, set[str]] = {}
        for key, row in self._setting.expected.items():
            if key.startswith("clip:"):
                clips.setdefault(row["video_id"], set()).add(row["clip_id"])
        begun = {a.video_id for p in range(run.n_partitions if run else 0) for a in read_attempts(store, p)}
        return sum(len(found) for video, found in clips.items() if video in begun and not found <= stored)

    def _check_committed(self) -> None:
        """After an event: what is committed is as it should be."""
        try:
            now = time.time()
            committed = {key[5:] for key in rows_of(self._output) if key.startswith("clip:")}
            difference = compare(self._setting.expected, self._output, whole=False)
        except RushesError as problem:
            self._report.findings.append(f"{self.name}, after {self._struck[-1]}: unreadable: {problem}")
            return
        self._stored.append((now, committed))
        self._report.doubled += difference.doubled
        self._report.changed += difference.changed
        self._report.findings += difference.findings

    def _compare(self) -> None:
        report, difference = self._report, compare(self._setting.expected, self._output)
        report.clips = difference.clips
        report.lost += difference.lost
        report.doubled += difference.doubled
        report.changed += difference.changed
        report.findings += [f"{self.name}, after {self._struck}: {finding}" for finding in difference.findings]

    def _account(self, stops: int, seconds: float) -> None:
        report, calls = self._report, self._calls()
        given = annotated(calls)
        repeated = given.total() - len(given)
        report.annotated += given.total()
        report.repeated += repeated
        report.in_flight += self._in_flight
        again = {
            clip
            for at, stored in self._stored
            for clip in annotated(call for call in calls if call["at"] > at)
            if clip in stored
        }
        report.reannotated += len(again)
        facts = {"jobs": 1, "events": len(self._struck), "stops": stops, "annotated": given.total()}
        facts |= {"repeated": repeated, "in_flight": self._in_flight, "seconds": seconds}
        row = report.by_kind.setdefault("+".join(sorted(set(self._struck))) or "none", {})
        for name, value in facts.items():
            row[name] = row.get(name, 0) + value
