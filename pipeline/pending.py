"""The partitions that a run has to do: which, from where earlier runs left them, and what is missing of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pipeline.attempts import Evidence
from pipeline.commit import Committer
from pipeline.ledger import Ledger
from pipeline.opening import Run, partition_ids
from pipeline.parking import Parking
from pipeline.receipt import Receipt
from pipeline.salvage import committed, salvage
from pipeline.source import Batch
from pipeline.voice import Voice
from pipeline.worker import WorkOrder
from store.lease import Lease
from store.markers import Marker, read_markers
from store.objects import ObjectStore
from store.run_record import RunRecord
from store.shards import read_shard
from store.status import begun_partitions


class Pending:
    """Partitions to do, each opened once: what earlier runs left of it goes into its ledger.

    A partition whose work fails in the driver loses its ledger, and is opened again from what storage holds, until
    it is parked (`pipeline.parking`).
    """

    def __init__(
        self,
        run: Run,
        store: ObjectStore,
        lease: Lease,
        record: RunRecord,
        order: WorkOrder,
        committer: Committer,
        voice: Voice,
    ) -> None:
        self._store, self._record, self._order, self._committer, self._voice = store, record, order, committer, voice
        self.parking = Parking(store, lease, run.retry_failed)
        markers = read_markers(store, committer.generations)
        self._redo = {
            partition: marker
            for partition, marker in markers.items()
            if run.retry_failed and (marker.videos["failed"] or marker.videos["partial"])
        }
        for partition, marker in markers.items():
            if partition not in self._redo:
                voice.account.add(marker)
                voice.resumed += sum(marker.videos.values())
        wanted = [p for p in range(record.n_partitions) if p not in markers or p in self._redo]
        self.stay_parked = [p for p in wanted if p in self.parking.parked]
        self.partitions = [p for p in wanted if p not in self.parking.parked]
        some_done = len(wanted) < record.n_partitions or bool(markers)
        self._begun = begun_partitions(store) if some_done or lease.epoch > 1 else set()
        self._unopened = {*self._redo, *self._begun} & set(self.partitions)

    @property
    def redo(self) -> Mapping[int, Marker]:
        """The markers of committed partitions that are done again."""
        return self._redo

    def open(self) -> None:
        """Take over what earlier runs left."""
        for partition in self._redo:
            if any(entry.kind == "verdicts" for entry in self._redo[partition].shards):
                self._voice.note(f"partition {partition} was rejudged; run jobs.rejudge again after this run")
        taken = sum(self._open(partition) for partition in sorted(self._unopened))
        if taken:
            self._voice.note(f"took over {taken} shards that an interrupted run left behind")

    def batches(self) -> list[Batch]:
        """What to feed in the first pass; commits what is complete without it."""
        batches = []
        for partition in self.partitions:
            ledger = self._committer.ledgers.get(partition)
            if partition in self._unopened:
                continue  # it failed just now, and is tried again after the pass
            if ledger is None:
                batches.append(Batch(partition=partition, n_videos=self._record.videos_in(partition)))
            elif ledger.complete():
                self._commit(partition)
            else:
                batches.append(batch_of(ledger, ledger.missing()))
        return batches

    def missing(self) -> dict[int, list[str]]:
        """Videos that are still missing, by partition; commits what is complete, parks what fails too often."""
        missing = {}
        for partition in self.partitions:
            while partition not in self._committer.committed and partition not in self.parking.parked:
                videos = self._missing(partition)
                if videos is not None:
                    missing[partition] = videos
                    break
                self.parking.pause(partition)
        return {partition: videos for partition, videos in missing.items() if videos}

    def park(self, partition: int, reason: str) -> None:
        """Leave a partition alone."""
        self._committer.ledgers.pop(partition, None)
        self.parking.park(partition, reason)

    def left(self) -> int:
        """Partitions that are neither committed nor parked yet."""
        return len(set(self.partitions) - self._committer.committed - set(self.parking.parked))

    def take(self, receipt: Receipt) -> None:
        """Account for a receipt, and commit the partition that it completes.

        After a failure of its partition a receipt is left out: storage is then asked for everything again.
        """
        if receipt.partition in self._unopened:
            return
        marker = None
        with self.trying(receipt.partition):
            marker = self._committer.take(receipt)
        if marker is not None:
            self._note(marker)

    def close(self) -> None:
        """Count the earlier commits of partitions whose second try was parked: those stand."""
        for partition in set(self._redo) & set(self.parking.parked) - self._committer.committed:
            self._voice.account.add(self._redo[partition])

    @contextmanager
    def trying(self, partition: int) -> Iterator[None]:
        """Work of the driver on one partition. Where it fails, the ledger is dropped and the failure counted."""
        done = False
        with self.parking.guarding(partition):
            yield
            done = True
        if not done:
            self._committer.ledgers.pop(partition, None)
            self._unopened.add(partition)

    def _missing(self, partition: int) -> list[str] | None:
        """What is missing of a partition, nothing where it was committed, None where that failed."""
        if partition in self._unopened:
            self._open(partition)
        found: list[str] | None = None
        if partition not in self._unopened:
            with self.trying(partition):
                ledger = self._committer.ledger(partition)
                found = ledger.missing()
        if found == [] and not self._commit(partition):
            return None
        return found

    def _commit(self, partition: int) -> bool:
        marker = None
        with self.trying(partition):
            marker = self._committer.commit(partition)
        if marker is None:
            return False
        self._note(marker)
        return True

    def _note(self, marker: Marker) -> None:
        self._voice.account.add(marker)
        self.parking.settle(marker.partition)

    def _open(self, partition: int) -> int:
        """Fill the ledger of a partition from storage; how many shards were taken over."""
        taken = 0
        self._unopened.discard(partition)
        with self.trying(partition):
            ledger = self._committer.ledger(partition)
            if partition in self._redo:
                marker = self._redo[partition]
                whole = _whole_videos(self._store, marker)
                committed(self._store, ledger, marker, lambda video_id: video_id not in whole)
                salvage(self._store, ledger, self._order.footer, lambda video_id: video_id not in whole)
            else:
                taken = salvage(self._store, ledger, self._order.footer)
        return taken


def batch_of(
    ledger: Ledger, videos: Sequence[str], evidence: Mapping[str, Evidence] | None = None, alone: bool = False
) -> Batch:
    """The named videos of a partition, with what storage already holds of each."""
    known = {}
    for video_id in videos:
        state = ledger.videos[video_id]
        have = {index: span for index, span in state.spans.items() if index >= 0}
        strikes = evidence[video_id].strikes if evidence else 0
        known[video_id] = {"have": have, "take": state.take, "strikes": strikes, "alone": alone}
    return Batch(partition=ledger.partition, n_videos=len(videos), only=frozenset(videos), known=known)


def _whole_videos(store: ObjectStore, marker: Marker) -> frozenset[str]:
    """Videos of a committed partition without any error."""
    hurt: set[str] = set()
    for entry in marker.shards:
        if entry.kind == "failed":
            hurt.update(read_shard(store, entry, ["video_id"])["video_id"].to_pylist())
    return frozenset(set(partition_ids(store, marker.partition)) - hurt)
