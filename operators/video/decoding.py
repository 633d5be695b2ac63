"""A killable child process that decodes, and the limits it lives under.

A decoder can crash, hang or eat memory on a hostile file; in a process of its own it costs that
video only. The child (`operators.video.decoder`) is started with a bare environment, so that it
holds no credentials, gives up what decoding does not need (`operators.video.confinement`), is used for
many videos, and is replaced after it died or was killed. It writes clips, or the frames of a span, to a
pipe, so it can run at most one of them ahead of the reader.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import psutil

import operators
from operators.errors import ErrorKind
from operators.video.events import Clip, Ended, Event, Progress, Shown, unpack
from operators.video.limits import Limits
from operators.video.one_pass import PassOptions
from operators.video.span_pass import SpanOptions

CHILD = "operators.video.decoder"

POLL_SECONDS = 0.1
"""How often the child's memory and CPU time are looked at."""

_PIPE_BYTES = 1 << 20
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


_NONSENSE = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError)

_SPOILED = (ErrorKind.OUT_OF_MEMORY, ErrorKind.INTERNAL)
"""Ends after which the child may hold memory or state of the video that went wrong: the next gets a fresh one."""


class DecodingProcess:
    """Runs passes over videos or spans of them in a child process, one at a time, starting one where none lives."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._child: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None
        self._finalizer: weakref.finalize | None = None
        self._most_memory = 0

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while none lives."""
        return self._child.pid if self._child is not None else None

    @property
    def peak_memory(self) -> int:
        """Largest resident memory seen, in bytes, over all children."""
        return self._most_memory

    def __getstate__(self) -> Limits:
        return self._limits

    def __setstate__(self, limits: Limits) -> None:
        self.__init__(limits)

    def watch(
        self, path: Path, options: PassOptions, have: Mapping[int, tuple[int, int]] | None = None
    ) -> Iterator[Event]:
        """As `one_pass.watch`, in the child. Its death, by itself or by a limit, is told in `Ended`."""
        yield from self._ask("watch", path, {"options": asdict(options), "have": list((have or {}).items())})

    def show(self, path: Path, options: SpanOptions) -> Iterator[Event]:
        """As `span_pass.show`, in the child. Its death, by itself or by a limit, is told in `Ended`."""
        yield from self._ask("show", path, {"options": asdict(options)})

    def _ask(self, what: str, path: Path, more: Mapping[str, Any]) -> Iterator[Event]:
        request = {"pass": what, "path": str(path.absolute()), "limits": asdict(self._limits), **more}
        done = False
        clips = frames = 0
        try:
            child = self._ready_child()
            try:
                assert child.stdin is not None
                child.stdin.write(json.dumps(request).encode() + b"\n")
                child.stdin.flush()
            except (BrokenPipeError, ValueError):
                pass  # it died between two videos; reading tells how
            for event in self._read(child):
                if isinstance(event, Clip):
                    clips = event.index + 1
                elif isinstance(event, Progress):
                    clips, frames = max(clips, event.clips), event.frames
                if isinstance(event, Ended):
                    done = True
                    if event.kind in _SPOILED:
                        self.close()
                yield event
                if done:
                    return
        except _Broken as problem:
            self.close()
            yield Ended(clips=clips, frames=frames, duration=None, kind=problem.kind, message=str(problem))
            done = True
        finally:
            if not done:
                self.close()  # the reader went away in mid-video

    def _ready_child(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None:
            self._said = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (lives as long as the child)
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", CHILD, str(self._limits.memory_mb)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=_environment(),
            )
            self._finalizer = weakref.finalize(self, _end, self._child, self._said)
            assert self._child.stdout is not None
            _widen(self._child.stdout.fileno())
        return self._child

    def close(self) -> None:
        """Kill the child, if one lives, and wait for its end."""
        if self._finalizer is not None:
            self._finalizer()
        self._child = self._said = self._finalizer = None

    def _read(self, child: subprocess.Popen[bytes]) -> Iterator[Event]:
        assert child.stdout is not None
        pipe = child.stdout.fileno()
        buffer = bytearray()
        process = _process(child.pid)
        cpu_before = _cpu_seconds(process)
        quiet = worked = 0.0
        frames = told = 0
        checked = float("-inf")
        while True:
            asked = time.monotonic()
            ready, _, _ = select.select([pipe], [], [], POLL_SECONDS)
            waited = time.monotonic() - asked
            quiet, worked = quiet + waited, worked + waited
            self._check_clock(0.0 if ready else quiet, worked, frames)
            if not ready:
                self._check(process, cpu_before)
                continue
            data = os.read(pipe, _PIPE_BYTES)
            if not data:
                raise self._death(child)
            quiet = 0.0
            buffer += data
            told += len(data)
            if asked - checked >= POLL_SECONDS:
                checked = asked
                self._check(process, cpu_before)
            self._check_output(told)
            try:
                for event in unpack(buffer):
                    frames = _frames_after(event, frames)
                    yield event
            except _NONSENSE as problem:
                raise _Broken(ErrorKind.WORKER_DIED, f"the decoding process sent nonsense ({problem})") from None

    def _check_clock(self, quiet: float, worked: float, frames: int) -> None:
        limits = self._limits
        if quiet > limits.stall_seconds:
            raise _Broken(
                ErrorKind.TIMEOUT,
                f"the decoder was silent for {limits.stall_seconds:g} s; "
                f"raise {limits.owner}.stall_seconds if it is only slow",
            )
        if worked > limits.wall_allowed(frames):
            raise _Broken(
                ErrorKind.TIMEOUT,
                f"decoding took {worked:.0f} s for {frames:,} frames; "
                f"raise {limits.owner}.wall_seconds or {limits.owner}.seconds_per_frame if it is only slow",
            )

    def _check_output(self, told: int) -> None:
        limits = self._limits
        if limits.output_mb is not None and told > limits.output_mb << 20:
            raise _Broken(
                ErrorKind.REFUSED,
                f"its clips hold more than {limits.output_mb:,} MiB of keyframes and sound; "
                f"raise {limits.owner}.output_mb",
            )

    def _check(self, process: psutil.Process | None, cpu_before: float) -> None:
        limits = self._limits
        try:
            memory = process.memory_info().rss if process is not None else 0
            cpu = _cpu_seconds(process) - cpu_before
        except psutil.Error:
            return  # it has ended: its pipe will tell
        self._most_memory = max(self._most_memory, memory)
        if memory > limits.memory_mb << 20:
            raise _Broken(
                ErrorKind.OUT_OF_MEMORY,
                f"decoding held {memory >> 20} MiB, over its limit of {limits.memory_mb}; "
                f"raise {limits.owner}.memory_mb",
            )
        if cpu > limits.cpu_seconds:
            raise _Broken(
                ErrorKind.TIMEOUT,
                _cpu_message(limits),
            )

    def _death(self, child: subprocess.Popen[bytes]) -> _Broken:
        try:
            code = child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return _Broken(ErrorKind.WORKER_DIED, "the decoding process closed its output")
        if code == -getattr(signal, "SIGXCPU", 0):
            return _Broken(ErrorKind.TIMEOUT, _cpu_message(self._limits))
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        said = self._last_words()
        return _Broken(ErrorKind.WORKER_DIED, f"the decoding process {how}{': ' + said if said else ''}")

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 2000))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        fatal = [line for line in lines if line.startswith(("Fatal Python error", "terminate called"))]
        return (fatal or lines or [""])[-1][:200]


class _Broken(Exception):
    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _cpu_message(limits: Limits) -> str:
    return f"decoding took over {limits.cpu_seconds:g} s of CPU time; raise {limits.owner}.cpu_seconds"


def _frames_after(event: Event, frames: int) -> int:
    """Frames that came out so far, as an event tells."""
    if isinstance(event, Shown):
        return frames + 1
    if isinstance(event, Progress):
        return max(frames, event.frames)
    return max(frames, event.end) if isinstance(event, Clip) else frames


def _environment() -> dict[str, str]:
    root = str(Path(operators.__file__).parents[1])
    paths = [root, *(path for path in sys.path if path and path != root)]
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {**kept, **dict.fromkeys(_ONE_THREAD, "1"), "PYTHONPATH": os.pathsep.join(paths)}


def _widen(pipe: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            return  # over the user's quota: the usual 64 KiB do


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _cpu_seconds(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system


def _end(child: subprocess.Popen[bytes], said: IO[bytes]) -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout, said):
        try:
            if pipe is not None:
                pipe.close()
        except BrokenPipeError:
            continue
