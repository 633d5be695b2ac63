"""One writer per output: a lease that is taken and renewed by compare-and-swap.

`lease.json` names the holder. It is renewed four times a term. An observer takes the lease over when
its etag has not changed for the whole term on the observer's own clock; nobody compares timestamps
of two machines. A holder that could not renew for half a term counts itself out (`Lease.check`), well
before anyone takes over. (Gray and Cheriton, "Leases", SOSP 1989, without their synchronised clocks.)

A suspended laptop: the holder's clock counts the time asleep, so that it wakes with an expired lease;
an observer's does not, so that it never mistakes its own sleep for the holder's silence.

A lease alone cannot stop a process between its check and its write. Markers do that: they are
create-only and carry the lease's epoch and nonce.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from operators.errors import ConfigurationError, LeaseLost, RushesError
from store.holder import Holder
from store.layout import LEASE
from store.objects import ObjectMissing, ObjectStore

log = logging.getLogger(__name__)

TERM = 30.0
"""Seconds that an observer waits before it takes a silent holder's lease."""

LONGEST_TERM = 600.0
"""Seconds; a longer term in somebody's lease is not believed."""

RENEWALS_PER_TERM = 4

PATIENCE = 180.0
"""Seconds that a commit waits for storage that does not answer, as long as each of its own calls would."""

UNPROTECTED = (
    "this storage ignores conditional writes: two runs started at the same moment could both write here, "
    "and a stopped run that wakes up is noticed only at its next renewal. Start one run at a time."
)
"""What is lost on such a store; shown to people."""


class RunLocked(ConfigurationError):
    """Another run holds this output's lease, or may hold it."""


class LeaseRecord(BaseModel):
    """The contents of `lease.json`. `term` in seconds; `acquired` for people only (ISO 8601, UTC)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1
    epoch: int = Field(ge=1)
    nonce: str
    holder: Holder
    job: str = ""
    acquired: str
    term: float = Field(gt=0, allow_inf_nan=False)
    renewals: int = 0
    released: bool = False

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


def read_lease(store: ObjectStore) -> tuple[LeaseRecord, str] | None:
    """The lease and its etag, or None. Raises `ConfigurationError` where `lease.json` is something else."""
    try:
        data, etag = store.read(LEASE)
    except ObjectMissing:
        return None
    try:
        return LeaseRecord.model_validate_json(data), etag
    except ValidationError:
        raise ConfigurationError(
            f"{store.url}/{LEASE} is no lease; if no run writes to this output, delete that file"
        ) from None


class Lease:
    """The right to write to one output, renewed by a thread until `release`. A context manager.

    `epoch` grows with every acquisition, `nonce` is this acquisition's own. `warning` says what
    protection the storage does not give, or is None.
    """

    def __init__(
        self,
        store: ObjectStore,
        quick: ObjectStore,
        record: LeaseRecord,
        etag: str,
        renewed: float,
        warning: str | None,
    ) -> None:
        self.warning = warning
        self._store = store
        self._quick = quick
        self._record = record
        self._etag = etag
        self._renewed = renewed
        self._lost: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(
        cls,
        store: ObjectStore,
        *,
        term: float = TERM,
        take_over: bool = False,
        on_wait: Callable[[str], None] | None = None,
        job: str = "",
    ) -> Lease:
        """Take the lease, waiting at most one term of its present holder.

        Waits only while the holder may be dead: a renewal seen, or a release, or a holder that died on
        this machine, ends it. `on_wait` is told why once, before the wait. `take_over` takes a silent
        holder's lease on storage that ignores conditional writes. Raises `RunLocked` naming the holder,
        `ConfigurationError` where the storage cannot be written, `StorageError` where it does not answer.
        """
        if not 0 < term <= LONGEST_TERM:
            raise ConfigurationError(f"the lease's term must be over 0 and at most {LONGEST_TERM:.0f} s")
        found = store.probe()
        atomic = found.create_only and found.compare_and_swap
        quick = store.within(term / RENEWALS_PER_TERM)
        read_lease(quick)  # connects, which may take longer than a short term allows
        watch = _Watch(store, on_wait, may_take=atomic or take_over)
        while True:
            free = watch.until_free()
            record = LeaseRecord(
                epoch=free[0].epoch + 1 if free else 1,
                nonce=uuid.uuid4().hex,
                holder=Holder.here(),
                job=job,
                acquired=datetime.now(UTC).isoformat(timespec="seconds"),
                term=term,
            )
            started = clock()
            if free is not None:
                taken = store.replace(LEASE, record.to_bytes(), free[1]) is not None
            else:
                taken = store.create(LEASE, record.to_bytes())
            if not taken:
                continue
            if not atomic:
                time.sleep(min(1.0, term / 8))  # lets a rival that looked at the same moment write over us
            now = read_lease(store)
            if now is not None and now[0].nonce == record.nonce:
                return cls(store, quick, record, now[1], started, None if atomic else UNPROTECTED)

    @property
    def epoch(self) -> int:
        """Which acquisition of this output this is, from 1."""
        return self._record.epoch

    @property
    def nonce(self) -> str:
        """A name that no other acquisition has."""
        return self._record.nonce

    def check(self) -> None:
        """Raises `LeaseLost` unless the lease was renewed within half its term and nobody took it over."""
        if self._lost is not None:
            raise LeaseLost(self._lost)
        if self._ending.is_set():
            raise LeaseLost(f"the lease on {self._store.url} was released")
        if self._silent():
            silent = clock() - self._renewed
            raise LeaseLost(
                f"the lease on {self._store.url} could not be renewed for {silent:.0f} s and another run may have "
                "taken over; when the storage answers again, run the same command"
            )

    def confirm(self, patience: float = PATIENCE) -> None:
        """`check`, but where the storage does not answer, wait for it at most `patience` seconds.

        A renewal that succeeds after all proves, by compare-and-swap, that nobody took the lease over meanwhile.
        """
        until = clock() + patience
        while self._lost is None and not self._ending.is_set() and self._silent():
            if clock() > until:
                break
            time.sleep(min(0.5, self._record.term / 20))
        self.check()

    def _silent(self) -> bool:
        """Whether no renewal succeeded for half a term."""
        return clock() - self._renewed > self._record.term / 2

    def release(self) -> None:
        """Stop renewing and mark the lease as free, unless it was lost. Never raises for storage."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._thread.join()
        if self._lost is not None:
            return
        try:
            self._store.replace(LEASE, self._record.model_copy(update={"released": True}).to_bytes(), self._etag)
        except RushesError as problem:
            log.warning("the lease was not released and frees itself in %.0f s: %s", self._record.term, problem)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _keep(self) -> None:
        pause = self._record.term / RENEWALS_PER_TERM
        while self._lost is None and not self._ending.wait(pause):
            try:
                self._renew()
                pause = self._record.term / RENEWALS_PER_TERM
            except RushesError as problem:
                log.warning("the lease could not be renewed, trying again: %s", problem)
                pause = self._record.term / 20

    def _renew(self) -> None:
        while self._lost is None:
            started = clock()
            record = self._record.model_copy(update={"renewals": self._record.renewals + 1})
            etag = self._quick.replace(LEASE, record.to_bytes(), self._etag)
            if etag is not None:
                self._record, self._etag, self._renewed = record, etag, started
                return
            now = read_lease(self._quick)
            if now is not None and now[0].nonce == self.nonce:
                self._record, self._etag = now  # an earlier renewal whose answer was lost
            else:
                self._lost = self._loss(now[0] if now else None)

    def _loss(self, now: LeaseRecord | None) -> str:
        taker = f"{now.holder} since {now.acquired}" if now else f"somebody deleted {LEASE}"
        return f"{self._store.url} belongs to another run now ({taker}); this one has stopped writing"


