"""Commits partitions as they complete, and counts what is committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from time import time

from pipeline.compact import compact
from pipeline.ledger import Ledger
from pipeline.opening import partition_ids
from pipeline.receipt import Receipt
from store.lease import Lease
from store.markers import CommitLost, FailureTally, Marker, write_marker
from store.objects import ObjectStore


class Committer:
    """Holds the ledgers of open partitions. A ledger is freed at the commit, of which `on_commit` is told."""

    def __init__(
        self,
        store: ObjectStore,
        lease: Lease,
        fingerprint: str,
        generations: Mapping[int, int],
        footer: Mapping[str, str],
    ) -> None:
        self._store = store
        self._lease = lease
        self._fingerprint = fingerprint
        self._footer = footer
        self._started: dict[int, float] = {}
        self.generations = dict(generations)
        self.ledgers: dict[int, Ledger] = {}
        self.committed: set[int] = set()
        self.on_commit: Callable[[Marker], None] | None = None

    def ledger(self, partition: int) -> Ledger:
        """The ledger of an open partition, begun where there is none."""
        if partition not in self.ledgers:
            self.ledgers[partition] = Ledger(partition, partition_ids(self._store, partition))
            self._started[partition] = time()
        return self.ledgers[partition]

    def take(self, receipt: Receipt) -> Marker | None:
        """Account for a receipt; the marker, where that completed its partition.

        Raises `LeaseLost` where another driver has taken over.
        """
        if receipt.partition in self.committed:
            return None
        ledger = self.ledger(receipt.partition)
        ledger.add_receipt(receipt)
        return self.commit(receipt.partition) if ledger.complete() else None

    def commit(self, partition: int) -> Marker:
        """Write the marker of a complete partition and free its ledger."""
        self._lease.confirm()
        marker = self._marker(self.ledgers[partition])
        self._lease.confirm()
        try:
            write_marker(self._store, marker)
        except CommitLost as lost:
            if lost.winner.epoch > self._lease.epoch:
                raise
            marker = lost.winner
        self.generations[partition] = marker.generation
        self.committed.add(partition)
        del self.ledgers[partition]
        if self.on_commit is not None:
            self.on_commit(marker)
        return marker

    def _marker(self, ledger: Ledger) -> Marker:
        order = {video_id: number for number, video_id in enumerate(ledger.videos)}
        takes = {video_id: state.take for video_id, state in ledger.videos.items() if state.take}
        shards = compact(self._store, ledger.partition, ledger.shards(), order, self._footer, takes)
        return Marker(
            partition=ledger.partition,
            generation=self.generations.get(ledger.partition, 0) + 1,
            epoch=self._lease.epoch,
            nonce=self._lease.nonce,
            fingerprint=self._fingerprint,
            shards=shards,
            videos=ledger.video_counts(),
            clips=ledger.clip_counts(),
            tiers=ledger.tiers(),
            drop_reasons=ledger.drop_reasons(),
            hq_drop_reasons=ledger.hq_drop_reasons(),
            failures=ledger.failures(),
            operators=ledger.operators(),
            video_seconds=ledger.video_seconds(),
            bytes_read=ledger.bytes_read(),
            started=self._started[ledger.partition],
            committed=time(),
        )


class Account:
    """Sums over markers and open ledgers: what a run has done so far."""

    def __init__(self) -> None:
        self.videos: Counter[str] = Counter()
        self.clips: Counter[str] = Counter()
        self.tiers: Counter[str] = Counter()
        self.drop_reasons: Counter[str] = Counter()
        self.video_seconds = 0.0
        self._failures: dict[tuple[str, str], FailureTally] = {}

    def add(self, work: Marker | Ledger) -> None:
        """Add a committed partition, or what is known of an open one."""
        if isinstance(work, Ledger):
            counts = work.counts()
            self.videos.update(counts.videos)
            self.clips.update(counts.clips)
            self.video_seconds += counts.seconds
            return
        self.videos.update(work.videos)
        self.clips.update(work.clips)
        self.tiers.update(work.tiers)
        self.drop_reasons.update(work.drop_reasons)
        self.video_seconds += work.video_seconds
        for tally in work.failures:
            known = self._failures.get((tally.operator, tally.kind))
            count = tally.count + (known.count if known else 0)
            self._failures[tally.operator, tally.kind] = (known or tally).model_copy(update={"count": count})

    def failures(self) -> tuple[FailureTally, ...]:
        """Errors by operator and kind, most frequent first."""
        return tuple(sorted(self._failures.values(), key=lambda tally: (-tally.count, tally.operator, tally.kind)))

    def plus(self, ledgers: Mapping[int, Ledger]) -> Account:
        """A copy with the open partitions added."""
        total = Account()
        total.videos, total.clips = Counter(self.videos), Counter(self.clips)
        total.video_seconds = self.video_seconds
        for ledger in ledgers.values():
            total.add(ledger)
        return total
