"""What a run tells Prometheus, through the metrics of Ray: facts, work and state, all from the driver.

- Facts are counted once, when the marker that holds them is written: what earlier drivers committed is not
  repeated, and a partition that is done again (`--retry-failed`) adds only what it has more of.
- Work is counted as receipts tell it, so that it also holds what was done twice; the work of a task that died
  before its first shard was stored is told by nobody.
- State is that of the whole output, with what earlier drivers committed. It ends with its driver.

Counters start from 0 with every driver, as series of its own: add them up. Labels are bounded: names from the
code and the configuration, and one name per output. Nothing here can fail a run, or slow it: figures are added up
in this process and handed to Ray every `FLUSH_SECONDS`.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from time import monotonic
from typing import Any

from operators.errors import LeaseLost
from pipeline.progress import Progress
from pipeline.receipt import Receipt
from pipeline.series import PARTITION_BUCKETS, SERIES, Series
from store.lease import Lease
from store.markers import Marker, OperatorTally

log = logging.getLogger(__name__)

FLUSH_SECONDS = 5.0
"""Least time between two reports to Ray, which exports every 10 s."""

MOST_VALUES = 64
"""Values of one label that are told apart; an operator of somebody's own may give any number of reasons."""

OTHER = "other"

Labels = tuple[tuple[str, str], ...]


def run_name(url: str) -> str:
    """The label `run` of an output: the end of its address, readable, and six digits of a hash of the whole."""
    end = re.sub(r"[^A-Za-z0-9._-]", "_", url.rstrip("/").rpartition("/")[2])[:40]
    return f"{end or 'output'}-{hashlib.sha256(url.encode()).hexdigest()[:6]}"


class RunMetrics:
    """The metrics of one driver. `url` is that of the output."""

    def __init__(self, job: str, url: str, lease: Lease, tell: Callable[[Labels], Instruments] | None = None) -> None:
        self._lease = lease
        labels: Labels = (("job_name", job), ("run", run_name(url)))
        self._instruments = (tell or Instruments)(labels)
        self._sums: Counter[tuple[str, Labels]] = Counter()
        self._lengths: list[float] = []
        self._earlier: dict[int, Marker] = {}
        self._tasks: defaultdict[int, dict[str, dict[str, OperatorTally]]] = defaultdict(dict)
        self._committed: set[int] = set()
        self._known: defaultdict[str, set[str]] = defaultdict(set)
        self._last = 0.0

    def done_again(self, markers: Mapping[int, Marker]) -> None:
        """Take note of what is committed already of the partitions that this driver does again."""
        self._earlier.update(markers)

    def received(self, receipt: Receipt) -> None:
        """Count the work that a receipt tells and those before it of the same task did not."""
        if receipt.partition in self._committed:
            return
        tasks = self._tasks[receipt.partition]
        before = tasks.setdefault(receipt.task, {})
        for operator, tally in receipt.operators.items():
            known = before.get(operator, _NOTHING)
            if tally.seconds < known.seconds:
                continue  # an older receipt that came late
            before[operator] = tally
            self._add("rushes_operator_seconds_total", tally.seconds - known.seconds, operator=operator)
            self._add("rushes_operator_clips_total", tally.clips - known.clips, operator=operator)
            for direction, more in (
                ("prompt", tally.tokens_in - known.tokens_in),
                ("completion", tally.tokens_out - known.tokens_out),
            ):
                self._add("rushes_tokens_total", more, operator=operator, direction=direction)

    def committed(self, marker: Marker) -> None:
        """Count the facts of a partition that this driver has committed."""
        self._tasks.pop(marker.partition, None)
        self._committed.add(marker.partition)
        facts = Counter(dict(_facts(marker)))
        if marker.partition in self._earlier:
            facts -= Counter(dict(_facts(self._earlier.pop(marker.partition))))
        for (name, labels), amount in facts.items():
            self._add(name, amount, **dict(labels))
        self._lengths.append(max(0.0, marker.committed - marker.started))

    def report(
        self, progress: Callable[[], Progress], n_open: int, n_parked: int = 0, *, always: bool = False
    ) -> None:
        """Hand everything to Ray; unless `always`, at most every `FLUSH_SECONDS`.

        `n_open` partitions are being worked on, `n_parked` were given up.
        """
        if not always and monotonic() - self._last < FLUSH_SECONDS:
            return
        self._last = monotonic()
        sums, self._sums = self._sums, Counter()
        for (name, labels), amount in sums.items():
            self._instruments.tell(name, amount, labels)
        lengths, self._lengths = self._lengths, []
        for seconds in lengths:
            self._instruments.tell("rushes_partition_seconds", seconds)
        for name, value, label, of in self._state(progress(), n_open, n_parked):
            self._instruments.tell(name, value, ((label, of),) if label else ())

    def _state(self, progress: Progress, n_open: int, n_parked: int) -> Iterator[tuple[str, float, str, str]]:
        begun = progress.partitions_committed + n_open + n_parked
        done = progress.videos_done + progress.videos_partial + progress.videos_failed
        for state, count in (
            ("committed", progress.partitions_committed),
            ("open", n_open),
            ("parked", n_parked),
            ("pending", max(0, progress.partitions_total - begun)),
        ):
            yield "rushes_partitions", count, "state", state
        for status, count in (
            ("done", progress.videos_done),
            ("partial", progress.videos_partial),
            ("failed", progress.videos_failed),
            ("pending", max(0, progress.videos_total - done)),
        ):
            yield "rushes_output_videos", count, "status", status
        for state, count in (
            ("kept", progress.clips_kept),
            ("dropped", progress.clips_dropped),
            ("failed", progress.clips_failed),
        ):
            yield "rushes_output_clips", count, "state", state
        yield "rushes_lease_held", float(self._holds()), "", ""
        yield "rushes_lease_epoch", self._lease.epoch, "", ""

    def _holds(self) -> bool:
        try:
            self._lease.check()
        except LeaseLost:
            return False
        return True

    def _add(self, name: str, amount: float, **labels: str) -> None:
        if amount > 0:
            bounded = tuple((label, self._bounded(f"{name}.{label}", value)) for label, value in labels.items())
            self._sums[name, bounded] += amount  # type: ignore[assignment]

    def _bounded(self, label: str, value: str) -> str:
        known = self._known[label]
        if value not in known and len(known) >= MOST_VALUES:
            return OTHER
        known.add(value)
        return value


