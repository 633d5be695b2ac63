"""One writer: held, refused, released, killed, stopped and woken, with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.faulty_s3 import FAULTS, FaultyProxy
from operators.errors import ConfigurationError, LeaseLost
from store.layout import LEASE
from store.lease import Lease, LeaseRecord, RunLocked, clock, read_lease
from store.objects import ObjectStore, open_store
from tests.s3_servers import S3Server

ROOT = Path(__file__).parents[2]
TERM = 2.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts processes that hold a lease, and ends them after the test."""
    with ExitStack() as stack:

        def begin(url: str, term: float = TERM) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("lease_holder.py")), url, str(term)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            stack.callback(end, process)
            assert process.stdout is not None
            assert process.stdout.readline().startswith("held ")
            return process

        yield begin


def end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.communicate(timeout=30)


def ask(process: subprocess.Popen[str]) -> str:
    """What the process's own lease says."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def record_of(store: ObjectStore) -> LeaseRecord:
    found = read_lease(store)
    assert found is not None
    return found[0]


def elsewhere(store: ObjectStore, *, term: float = TERM) -> None:
    """A lease held by a process of another machine, which never renews it."""
    with Lease.acquire(store, term=term):
        record = record_of(store)
    far = record.model_copy(update={"released": False})
    far = far.model_copy(update={"holder": far.holder.model_copy(update={"host": "far-away", "pid": 4711})})
    store.put(LEASE, far.to_bytes())


@pytest.fixture(params=("local", "moto"))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store(tmp_path / "out" if request.param == "local" else request.getfixturevalue("s3_bucket"))


def test_epochs_grow_and_nonces_differ(store: ObjectStore) -> None:
    with Lease.acquire(store, job="first") as first:
        first.check()
        record = record_of(store)
    assert (record.epoch, record.nonce, record.job, record.released) == (1, first.nonce, "first", False)
    assert (record.holder.host, record.holder.pid) == (socket.gethostname(), os.getpid())
    assert record_of(store).released
    with Lease.acquire(store) as second:
        assert (second.epoch, second.warning) == (2, None)
        assert second.nonce != first.nonce


def test_a_released_lease_is_no_right_to_write(store: ObjectStore) -> None:
    lease = Lease.acquire(store)
    lease.release()
    lease.release()
    with pytest.raises(LeaseLost, match="released"):
        lease.check()


def test_it_is_renewed_while_it_is_held(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with Lease.acquire(store, term=3.0) as lease:
        until = time.monotonic() + 60
        while record_of(store).renewals < 3:
            assert time.monotonic() < until
            time.sleep(0.05)
        lease.check()
        assert record_of(store).nonce == lease.nonce


def test_a_living_holder_is_named_and_not_waited_for_longer_than_it_takes_to_see_it(
    start: Start, store: ObjectStore
) -> None:
    holder = start(store.url, 8.0)
    waits: list[str] = []
    begun = time.monotonic()
    with pytest.raises(RunLocked) as refused:
        Lease.acquire(store, term=8.0, on_wait=waits.append)
    assert time.monotonic() - begun < 8.0
    for part in (socket.gethostname(), str(holder.pid), record_of(store).acquired, "held by a test", store.url):
        assert part in str(refused.value)
    assert len(waits) == 1
    assert ask(holder) == "ok"


def test_a_killed_holder_of_this_machine_is_followed_at_once(start: Start, store: ObjectStore) -> None:
    holder = start(store.url, 300.0)
    os.kill(holder.pid, signal.SIGKILL)
    while holder.poll() is None:
        time.sleep(0.01)
    begun = time.monotonic()
    with Lease.acquire(store) as lease:
        assert lease.epoch == 2
    assert time.monotonic() - begun < 20.0


def test_a_killed_holder_whose_parent_has_not_noticed_counts_as_dead(start: Start, tmp_path: Path) -> None:
    holder = start(str(tmp_path), 300.0)
    os.kill(holder.pid, signal.SIGKILL)
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
    with Lease.acquire(open_store(tmp_path)) as lease:
        assert lease.epoch == 2


def test_a_stopped_holder_is_followed_after_its_term_and_notices_when_it_wakes(
    start: Start, store: ObjectStore
) -> None:
    holder = start(store.url)
    os.kill(holder.pid, signal.SIGSTOP)
    begun = time.monotonic()
    with Lease.acquire(store, term=20.0) as lease:
        assert time.monotonic() - begun > TERM
        assert lease.epoch == 2
        os.kill(holder.pid, signal.SIGCONT)
        assert ask(holder).startswith("lost: ")
        until = time.monotonic() + 30.0
        while str(os.getpid()) not in ask(holder) and time.monotonic() < until:
            time.sleep(0.1)
        answer = ask(holder)
        assert answer.startswith("lost: ")
        assert str(os.getpid()) in answer
        lease.check()
    assert record_of(store).nonce == lease.nonce


def test_a_silent_holder_of_another_machine_is_waited_for_a_whole_term(store: ObjectStore) -> None:
    elsewhere(store)
    begun = time.monotonic()
    with Lease.acquire(store) as lease:
        assert lease.epoch == 2
    assert time.monotonic() - begun > TERM


def test_a_holder_that_ends_while_we_wait_is_followed(start: Start, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    holder = start(str(tmp_path), 40.0)
    assert holder.stdin is not None
    threading.Timer(0.5, holder.stdin.close).start()
    with Lease.acquire(store) as lease:
        assert lease.epoch == 2
    holder.wait(timeout=30)
    holder.stdin = None


def test_one_of_many_takes_a_free_lease(tmp_path: Path) -> None:
    outcomes: list[object] = []

    def compete() -> None:
        try:
            outcomes.append(Lease.acquire(open_store(tmp_path), term=4.0))
        except RunLocked as refused:
            outcomes.append(refused)

    rivals = [threading.Thread(target=compete) for _ in range(5)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(timeout=60)
    winners = [outcome for outcome in outcomes if isinstance(outcome, Lease)]
    assert (len(outcomes), len(winners)) == (5, 1)
    winners[0].check()
    winners[0].release()


def test_a_holder_that_cannot_renew_counts_itself_out_after_half_a_term(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    deadly = [fault for fault in FAULTS if fault != "cut"]  # the answer to a PUT is empty: cut, it is whole
    with FaultyProxy(moto.url, rate=0.0, hang=0.2, kinds=deadly) as proxy:
        for name, value in moto.environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        lease = Lease.acquire(open_store(f"s3://{moto.new_bucket()}"), term=4.0)
        proxy.rate = 1.0
        went_down = time.monotonic()
        with pytest.raises(LeaseLost, match="could not be renewed"):
            while time.monotonic() - went_down < 8.0:
                lease.check()
                time.sleep(0.02)
        assert time.monotonic() - went_down < 4.0
        proxy.rate = 0.0
        until = time.monotonic() + 8.0
        while held(lease) is False and time.monotonic() < until:
            time.sleep(0.02)
        lease.check()  # nobody took it over: the renewal by compare-and-swap proves that
        lease.release()


def test_a_commit_waits_until_the_storage_answers_again(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyProxy(moto.url, rate=0.0, hang=0.2, kinds=("503", "reset_before")) as proxy:
        for name, value in moto.environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        lease = Lease.acquire(open_store(f"s3://{moto.new_bucket()}"), term=4.0)
        proxy.rate = 1.0
        until = time.monotonic() + 30.0
        while held(lease):
            assert time.monotonic() < until
            time.sleep(0.05)
        with pytest.raises(LeaseLost, match="could not be renewed"):
            lease.confirm(patience=0.1)
        back = threading.Timer(1.0, lambda: setattr(proxy, "rate", 0.0))
        back.start()
        lease.confirm(patience=60.0)
        assert proxy.rate == 0.0
        lease.release()
        with pytest.raises(LeaseLost, match="released"):
            lease.confirm()


def held(lease: Lease) -> bool:
    try:
        lease.check()
    except LeaseLost:
        return False
    return True


def test_a_lease_is_kept_on_storage_that_fails_now_and_then(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyProxy(moto.url, rate=0.2, seed=5, hang=0.2) as proxy:
        for name, value in moto.environment(proxy.url).items():
            monkeypatch.setenv(name, value)
        store = open_store(f"s3://{moto.new_bucket()}")
        with Lease.acquire(store, term=8.0) as lease:
            until = time.monotonic() + 60.0
            while (record_of(store).renewals < 3 or proxy.faults <= 3) and time.monotonic() < until:
                lease.check()
                time.sleep(0.1)
        assert proxy.faults > 3
        assert record_of(store).released
        assert record_of(store).renewals >= 3


def test_a_deleted_or_foreign_lease_is_lost(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    lease = Lease.acquire(store, term=0.8)
    store.delete([LEASE])
    time.sleep(0.6)
    with pytest.raises(LeaseLost, match="deleted"):
        lease.check()
    lease.release()
    assert store.head(LEASE) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"epoch": -1}', b"\xff" * 100, json.dumps("x").encode()])
def test_another_file_of_that_name_is_not_taken_for_a_lease(tmp_path: Path, content: bytes) -> None:
    store = open_store(tmp_path)
    store.put(LEASE, content)
    with pytest.raises(ConfigurationError, match=r"lease\.json"):
        Lease.acquire(store)
    assert store.get(LEASE) == content


@pytest.mark.parametrize("term", [0.0, -1.0, 1e9, float("nan")])
def test_absurd_terms_are_refused(tmp_path: Path, term: float) -> None:
    with pytest.raises(ConfigurationError, match="term"):
        Lease.acquire(open_store(tmp_path), term=term)


def test_storage_that_ignores_conditions(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    store = open_store(f"s3://{rclone.new_bucket()}/out")
    with Lease.acquire(store) as lease:
        assert lease.warning is not None
        assert "ignores conditional writes" in lease.warning
    elsewhere(store)
    with pytest.raises(RunLocked, match="--take-over") as refused:
        Lease.acquire(store)
    assert "far-away" in str(refused.value)
    with Lease.acquire(store, take_over=True) as lease:
        assert lease.epoch == 3
        time.sleep(TERM)
        lease.check()


def test_the_holders_clock_is_at_least_the_monotonic_one() -> None:
    before, monotonic = clock(), time.monotonic()
    time.sleep(0.05)
    assert clock() - before >= time.monotonic() - monotonic - 0.01