class _Watch:
    """Observes a lease until it may be taken."""

    def __init__(self, store: ObjectStore, on_wait: Callable[[str], None] | None, *, may_take: bool) -> None:
        self._store = store
        self._on_wait = on_wait
        self._may_take = may_take
        self._seen: tuple[str, float] | None = None

    def until_free(self) -> tuple[LeaseRecord, str] | None:
        """The lease that may be replaced, or None where there is none. Raises `RunLocked`."""
        while (now := read_lease(self._store)) is not None:
            record, etag = now
            if record.released:
                return now
            if not self._may_take:
                raise RunLocked(
                    f"{self._locked(record)}, and {UNPROTECTED} If that run has ended for certain, "
                    "run this command again with --take-over"
                )
            if record.holder.is_gone():
                return now
            term = min(record.term, LONGEST_TERM)
            if self._seen is None:
                self._seen = etag, time.monotonic()
                if self._on_wait is not None:
                    self._on_wait(f"{self._locked(record)}; waiting up to {term:.0f} s to see whether it is alive")
            elif etag != self._seen[0]:
                raise RunLocked(
                    f"{self._locked(record)}, and it is alive; wait for it, stop it, or choose another --output"
                )
            elif time.monotonic() - self._seen[1] > term:
                return now
            time.sleep(min(1.0, term / 20))
        return None

    def _locked(self, record: LeaseRecord) -> str:
        what = f"the job {record.job}" if record.job else "a run"
        return f"{self._store.url} is being written by {what} of {record.holder}, since {record.acquired}"


def clock() -> float:
    """Seconds that also pass while this machine sleeps, unlike `time.monotonic`."""
    kind = getattr(time, "CLOCK_BOOTTIME", None)  # Linux
    if kind is None and sys.platform == "darwin":
        kind = time.CLOCK_MONOTONIC  # counts sleep there; Python's monotonic uses another clock
    return time.clock_gettime(kind) if kind is not None else time.monotonic()
