"""The state of a run, from listings and markers alone: no shard is opened."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from operators.errors import ConfigurationError, StorageError
from store.layout import LEASE, SHARD_KINDS, parse_partition
from store.lease import read_lease
from store.markers import FailureTally, Marker, OperatorTally, latest_generations, read_marker, read_success
from store.objects import ObjectMissing, ObjectStore
from store.parking import PartitionFailures, read_failures
from store.run_record import Append, RunRecord, read_run
from store.threads import in_threads

PartitionState = Literal["done", "running", "failed", "pending"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """A run as its markers tell it.

    `partitions` counts by state: done (committed), running (begun, and a driver is at work), failed
    (begun, and no driver is at work: the run was stopped or could not commit; or `parked`, because it failed
    again and again), pending (not begun).
    `with_failures` are committed partitions in which some video or clip failed. `videos` and `clips` count
    by state, `failures` come most frequent first. `active_seconds` is the time in which at least one
    committed partition was being worked on; pauses between runs do not count. `unreadable` names the
    markers that cannot be trusted, `complete` says that `_SUCCESS` was written and names every partition, also
    those of `appended`, by which the run has grown. Times are epoch seconds.
    """

    job: str
    input: str
    appended: tuple[Append, ...]
    output: str
    created: str
    writer: str | None
    complete: bool
    n_partitions: int
    n_videos: int
    partitions: dict[PartitionState, int]
    parked: tuple[PartitionFailures, ...]
    with_failures: int
    videos: dict[str, int]
    clips: dict[str, int]
    tiers: dict[str, int]
    drop_reasons: dict[str, int]
    hq_drop_reasons: dict[str, int]
    failures: tuple[FailureTally, ...]
    operators: dict[str, OperatorTally]
    video_seconds: float
    bytes_read: int
    active_seconds: float
    last_commit: float | None
    unreadable: tuple[str, ...]

    @property
    def videos_per_second(self) -> float | None:
        """Committed videos per active second; None before the first commit."""
        committed = sum(count for state, count in self.videos.items() if state != "pending")
        return committed / self.active_seconds if self.active_seconds else None

    @property
    def clips_per_second(self) -> float | None:
        """Committed clips (kept, dropped and failed) per active second; None before the first commit."""
        return sum(self.clips.values()) / self.active_seconds if self.active_seconds else None

    def as_dict(self) -> dict[str, Any]:
        """JSON values only, for `--json`."""
        return {
            **asdict(replace(self, failures=(), operators={}, appended=(), parked=())),
            "appended": [append.model_dump(exclude={"format", "nonce"}) for append in self.appended],
            "parked": [f.model_dump(include={"partition", "failures", "reason"}) for f in self.parked],
            "failures": [tally.model_dump() for tally in self.failures],
            "operators": {name: tally.model_dump() for name, tally in self.operators.items()},
            "unreadable": list(self.unreadable),
            "videos_per_second": self.videos_per_second,
            "clips_per_second": self.clips_per_second,
        }


def scan(store: ObjectStore, *, now: float | None = None) -> Status:
    """The run's state: one listing of the commits, their markers, and, while partitions are open, which
    of them have folders.

    Args:
        now: epoch seconds, to judge whether the lease is alive; by default this machine's clock.

    Raises `ConfigurationError` where there is no run and `StorageError` where it cannot be read.
    """
    generations = latest_generations(store)  # before the run, which may grow: every marker is then of its partitions
    run = read_run(store)
    if run is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    read = in_threads(lambda item: _read(store, item), generations.items())
    markers = [found for found in read if isinstance(found, Marker)]
    unreadable = tuple(found for found in read if isinstance(found, str))
    writer = _writer(store, time.time() if now is None else now)
    unfinished = len(generations) < run.n_partitions
    parked = [f for f in read_failures(store).values() if f.parked and f.partition not in generations]
    begun = begun_partitions(store) - set(generations) - {f.partition for f in parked} if unfinished else set()
    videos = _summed(marker.videos for marker in markers)
    return Status(
        job=run.job,
        input=run.input,
        appended=run.appended,
        output=store.url,
        created=run.created,
        writer=writer,
        complete=_complete(store, run),
        n_partitions=run.n_partitions,
        n_videos=run.n_videos,
        partitions={
            "done": len(generations),
            "running": len(begun) if writer else 0,
            "failed": len(parked) + (0 if writer else len(begun)),
            "pending": max(0, run.n_partitions - len(generations) - len(begun) - len(parked)),
        },
        parked=tuple(parked),
        with_failures=sum(bool(marker.failures) for marker in markers),
        videos={
            **{state: videos[state] for state in ("done", "partial", "failed")},
            "pending": max(0, run.n_videos - videos.total()),
        },
        clips={state: _summed(marker.clips for marker in markers)[state] for state in ("kept", "dropped", "failed")},
        tiers=_ranked(_summed(marker.tiers for marker in markers)),
        drop_reasons=_ranked(_summed(marker.drop_reasons for marker in markers)),
        hq_drop_reasons=_ranked(_summed(marker.hq_drop_reasons for marker in markers)),
        failures=merge_failures(tally for marker in markers for tally in marker.failures),
        operators=_operators(markers),
        video_seconds=sum(marker.video_seconds for marker in markers),
        bytes_read=sum(marker.bytes_read for marker in markers),
        active_seconds=covered([(marker.started, marker.committed) for marker in markers]),
        last_commit=max((marker.committed for marker in markers), default=None),
        unreadable=unreadable,
    )


def begun_partitions(store: ObjectStore) -> set[int]:
    """Partitions of which anything is stored beside their manifest, committed or not.

    Asks for folders: small shards stay until `jobs.clean`, and a large run has a million of them.
    """
    kinds = (*SHARD_KINDS, "attempts")
    found = (parse_partition(name) for kind in kinds for name in store.folders(f"{kind}/"))
    return {partition for partition in found if partition is not None}


def merge_failures(tallies: Iterable[FailureTally]) -> tuple[FailureTally, ...]:
    """One tally per operator and kind with the first example, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for tally in tallies:
        counts[tally.operator, tally.kind] += tally.count
        examples.setdefault((tally.operator, tally.kind), tally.example)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        FailureTally(operator=operator, kind=kind, count=count, example=examples[operator, kind])
        for (operator, kind), count in ranked
    )


