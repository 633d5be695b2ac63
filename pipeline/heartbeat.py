"""What each actor is at, told by a thread of its own through the key-value store of Ray's head node.

Receipts come when a shard is written, a block when a video yields a clip. In between only the actor knows whether
it still works: a decoder in a long shot, a model that loads. The driver's watchdog reads the beats.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import monotonic, thread_time
from types import FrameType
from typing import Any

import psutil
from ray.experimental import internal_kv

from operators.contract import Row

NAMESPACE = "rushes"
LOADING = "loading"
"""What an actor is at before its first task: its operators' `setup`."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One actor's word. `number` counts its beats, `rows` the rows that it gave so far.

    `cpu` (seconds) and `moved` (bytes read and written, of files and pipes) are those of its process and all below
    it. `at` is its longest task ("video a-1", "clips of a-1, b-2", "loading"), "" where it has none; `since` is
    that task's age in seconds and `where` the operator and the line that it runs. `silent` is how long, in
    seconds, the driver has waited for the next beat, 0 while that is not late.
    """

    stage: str
    node: str
    pid: int
    number: int
    rows: int
    cpu: float
    moved: int
    at: str = ""
    since: float = 0.0
    where: str = ""
    silent: float = 0.0

    @property
    def actor(self) -> str:
        """The process, for people."""
        return f"pid {self.pid} on node {self.node[:8]}"


@dataclass
class _Work:
    at: str
    begun: float
    thread: int


class Heart:
    """Beats every `seconds` until its process ends; `session` is the driver's. Begin it before models are loaded."""

    def __init__(self, session: str, seconds: float, stage: str) -> None:
        self._stage, self._seconds = stage, seconds
        self._node = _node_id()
        self._key = f"{session}/{self._node}/{os.getpid()}"
        self._process = psutil.Process()
        self._rows = 0
        self._number = 0
        self._works: dict[int, _Work] = {}
        self._lock = threading.Lock()
        self._tell()  # before anything is loaded, so that a process that dies of it was heard of
        threading.Thread(target=self._keep, name="heartbeat", daemon=True).start()

    @contextmanager
    def at(self, what: str) -> Iterator[None]:
        """A task, from its beginning to its end."""
        work = _Work(what, monotonic(), threading.get_ident())
        with self._lock:
            self._works[id(work)] = work
        try:
            yield
        finally:
            with self._lock:
                self._works.pop(id(work), None)

    def counted(self, rows: Iterable[Row]) -> Iterator[Row]:
        """`rows`, each of which is progress."""
        for row in rows:
            self._rows += 1
            yield row

    def _keep(self) -> None:
        pause = threading.Event()
        while not pause.wait(self._seconds):
            self._tell()

    def _tell(self) -> None:
        with suppress(Exception):  # a beat that is lost is made up for by the next; work must not suffer
            internal_kv._internal_kv_put(self._key, json.dumps(self._beat()), namespace=NAMESPACE)

    def _beat(self) -> dict[str, Any]:
        self._number += 1
        with self._lock:
            oldest = min(self._works.values(), key=lambda work: work.begun, default=None)
        cpu, moved = _spent(self._process)
        cpu -= thread_time()  # what beating itself costs is no work
        told = {"stage": self._stage, "node": self._node, "pid": os.getpid(), "number": self._number}
        told |= {"rows": self._rows, "cpu": cpu, "moved": moved}
        if oldest is not None:
            where = _where(sys._current_frames().get(oldest.thread))
            told |= {"at": oldest.at, "since": monotonic() - oldest.begun, "where": where}
        return told


def read_beats(session: str) -> dict[str, Beat]:
    """The latest beat of every actor that this driver's runs had, by its key."""
    beats = {}
    for key in internal_kv._internal_kv_list(f"{session}/", namespace=NAMESPACE):
        data = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
        if data:
            beats[key.decode()] = Beat(**json.loads(data))
    return beats


def forget_beats(session: str) -> None:
    """Remove what `read_beats` reads."""
    internal_kv._internal_kv_del(f"{session}/", del_by_prefix=True, namespace=NAMESPACE)


def _node_id() -> str:
    import ray

    return ray.get_runtime_context().get_node_id()


def _spent(process: psutil.Process) -> tuple[float, int]:
    """Seconds of CPU and bytes moved by a process and all below it."""
    cpu, moved = 0.0, 0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):
            times = one.cpu_times()
            cpu += times.user + times.system
            if hasattr(one, "io_counters"):  # not on macOS
                counters: Any = one.io_counters()
                moved += counters.read_chars + counters.write_chars
    return round(cpu, 2), moved


def _where(frame: FrameType | None) -> str:
    """The operator that a thread is in, and its line: the innermost frame of `Meter` knows the operator."""
    if frame is None:
        return ""
    line = f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno}"
    inner: FrameType | None = frame
    while inner is not None:
        if inner.f_code.co_name == "_metered" and "name" in inner.f_locals:
            return f"{inner.f_locals['name']}, {line}"
        inner = inner.f_back
    return line
