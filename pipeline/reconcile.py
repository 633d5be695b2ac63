"""Passes over what is missing: videos that vanished run again, the suspects among them alone.

A video vanishes when its block was dropped or its worker died too often for Ray. The equations of the
ledger find it; the attempts that were written down before they started tell what to do with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence

from operators.errors import EngineError, RowError
from pipeline.attempts import Evidence, read_attempts, weigh
from pipeline.chain import Stage
from pipeline.cluster import Capacity
from pipeline.commit import Committer
from pipeline.graph import receipts
from pipeline.ledger import Ledger
from pipeline.meter import Meter
from pipeline.receipt import Receipt
from pipeline.source import Batch
from pipeline.watchdog import Watchdog
from pipeline.worker import Task, WorkOrder, new_writer, verdict
from store.manifest import read_partition

FRUITLESS = 3
"""Passes in a row without any attempt or result, after which workers are held unable to start."""


class Reconciler:
    """Runs the graph in passes until nothing is missing."""

    def __init__(
        self,
        order: WorkOrder,
        stages: Sequence[Stage],
        capacity: Capacity,
        committer: Committer,
        watchdog: Watchdog,
    ) -> None:
        self._order, self._stages, self._capacity, self._committer = order, stages, capacity, committer
        self._watchdog = watchdog
        self._fruitless = 0
        self._last: object = None

    @staticmethod
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

    def first_pass(self, batches: Sequence[Batch], errored_blocks: int) -> Generator[Receipt]:
        """Everything that is pending, but those videos that earlier drivers died with."""
        kept = [self._without_suspects(batch) for batch in batches]
        if kept := [batch for batch in kept if batch.n_videos]:
            yield from self._receipts(kept, errored_blocks)

    def next_pass(self, missing: Mapping[int, Sequence[str]]) -> Generator[Receipt]:
        """What is missing, once more: verdicts first, then the others together, then the suspects alone.

        Raises `EngineError` when passes bring neither results nor attempts.
        """
        together, alone = [], []
        state: dict[tuple[int, str], Evidence] = {}
        for partition, videos in missing.items():
            ledger = self._committer.ledger(partition)
            evidence = self._evidence(partition, videos, vanished=True)
            state |= {(partition, video_id): found for video_id, found in evidence.items()}
            convicted = [v for v in videos if evidence[v].convicted]
            suspects = [v for v in videos if evidence[v].alone and not evidence[v].convicted]
            others = [v for v in videos if not evidence[v].alone]
            if convicted:
                yield from self._verdicts(ledger, convicted, evidence)
            if others:
                together.append(self.batch_of(ledger, others, evidence))
            if suspects:
                alone.append(self.batch_of(ledger, suspects, evidence, alone=True))
        self._watch(state)
        n_videos = sum(len(videos) for videos in missing.values())
        for batches, lonely in ((together, False), (alone, True)):
            if batches:
                yield from self._receipts(batches, n_videos + 1, alone=lonely)

    def _receipts(self, batches: Sequence[Batch], errored_blocks: int, alone: bool = False) -> Iterator[Receipt]:
        graph = (self._order, self._stages, batches, self._capacity, self._watchdog)
        return receipts(*graph, errored_blocks=errored_blocks, alone=alone)

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
        return {video_id: weigh(tries[video_id], self._order.session, vanished) for video_id in videos}

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

    def _watch(self, state: object) -> None:
        self._fruitless = self._fruitless + 1 if state == self._last else 0
        self._last = state
        if self._fruitless >= FRUITLESS:
            raise EngineError(
                "workers end before they begin a video; Ray's session log of the workers says why. "
                "What is committed stays: run the same command to go on"
            )