_NOTHING = OperatorTally(clips=0, seconds=0.0)


def _facts(marker: Marker) -> Iterator[tuple[tuple[str, Labels], float]]:
    """Every counter of facts with its labels, and what a marker has of it."""
    for tier, count in marker.tiers.items():
        yield ("rushes_clips_total", (("state", "kept"), ("tier", tier))), count
    kept_without = marker.clips.get("kept", 0) - sum(marker.tiers.values())
    for state, count in {**marker.clips, "kept": kept_without}.items():
        yield ("rushes_clips_total", (("state", state), ("tier", ""))), count
    for status, count in marker.videos.items():
        yield ("rushes_videos_total", (("status", status),)), count
    for reason, count in marker.drop_reasons.items():
        yield ("rushes_drops_total", (("reason", reason),)), count
    for reason, count in marker.hq_drop_reasons.items():
        yield ("rushes_hq_drops_total", (("reason", reason),)), count
    for tally in marker.failures:
        yield ("rushes_failures_total", (("operator", tally.operator), ("kind", tally.kind))), tally.count
    yield ("rushes_video_seconds_total", ()), marker.video_seconds
    yield ("rushes_read_bytes_total", ()), marker.bytes_read


class Instruments:
    """Ray's counters, gauges and histograms by name. Silent without a running Ray, and after a first failure."""

    def __init__(self, labels: Labels) -> None:
        self._labels = dict(labels)
        self._made: dict[str, Any] = {}
        self._broken = False

    def tell(self, name: str, value: float, labels: Labels = ()) -> None:
        """Add to a counter, set a gauge or observe a histogram."""
        if self._broken:
            return
        try:
            self._tell(SERIES[name], value, dict(labels))
        except Exception as problem:  # whatever Ray's metrics do, the run goes on
            self._broken = True
            log.warning("no more metrics from this run: %s: %s", type(problem).__name__, problem)

    def _tell(self, series: Series, value: float, labels: dict[str, str]) -> None:
        import ray

        if not ray.is_initialized():
            return
        made = self._made.get(series.name) or self._make(series)
        record = {"counter": "inc", "gauge": "set", "histogram": "observe"}[series.kind]
        getattr(made, record)(value, tags=labels)

    def _make(self, series: Series) -> Any:
        from ray.util.metrics import Counter, Gauge, Histogram

        keys = ("job_name", "run", *series.labels)
        if series.kind == "histogram":
            made = Histogram(series.name, series.about, boundaries=list(PARTITION_BUCKETS), tag_keys=keys)
        else:
            made = (Counter if series.kind == "counter" else Gauge)(series.name, series.about, tag_keys=keys)
        self._made[series.name] = made.set_default_tags(self._labels)
        return made
