"""Partitions that fail again and again: how often, and why, in `parked/00017.json`.

The record lives from a partition's first failure to its commit, so that a run that is started again goes on
counting. It is evidence, not a verdict of readers: what counts for them are markers.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError

from store.layout import parked_key, parse_parked_key
from store.objects import ObjectMissing, ObjectStore
from store.threads import in_threads

TRIES = 3
"""Failures after which a partition is parked."""

REASON_LIMIT = 500
"""Characters of a reason."""


class PartitionFailures(BaseModel):
    """A partition's failures since its last commit; `reason` is that of the last one, on one line."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    partition: int
    failures: PositiveInt
    reason: str
    epoch: int

    @property
    def parked(self) -> bool:
        """Whether it is left alone until somebody asks for it."""
        return self.failures >= TRIES


def read_failures(store: ObjectStore) -> dict[int, PartitionFailures]:
    """Partition → its failures. A record that is not whole is no evidence and is left out."""
    partitions = sorted(p for info in store.list("parked/") if (p := parse_parked_key(info.key)) is not None)
    found = in_threads(lambda partition: _read(store, partition), partitions)
    return {failures.partition: failures for failures in found if failures is not None}


def write_failures(store: ObjectStore, failures: PartitionFailures) -> None:
    """Put a partition's record, over the earlier one."""
    store.put(parked_key(failures.partition), (failures.model_dump_json(indent=1) + "\n").encode())


def forget_failures(store: ObjectStore, partition: int) -> None:
    """Remove a partition's record: it was committed."""
    store.delete([parked_key(partition)])


def one_line(text: str) -> str:
    """`text` as a reason: without line breaks, cut to `REASON_LIMIT`."""
    words = " ".join(text.split())
    return words if len(words) <= REASON_LIMIT else f"{words[: REASON_LIMIT - 1]}…"


def _read(store: ObjectStore, partition: int) -> PartitionFailures | None:
    try:
        found = PartitionFailures.model_validate_json(store.get(parked_key(partition)))
    except (ValidationError, ObjectMissing):
        return None
    return found if found.partition == partition else None
