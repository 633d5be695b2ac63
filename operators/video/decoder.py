"""The decoding process: reads requests from standard input, writes events to standard output.

Run by `operators.video.decoding` as `python -m operators.video.decoder MEMORY_MB`. It ends when its
input ends, which is when its parent has gone. It imports neither Arrow nor anything of its parent, and
once everything is imported it confines itself.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import math
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

import cv2
import psutil

from operators.errors import ErrorKind
from operators.video.confinement import confine
from operators.video.events import Clip, Ended, Event, pack
from operators.video.limits import Limits
from operators.video.one_pass import PassOptions, watch
from operators.video.span_pass import SpanOptions, show

CPU_GRACE = 30
"""Seconds of CPU time over the limit after which the system ends the process, where its parent did not."""


def main(memory_mb: int) -> None:
    """Serve requests, one JSON object per line, until the input ends."""
    faulthandler.enable()
    cv2.setNumThreads(1)
    # Standard output belongs to the events: what a library prints goes to standard error.
    with os.fdopen(os.dup(1), "wb") as events:
        os.dup2(2, 1)
        confine()
        _limit_address_space(memory_mb)
        requests: SimpleQueue[bytes] = SimpleQueue()
        threading.Thread(target=_receive, args=(sys.stdin.buffer, requests), daemon=True).start()
        while True:
            request = json.loads(requests.get())
            limits = Limits(**request["limits"])
            _limit_cpu_time(limits.cpu_seconds)
            for event in _guarded(_asked(request, limits), limits.owner):
                for part in pack(event):
                    events.write(part)
                events.flush()


def _asked(request: dict[str, Any], limits: Limits) -> Iterator[Event]:
    path, options = Path(request["path"]), request["options"]
    if request["pass"] == "show":
        return show(path, SpanOptions(**options), limits)
    have = {int(index): (int(first), int(end)) for index, (first, end) in request["have"]}
    return watch(path, PassOptions(**options), have, limits)


def _guarded(pass_: Iterator[Event], owner: str) -> Iterator[Event]:
    """The events; an exception that nobody foresaw becomes the last one, and the process lives on."""
    clips = 0
    try:
        for event in pass_:
            clips = event.index + 1 if isinstance(event, Clip) else clips
            yield event
    except Exception as problem:
        kind, message = ErrorKind.INTERNAL, f"{type(problem).__name__}: {problem}"
        if isinstance(problem, MemoryError) or getattr(problem, "errno", None) in (errno.ENOMEM, errno.EAGAIN):
            kind, message = ErrorKind.OUT_OF_MEMORY, f"decoding ran out of memory ({problem}); raise {owner}.memory_mb"
        yield Ended(clips=clips, frames=0, duration=None, kind=kind, message=message)


def _receive(source: BinaryIO, requests: SimpleQueue[bytes]) -> None:
    for line in source:
        requests.put(line)
    os._exit(0)  # the parent has gone; whatever is being decoded is for nobody


def _limit_address_space(memory_mb: int) -> None:
    """Make allocations fail at twice the limit, where the system can: the parent looks only now and then."""
    if sys.platform != "linux":
        return
    import resource

    now = psutil.Process().memory_info().vms
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + 2 * (memory_mb << 20)
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _limit_cpu_time(seconds: float) -> None:
    """End the process a while after its parent should have: that may be busy, or stopped."""
    if sys.platform == "win32":
        return
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = math.ceil(used.ru_utime + used.ru_stime + seconds) + CPU_GRACE
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


if __name__ == "__main__":
    main(int(sys.argv[1]))
