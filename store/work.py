"""What a run's partitions hold and what they cost, from markers and sessions.

A partition may have been worked on several times. What it holds is told by its latest marker; what was
spent on it by all of them, but for those of `jobs.rejudge`, which repeat the marker before them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from store.markers import Marker, all_generations, read_marker
from store.objects import ObjectStore
from store.sessions import Session, StageRecord
from store.shards import read_shard
from store.threads import in_threads

UNKNOWN_STAGE = StageRecord(operators=(), cpus=1, gpus=0)
"""What an operator is held to occupy where no session tells: runs from before sessions were recorded."""


@dataclass(frozen=True, kw_only=True)
class OperatorWork:
    """What an operator did and used.

    `seconds` is wall-clock time in the operator, summed over the batches that an actor works on at once;
    `actor_seconds` is time of its actors (where batches overlap in an actor, their share of it). `cpu_seconds`
    and `gpu_seconds` are actor-seconds times what the actor occupies. `reserved_seconds` is how long the actors of
    its stage were there, idle or not; the first operator of a stage tells it.
    """

    clips: int = 0
    seconds: float = 0.0
    actor_seconds: float = 0.0
    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    reserved_seconds: float = 0.0

    def __add__(self, other: OperatorWork) -> OperatorWork:
        return OperatorWork(**{name: getattr(self, name) + getattr(other, name) for name in vars(self)})


@dataclass(frozen=True, kw_only=True)
class PartitionWork:
    """A committed partition: its latest marker, and what was spent on it.

    `passes` counts the times that it was worked on; `again` the clips that were cut more often than once. Nobody
    knows what `unmetered` clips cost: they were taken over from a driver that died before the commit, or from
    another run (`--reuse`). `asked` are the tokens (of prompts, of answers) that servers were asked, by URL.
    """

    marker: Marker
    operators: Mapping[str, OperatorWork] = field(default_factory=dict)
    asked: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    passes: int = 1
    again: int = 0
    unmetered: int = 0

    @property
    def clips(self) -> int:
        """Clips accounted for: kept, dropped and failed."""
        return sum(self.marker.clips.values())

    @property
    def bytes_written(self) -> int:
        """Bytes of the shards that the marker names."""
        return sum(shard.bytes for shard in self.marker.shards)

    def total(self) -> OperatorWork:
        """The sum over the operators."""
        return sum(self.operators.values(), OperatorWork())


def read_work(store: ObjectStore, splitter: str, sessions: Iterable[Session]) -> list[PartitionWork]:
    """Every committed partition, in order. `splitter` is the operator that cuts videos into clips.

    Raises `StorageError` for a marker that cannot be read.
    """
    generations = all_generations(store)
    places = [(partition, number) for partition, numbers in generations.items() for number in numbers]
    markers: dict[int, list[Marker]] = {partition: [] for partition in generations}
    for marker in in_threads(lambda place: read_marker(store, *place), places):
        markers[marker.partition].append(marker)
    by_nonce = {session.nonce: session for session in sessions}
    return [partition_work(found, splitter, by_nonce) for found in markers.values()]


def partition_work(markers: Iterable[Marker], splitter: str, sessions: Mapping[str, Session]) -> PartitionWork:
    """The work on one partition from all its markers, in order of generations, and the sessions by nonce."""
    *_, latest = every = list(markers)
    passes = {(marker.started, marker.committed): marker for marker in reversed(every)}  # the first of equals
    operators: dict[str, OperatorWork] = {}
    asked: dict[str, tuple[int, int]] = {}
    cut = 0
    for marker in passes.values():
        session = sessions.get(marker.nonce)
        for name, tally in marker.operators.items():
            stage = (session.stage_of(name) if session else None) or UNKNOWN_STAGE
            told = tally.actor_seconds  # old markers do not tell: full engines are the least that it was
            actor_seconds = tally.seconds / stage.concurrency if told is None else told
            done = OperatorWork(
                clips=tally.clips,
                seconds=tally.seconds,
                actor_seconds=actor_seconds,
                cpu_seconds=actor_seconds * stage.cpus,
                gpu_seconds=actor_seconds * stage.gpus,
                tokens_in=tally.tokens_in,
                tokens_out=tally.tokens_out,
                reserved_seconds=tally.reserved_seconds,
            )
            operators[name] = operators.get(name, OperatorWork()) + done
            if url := stage.endpoints.get(name):
                before = asked.get(url, (0, 0))
                asked[url] = (before[0] + done.tokens_in, before[1] + done.tokens_out)
        cut += marker.operators[splitter].clips if splitter in marker.operators else 0
    clips = sum(latest.clips.values())
    return PartitionWork(
        marker=latest,
        operators=operators,
        asked=asked,
        passes=len(passes),
        again=max(0, cut - clips),
        unmetered=max(0, clips - cut),
    )


def video_lengths(store: ObjectStore, work: Iterable[PartitionWork]) -> list[float]:
    """Running times in seconds of all committed videos that have one, from the video records."""
    entries = [entry for part in work for entry in part.marker.shards if entry.kind == "videos"]
    tables = in_threads(lambda entry: read_shard(store, entry, ["video_duration"]), entries)
    return [length for table in tables for length in table["video_duration"].to_pylist() if length]


def objects_written(store: ObjectStore) -> int:
    """Objects that the run wrote and that are still there; `jobs.clean` removes most of them."""
    kinds = ("attempts", "clips", "videos", "failed", "commits", "manifest")
    return sum(1 for kind in kinds for _ in store.list(f"{kind}/"))
