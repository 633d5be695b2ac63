"""Running a job: open the output, feed what is missing, commit what completes, reconcile what vanished."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from time import time

from operators.errors import ConfigurationError, EngineError, LeaseLost, StorageError
from pipeline.appending import append
from pipeline.arrivals import tell_arrivals
from pipeline.chain import fingerprint, lineages
from pipeline.cluster import Capacity, cluster, gpu_memory
from pipeline.commit import Committer
from pipeline.metrics import RunMetrics
from pipeline.opening import Run, open_run
from pipeline.packing import check_memory
from pipeline.pending import Pending
from pipeline.plan import Plan, plan
from pipeline.progress import Summary
from pipeline.receipt import Receipt
from pipeline.reconcile import Reconciler
from pipeline.salvage import CHAIN, PACKAGE, SCHEMA
from pipeline.session import recorded
from pipeline.voice import Report, Voice
from pipeline.watchdog import Watchdog, beat_seconds
from pipeline.worker import WorkOrder
from pipeline.writer import ShardOptions
from store.input_media import InputMedia
from store.layout import RUN
from store.lease import Lease
from store.markers import latest_generations, write_success
from store.objects import ObjectStore, open_store
from store.run_record import package_version
from store.schema import SCHEMA_VERSION

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
        begun = run.append and store.head(RUN) is not None
        self._record, reuse = open_run(run, store)
        if begun or (run.append and run.reuse):
            self._append()
        elif run.append:
            voice.note("there was no run to append to: one is begun")
        chain = fingerprint(lineages(run.chain))
        self._order = WorkOrder(
            store=store,
            session=lease.nonce,
            epoch=lease.epoch,
            schema=planned.schema,
            footer={CHAIN: chain, PACKAGE: package_version(), SCHEMA: str(SCHEMA_VERSION)},
            options=ShardOptions(seconds=run.shard_seconds),
            open_media=InputMedia([source for source, _ in self._record.inputs]),
            reuse=reuse,
            beat_seconds=beat_seconds(run.stall_seconds),
        )
        self._committer = Committer(store, lease, chain, latest_generations(store), self._order.footer)
        voice.record, voice.committer = self._record, self._committer
        self._metrics = RunMetrics(run.job, store.url, lease)
        self._committer.on_commit = self._metrics.committed

    def _append(self) -> None:
        self._voice.say("starting", f"looking for new videos in {self._run.input}")
        grown = append(self._run, self._store, self._record, self._lease)
        self._record = grown.record
        for note in grown.notes:
            self._voice.note(note)

    def drive(self) -> Summary:
        """Everything after the output was opened."""
        pending = Pending(self._run, self._store, self._lease, self._record, self._order, self._committer, self._voice)
        self._metrics.done_again(pending.redo)
        pending.open()
        for partition in pending.stay_parked:
            self._voice.note(f"partition {partition} failed too often and stays parked; --retry-failed tries it again")
        self._voice.say("starting", f"{len(pending.partitions)} of {self._record.n_partitions} partitions to do")
        if pending.partitions:
            begun = time()
            with (
                cluster(self._run.address, self._run.cpus, self._run.wishes) as capacity,
                self._committing(pending),
                recorded(self._store, self._lease, self._run.job, self._plan.stages, begun),
                tell_arrivals(self._plan.stages, capacity, lambda text: self._voice.say("starting", text)),
            ):
                if any(stage.gpus for stage in self._plan.stages) and (memory := gpu_memory()) is not None:
                    check_memory(self._run.chain, memory)
                self._work_off(pending, capacity)
        pending.close()
        uncommitted = tuple(sorted(set(range(self._record.n_partitions)) - set(self._committer.generations)))
        if not uncommitted:
            write_success(self._store, self._committer.generations)
        return self._summary(uncommitted, pending.parking.parked)

    def _work_off(self, pending: Pending, capacity: Capacity) -> None:
        stages = self._plan.stages
        watchdog = Watchdog(self._run.stall_seconds, self._lease.nonce, stages, capacity.placement, self._warn)
        reconciler = Reconciler(self._order, stages, capacity, self._committer, pending, watchdog)
        errored = max(LEAST_FUSE, int(self._record.n_videos * FUSE_SHARE))
        self._consume("running", reconciler.first_pass(pending.batches(), errored), pending)
        while missing := pending.missing():
            self._voice.say("retrying", f"{sum(map(len, missing.values()))} videos vanished, trying them again")
            self._consume("retrying", reconciler.next_pass(missing), pending)
        self._report("committing", pending, always=True)

    def _consume(self, phase: str, receipts: Generator[Receipt], pending: Pending) -> None:
        self._voice.say(phase)
        with closing(receipts):  # ends the execution at once where this raises, not when the traceback is forgotten
            for receipt in receipts:
                if receipt.halted:
                    raise EngineError(f"{receipt.halted}. What is committed stays: run the same command to go on")
                self._metrics.received(receipt)
                pending.take(receipt)
                self._voice.say(phase, always=False)
                self._report(phase, pending)

    def _report(self, phase: str, pending: Pending, *, always: bool = False) -> None:
        n_open, n_parked = len(self._committer.ledgers), len(pending.parking.parked)
        self._metrics.report(lambda: self._voice.progress(phase), n_open, n_parked, always=always)

    def _warn(self, text: str) -> None:
        self._voice.say("running", text)

    @contextmanager
    def _committing(self, pending: Pending) -> Iterator[None]:
        """Say what remains where Ray gives up; errors of ours pass unchanged."""
        try:
            yield
        except (StorageError, LeaseLost, ConfigurationError, EngineError):
            raise
        except Exception as problem:
            raise EngineError(
                f"Ray stopped with {pending.left()} partitions left ({type(problem).__name__}: "
                f"{str(problem)[:500]}); what is committed stays: run the same command to go on"
            ) from problem

    def _summary(self, uncommitted: tuple[int, ...], parked: dict[int, str]) -> Summary:
        account = self._voice.account
        return Summary(
            progress=self._voice.progress("done"),
            output=self._store.url,
            uncommitted=uncommitted,
            parked=parked,
            failures=account.failures(),
            drop_reasons=dict(account.drop_reasons),
            tiers=dict(account.tiers),
            notes=tuple(self._voice.notes),
        )