def covered(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of [start, end] spans; a span that ends before it starts is empty."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        if end > max(start, reached):
            total += end - max(start, reached)
            reached = end
    return total


def _read(store: ObjectStore, item: tuple[int, int]) -> Marker | str:
    try:
        return read_marker(store, *item)
    except ObjectMissing:
        raise
    except StorageError as problem:
        return str(problem)


def _writer(store: ObjectStore, now: float) -> str | None:
    """Who writes to this output at the moment, as far as the lease's age tells; for people, never for commits."""
    found = read_lease(store)
    if found is None or found[0].released:
        return None
    facts = store.head(LEASE)
    if facts is None or now - facts.modified > 2 * found[0].term:
        return None
    return f"{found[0].job or 'a run'} of {found[0].holder}, since {found[0].acquired}"


def _complete(store: ObjectStore, run: RunRecord) -> bool:
    try:
        named = read_success(store)
    except StorageError:  # jobs.verify says what is wrong with it
        return False
    return named is not None and len(named) == run.n_partitions


def _operators(markers: Sequence[Marker]) -> dict[str, OperatorTally]:
    clips: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for marker in markers:
        for name, tally in marker.operators.items():
            clips[name] += tally.clips
            seconds[name] = seconds.get(name, 0.0) + tally.seconds
    return {name: OperatorTally(clips=clips[name], seconds=round(seconds[name], 3)) for name in seconds}


def _summed(counts: Iterable[dict[Any, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total


def _ranked(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
