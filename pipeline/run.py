"""Running a job: open the output, feed what is missing, commit what completes, reconcile what vanished."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from operators.errors import ConfigurationError, EngineError, LeaseLost, StorageError
from pipeline.chain import fingerprint, lineages
from pipeline.cluster import cluster, gpu_memory
from pipeline.commit import Committer
from pipeline.opening import Run, open_run, partition_ids
from pipeline.packing import check_memory
from pipeline.plan import Plan, plan
from pipeline.progress import Summary
from pipeline.receipt import Receipt
from pipeline.reconcile import Reconciler
from pipeline.salvage import CHAIN, PACKAGE, SCHEMA, committed, salvage
from pipeline.source import Batch
from pipeline.voice import Report, Voice
from pipeline.worker import WorkOrder
from pipeline.writer import ShardOptions
from store.lease import Lease
from store.markers import Marker, latest_generations, read_markers, write_success
from store.media import MediaOpener
from store.objects import ObjectStore, open_store
from store.run_record import package_version
from store.schema import SCHEMA_VERSION
from store.shards import read_shard
from store.status import begun_partitions

__all__ = ["Plan", "Run", "execute", "plan"]

LEAST_FUSE = 16
FUSE_SHARE = 0.05
"""Blocks that Ray may lose before the run stops: so many, or this share of the videos."""


def execute(run: Run, on_progress: Report | None = None) -> Summary:
    """Run the job until every video of the input is accounted for, or nothing more can be done.

    Raises `ConfigurationError` (nothing was started), `StorageError` (also `LeaseLost`) and
    `EngineError`. Whatever was raised, and after a kill, the same call resumes.
    """
    planned = plan(run)
    if run.partition_size < 1:
        raise ConfigurationError("--partition-size must be at least 1")
    store = open_store(run.output)
    voice = Voice(on_progress)
    voice.say("starting", f"opening {store.url}")
    lease = Lease.acquire(
        store,
        term=run.lease_term,
        take_over=run.take_over,
        on_wait=lambda why: voice.say("waiting", why),
        job=run.job,
    )
    with lease:
        if lease.warning:
            voice.note(lease.warning)
        return _Driver(run, planned, store, lease, voice).drive()


class _Driver:
    """One run of the graph over what is missing."""

    def __init__(self, run: Run, planned: Plan, store: ObjectStore, lease: Lease, voice: Voice) -> None:
        self._run, self._plan, self._store, self._lease, self._voice = run, planned, store, lease, voice
        self._record, reuse = open_run(run, store)
        chain = fingerprint(lineages(run.chain))
        self._order = WorkOrder(
            store=store,
            session=lease.nonce,
            epoch=lease.epoch,
            schema=planned.schema,
            footer={CHAIN: chain, PACKAGE: package_version(), SCHEMA: str(SCHEMA_VERSION)},
            options=ShardOptions(seconds=run.shard_seconds),
            open_media=MediaOpener(run.root()),
            reuse=reuse,
        )
        self._committer = Committer(store, lease, chain, latest_generations(store), self._order.footer)
        voice.record, voice.committer = self._record, self._committer

    def drive(self) -> Summary:
        """Everything after the output was opened."""
        pending = self._pending()
        self._voice.say("starting", f"{len(pending)} of {self._record.n_partitions} partitions to do")
        if pending:
            with cluster(self._run.address, self._run.cpus) as capacity, self._committing(pending):
                if any(stage.gpus for stage in self._plan.stages) and (memory := gpu_memory()) is not None:
                    check_memory(self._run.chain, memory)
                reconciler = Reconciler(self._order, self._plan.stages, capacity, self._committer)
                errored = max(LEAST_FUSE, int(self._record.n_videos * FUSE_SHARE))
                self._consume("running", reconciler.first_pass(self._batches(pending), errored))
                while missing := self._missing(pending):
                    self._voice.say(
                        "retrying", f"{sum(map(len, missing.values()))} videos vanished, trying them again"
                    )
                    self._consume("retrying", reconciler.next_pass(missing))
        uncommitted = tuple(sorted(set(range(self._record.n_partitions)) - set(self._committer.generations)))
        if not uncommitted:
            write_success(self._store, self._committer.generations)
        return self._summary(uncommitted)

    def _pending(self) -> list[int]:
        """Partitions to do, with ledgers for those that earlier runs began; the others are counted."""
        markers = read_markers(self._store, self._committer.generations)
        redo = {
            partition
            for partition, marker in markers.items()
            if self._run.retry_failed and (marker.videos["failed"] or marker.videos["partial"])
        }
        for partition, marker in markers.items():
            if partition in redo:
                self._reopen(partition)
                continue
            self._voice.account.add(marker)
            self._voice.resumed += sum(marker.videos.values())
        pending = [p for p in range(self._record.n_partitions) if p not in markers or p in redo]
        begun = (
            begun_partitions(self._store)
            if len(pending) < self._record.n_partitions or markers or self._lease.epoch > 1
            else set()
        )
        taken = 0
        for partition in sorted(begun & set(pending) - redo):
            taken += salvage(self._store, self._committer.ledger(partition), self._order.footer)
        if taken:
            self._voice.note(f"took over {taken} shards that an interrupted run left behind")
        return pending

    def _reopen(self, partition: int) -> None:
        marker = read_markers(self._store, {partition: self._committer.generations[partition]})[partition]
        if any(entry.kind == "verdicts" for entry in marker.shards):
            self._voice.note(f"partition {partition} was rejudged; run jobs.rejudge again after this run")
        ledger = self._committer.ledger(partition)
        whole = _whole_videos(self._store, marker)
        committed(self._store, ledger, marker, lambda video_id: video_id not in whole)
        salvage(self._store, ledger, self._order.footer, lambda video_id: video_id not in whole)

    def _batches(self, pending: Sequence[int]) -> list[Batch]:
        batches = []
        for partition in pending:
            ledger = self._committer.ledgers.get(partition)
            if ledger is None:
                size = min(
                    self._record.partition_size, self._record.n_videos - partition * self._record.partition_size
                )
                batches.append(Batch(partition=partition, n_videos=size))
            elif ledger.complete():
                self._note_commit(partition)
            else:
                batches.append(Reconciler.batch_of(ledger, ledger.missing()))
        return batches

    def _consume(self, phase: str, receipts: Iterator[Receipt]) -> None:
        self._voice.say(phase)
        for receipt in receipts:
            marker = self._committer.take(receipt)
            if marker is not None:
                self._voice.account.add(marker)
            if receipt.halted:
                raise EngineError(f"{receipt.halted}. What is committed stays: run the same command to go on")
            self._voice.say(phase, always=False)

    def _note_commit(self, partition: int) -> None:
        self._voice.account.add(self._committer.commit(partition))

    def _missing(self, pending: Sequence[int]) -> dict[int, list[str]]:
        missing = {}
        for partition in pending:
            if partition in self._committer.committed:
                continue
            ledger = self._committer.ledger(partition)
            if ledger.complete():
                self._note_commit(partition)
            else:
                missing[partition] = ledger.missing()
        return missing

    @contextmanager
    def _committing(self, pending: Sequence[int]) -> Iterator[None]:
        """Say what remains where Ray gives up; errors of ours pass unchanged."""
        try:
            yield
        except (StorageError, LeaseLost, ConfigurationError, EngineError):
            raise
        except Exception as problem:
            left = len(set(pending) - self._committer.committed)
            raise EngineError(
                f"Ray stopped with {left} partitions left ({type(problem).__name__}: {str(problem)[:500]}); "
                "what is committed stays: run the same command to go on"
            ) from problem

    def _summary(self, uncommitted: tuple[int, ...]) -> Summary:
        account = self._voice.account
        return Summary(
            progress=self._voice.progress("done"),
            output=self._store.url,
            uncommitted=uncommitted,
            failures=account.failures(),
            drop_reasons=dict(account.drop_reasons),
            tiers=dict(account.tiers),
            notes=tuple(self._voice.notes),
        )


def _whole_videos(store: ObjectStore, marker: Marker) -> frozenset[str]:
    """Videos of a committed partition without any error."""
    hurt: set[str] = set()
    for entry in marker.shards:
        if entry.kind == "failed":
            hurt.update(read_shard(store, entry, ["video_id"])["video_id"].to_pylist())
    return frozenset(set(partition_ids(store, marker.partition)) - hurt)
