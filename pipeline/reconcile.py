"""Passes over what is missing: videos that vanished run again, the suspects among them alone.

A video vanishes when its block was dropped or its worker died too often for Ray. The equations of the
ledger find it; the attempts that were written down before they started tell what to do with it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence

from operators.errors import EngineError, RowError
from pipeline.attempts import Evidence, read_attempts, weigh
from pipeline.chain import Stage
from pipeline.cluster import Capacity
from pipeline.commit import Committer
from pipeline.graph import receipts
from pipeline.ledger import Ledger
from pipeline.losses import Losses
from pipeline.meter import Meter
from pipeline.pending import Pending, batch_of
from pipeline.receipt import Receipt
from pipeline.salvage import salvage
from pipeline.source import Batch
from pipeline.watchdog import Watchdog
from pipeline.worker import Task, WorkOrder, new_writer, verdict
from store.manifest import read_partition

FRUITLESS = 3
"""Passes in a row without any attempt or result of a partition, after which it is given up."""


class Reconciler:
    """Runs the graph in passes until nothing is missing."""

    def __init__(
        self,
        order: WorkOrder,
        stages: Sequence[Stage],
        capacity: Capacity,
        committer: Committer,
        pending: Pending,
        watchdog: Watchdog,
    ) -> None:
        self._order, self._stages, self._capacity, self._committer = order, stages, capacity, committer
        self._pending, self._watchdog = pending, watchdog
        self._fruitless: Counter[int] = Counter()
        self._others: Counter[int] = Counter()
        self._last: dict[int, object] = {}
        self._losses = Losses()

    def first_pass(self, batches: Sequence[Batch], errored_blocks: int) -> Generator[Receipt]:
        """Everything that is pending, but those videos that earlier drivers died with."""
        kept = [self._without_suspects(batch) for batch in batches]
        if kept := [batch for batch in kept if batch.n_videos]:
            yield from self._receipts(kept, errored_blocks)

    def next_pass(self, missing: Mapping[int, Sequence[str]]) -> Generator[Receipt]:
        """What is missing, once more: verdicts first, then the others together, then the suspects alone.

        A partition of which passes bring neither results nor attempts is parked; raises `EngineError` where that is
        so of all of them.
        """
        self._losses.look(self._watchdog.evictions)
        missing = self._not_stored(missing)
        together, alone = [], []
        state = {p: self._evidence(p, videos, vanished=True) for p, videos in missing.items()}
        parked = self._park_fruitless(state)
        for partition, videos in missing.items():
            if partition in parked:
                continue
            ledger, evidence = self._committer.ledger(partition), state[partition]
            convicted = [v for v in videos if evidence[v].convicted]
            suspects = [v for v in videos if evidence[v].alone and not evidence[v].convicted]
            others = [v for v in videos if not evidence[v].alone]
            if convicted:
                receipts_of_verdicts: list[Receipt] = []
                with self._pending.trying(partition):
                    receipts_of_verdicts = list(self._verdicts(ledger, convicted, evidence))
                if not receipts_of_verdicts:
                    continue
                yield from receipts_of_verdicts
            if others:
                together.append(batch_of(ledger, others, evidence))
            if suspects:
                alone.append(batch_of(ledger, suspects, evidence, alone=True))
        n_videos = sum(len(videos) for videos in missing.values())
        for batches, lonely in ((together, False), (alone, True)):
            if batches:
                yield from self._receipts(batches, n_videos + 1, alone=lonely)

    def _receipts(self, batches: Sequence[Batch], errored_blocks: int, alone: bool = False) -> Iterator[Receipt]:
        graph = (self._order, self._stages, batches, self._capacity, self._watchdog)
        return receipts(*graph, errored_blocks=errored_blocks, alone=alone)

    def _not_stored(self, missing: Mapping[int, Sequence[str]]) -> dict[int, list[str]]:
        """What is missing in storage too: a receipt may be lost with a node after its shards were written."""
        left = {}
        for partition in missing:
            with self._pending.trying(partition):
                ledger = self._committer.ledger(partition)
                salvage(self._order.store, ledger, self._order.footer)
                if videos := ledger.missing():
                    left[partition] = videos
        return left

    def _without_suspects(self, batch: Batch) -> Batch:
        if batch.only is None:
            return batch
        evidence = self._evidence(batch.partition, sorted(batch.only), vanished=False)
        rest = batch.only - {video_id for video_id, found in evidence.items() if found.alone}
        known = {
            video_id: {**batch.known.get(video_id, {}), "strikes": evidence[video_id].strikes} for video_id in rest
        }
        return Batch(partition=batch.partition, n_videos=len(rest), only=rest, known=known)

    def _evidence(self, partition: int, videos: Sequence[str], vanished: bool) -> dict[str, Evidence]:
        tries = defaultdict(list)
        settled = self._committer.ledger(partition).settled
        for attempt in read_attempts(self._order.store, partition, settled):
            tries[attempt.video_id].append(attempt)
        session = self._order.session
        lost = {v: self._losses.explain(tries[v]) if vanished else {} for v in videos}
        return {v: weigh(tries[v], session, vanished, lost[v]) for v in videos}

    def _verdicts(
        self, ledger: Ledger, convicted: Sequence[str], evidence: Mapping[str, Evidence]
    ) -> Iterator[Receipt]:
        entries = {entry.video_id: entry for entry in read_partition(self._order.store, ledger.partition)}
        rows = []
        for video_id in convicted:
            entry, state = entries[video_id], ledger.videos[video_id]
            ledger.withdraw(video_id)
            video = {"video_id": video_id, "uri": entry.uri, "size": entry.size, "etag": entry.etag}
            task = Task(partition=ledger.partition, video={**video, "extra": entry.extra}, have={})
            found = evidence[video_id]
            message = found.message or self._unwitnessed()
            error = RowError(operator="worker", kind=found.last_death, message=message)
            rows.append(verdict(task, error, state.spans, state.take))
        yield from new_writer(self._order, Meter([])).write(rows)

    def _unwitnessed(self) -> str:
        """What is known of a death that nobody saw: in a chain of stages, not even where it was."""
        if len(self._stages) == 1:
            return "the process that worked on this video was killed or crashed"
        names = ", ".join(stage.name for stage in self._stages)
        return f"a process that worked on this video or on its clips was killed or crashed, in one of: {names}"

    def _park_fruitless(self, state: Mapping[int, Mapping[str, Evidence]]) -> set[int]:
        """Park the partitions of which nothing was even begun in `FRUITLESS` passes, while others were committed.

        Raises `EngineError` where no other was: workers cannot start at all.
        """
        for partition, evidence in state.items():
            if self._last.get(partition) == evidence:
                self._fruitless[partition] += 1
            else:
                self._fruitless[partition] = 0
                if partition in self._last:
                    self._others[partition] = len(self._committer.committed)
        self._last = dict(state)
        stuck = {partition for partition in state if self._fruitless[partition] >= FRUITLESS}
        for partition in stuck:
            if len(self._committer.committed) == self._others[partition]:
                raise EngineError(
                    "workers end before they begin a video; Ray's session log of the workers says why. "
                    "What is committed stays: run the same command to go on"
                )
            self._pending.park(partition, "workers end before they begin a video of it; Ray's session log says why")
        return stuck
