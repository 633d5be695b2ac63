"""Markers: the one PUT that commits a partition, and what the whole run amounts to.

A marker names the shards of its partition and counts everything in them. What no marker names does
not exist. The highest generation of a partition wins.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from operators.errors import LeaseLost, StorageError
from store.layout import SUCCESS, MarkerKey, ShardKind, marker_key, parse_marker_key, parse_shard_key
from store.objects import ObjectMissing, ObjectStore
from store.threads import in_threads

ATTEMPTS = 5  # tries of a marker's PUT whose answer is unclear

_Count = NonNegativeInt
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ShardEntry(_Part):
    """A shard as its marker names it. `exclude`: sorted numbers of the rows that readers skip."""

    kind: ShardKind
    key: str
    rows: _Count
    bytes: _Count
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    exclude: tuple[_Count, ...] = ()

    @model_validator(mode="after")
    def _inside_the_layout(self) -> ShardEntry:
        parts = parse_shard_key(self.key)
        if parts is None or parts.kind != self.kind:
            raise ValueError(f"{self.key!r:.200} is not the key of a {self.kind} shard")
        if any(a >= b for a, b in zip(self.exclude, self.exclude[1:], strict=False)):
            raise ValueError("exclude is not sorted, or names a row twice")
        if self.exclude and self.exclude[-1] >= self.rows:
            raise ValueError(f"exclude names row {self.exclude[-1]} of {self.rows}")
        return self


class OperatorTally(_Part):
    """What an operator did in a partition: clips annotated, and seconds of wall clock spent.

    `tokens_in` and `tokens_out` are the tokens of prompts and of answers, of operators that ask a chat model.
    Markers from before they were counted have none.

    `actor_seconds` is time of its actors, where these work on several batches at once: of every moment, each batch
    has its share. None where they do not, for then it is `seconds`. `reserved_seconds` is how long the actors of its
    stage were there for this partition, at work or not; the first operator of a stage tells it.
    """

    clips: _Count
    seconds: _Seconds
    tokens_in: _Count = 0
    tokens_out: _Count = 0
    actor_seconds: _Seconds | None = None
    reserved_seconds: _Seconds = 0.0

    def __add__(self, other: OperatorTally) -> OperatorTally:
        return OperatorTally(
            clips=self.clips + other.clips,
            seconds=round(self.seconds + other.seconds, 4),
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            actor_seconds=_added(self.actor_seconds, other.actor_seconds),
            reserved_seconds=round(self.reserved_seconds + other.reserved_seconds, 4),
        )


def _added(one: float | None, other: float | None) -> float | None:
    return None if one is None and other is None else round((one or 0.0) + (other or 0.0), 4)


class FailureTally(_Part):
    """Failures of one operator and kind, with the message of one of them."""

    operator: str
    kind: str
    count: PositiveInt
    example: str


class Marker(_Part):
    """The commit of one generation of a partition.

    `videos` counts by done, partial, failed; `clips` by kept, dropped, failed. `video_seconds` is the
    running time of the videos, `bytes_read` their size, `started` and `committed` are seconds since 1970.
    """

    format: Literal[1] = 1
    partition: _Count
    generation: PositiveInt
    epoch: _Count
    nonce: str
    fingerprint: str
    shards: tuple[ShardEntry, ...]
    videos: dict[Literal["done", "partial", "failed"], _Count]
    clips: dict[Literal["kept", "dropped", "failed"], _Count]
    tiers: dict[str, _Count]
    drop_reasons: dict[str, _Count]
    hq_drop_reasons: dict[str, _Count]
    failures: tuple[FailureTally, ...]
    operators: dict[str, OperatorTally]
    video_seconds: _Seconds
    bytes_read: _Count
    started: _Seconds
    committed: _Seconds

    @model_validator(mode="after")
    def _own_shards_once(self) -> Marker:
        keys = [shard.key for shard in self.shards]
        if len(set(keys)) != len(keys):
            raise ValueError("a shard is named twice")
        for key in keys:
            parts = parse_shard_key(key)
            if parts is None or parts.partition != self.partition:
                raise ValueError(f"{key!r:.200} is not in partition {self.partition}")
        return self


class CommitLost(LeaseLost):
    """Another driver's marker stands where this one should; `winner` is that marker.

    When `winner.epoch` is older than one's own, it is a late commit of the driver that was taken over:
    the partition is committed, and the lease is still held.
    """

    def __init__(self, key: str, winner: Marker, epoch: int) -> None:
        super().__init__(f"{key} was committed by epoch {winner.epoch}, not by this driver (epoch {epoch})")
        self.winner = winner


class _Success(_Part):
    format: Literal[1] = 1
    generations: dict[_Count, PositiveInt]


def write_marker(store: ObjectStore, marker: Marker) -> None:
    """Commit a partition by one create-only PUT.

    Where the answer is unclear (a time-out, a reset, 409 or 412 after a repeated request) the marker is
    read back: one's own nonce is success. Raises `CommitLost` (a `LeaseLost`) naming the other's epoch,
    and `StorageError` when nothing could be written.
    """
    key = marker_key(marker.partition, marker.generation)
    data = marker.model_dump_json().encode()
    problem = StorageError(f"{key} could not be written: the store neither takes nor shows it")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if store.create(key, data):
                return
        except StorageError as unclear:
            problem = unclear
        try:
            winner = read_marker(store, marker.partition, marker.generation)
        except ObjectMissing:
            winner = None
        except StorageError as unclear:
            winner, problem = None, unclear
        if winner is not None:
            if winner.nonce == marker.nonce:
                return
            raise CommitLost(key, winner, marker.epoch)
        if attempt < ATTEMPTS:
            time.sleep(random.uniform(0, 0.1 * 2**attempt))
    raise problem


def latest_generations(store: ObjectStore) -> dict[int, int]:
    """Partition → its highest generation, in order of partitions, from one listing."""
    return {partition: generations[-1] for partition, generations in all_generations(store).items()}


def all_generations(store: ObjectStore) -> dict[int, list[int]]:
    """Partition → every generation of it, ascending, in order of partitions, from one listing."""
    found: dict[int, list[int]] = {}
    for item in store.list("commits/"):
        if parts := parse_marker_key(item.key):
            found.setdefault(parts.partition, []).append(parts.generation)
    return {partition: sorted(found[partition]) for partition in sorted(found)}


def read_marker(store: ObjectStore, partition: int, generation: int) -> Marker:
    """One marker. Raises `StorageError` naming the key when it is missing, corrupt or points elsewhere."""
    key = marker_key(partition, generation)
    try:
        marker = Marker.model_validate_json(store.get(key))
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole marker"
        raise StorageError(f"{key} cannot be trusted: {where}: {first['msg']}") from problem
    if MarkerKey(marker.partition, marker.generation) != MarkerKey(partition, generation):
        raise StorageError(f"{key} cannot be trusted: it commits {marker.partition}/{marker.generation}")
    return marker


def read_markers(store: ObjectStore, generations: Mapping[int, int] | None = None) -> dict[int, Marker]:
    """Partition → marker, in order of partitions; by default the latest of each, listed first.

    Raises `StorageError` naming the first marker that cannot be read.
    """
    wanted = sorted((latest_generations(store) if generations is None else generations).items())
    markers = in_threads(lambda item: read_marker(store, *item), wanted)
    return {marker.partition: marker for marker in markers}


def write_success(store: ObjectStore, generations: Mapping[int, int]) -> None:
    """Write `_SUCCESS`: every partition is committed, and these are the generations."""
    store.put(SUCCESS, _Success(generations=dict(sorted(generations.items()))).model_dump_json().encode())


def read_success(store: ObjectStore) -> dict[int, int] | None:
    """Partition → generation as `_SUCCESS` names them, or None. Raises `StorageError` when it is corrupt."""
    try:
        return dict(_Success.model_validate_json(store.get(SUCCESS)).generations)
    except ObjectMissing:
        return None
    except ValidationError as problem:
        raise StorageError(f"{SUCCESS} cannot be read: {problem.errors(include_url=False)[0]['msg']}") from problem
