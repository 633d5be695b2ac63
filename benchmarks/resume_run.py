"""Starts or resumes the run of a collection as a driver of its own, and stops once the first videos are done.

Started by `benchmarks.full_collection` as a process with one argument, a `Collection` in JSON; prints `Start` in JSON
before it stops: Ray may end a driver hard that goes away in the middle of its work.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.collection import Collection
from pipeline.progress import Progress
from pipeline.run import execute


@dataclass(kw_only=True)
class Start:
    """Seconds from the call to each step, and what the driver used until then.

    `counted`: the driver knows what is missing, `graph`: Ray is up and the graph is given to it, `first`: the first
    video is done. `requests` counts the driver's own requests to S3 by method, until the first video.
    """

    counted: float = 0.0
    graph: float = 0.0
    first: float = 0.0
    cpu_counted: float = 0.0
    cpu_first: float = 0.0
    peak_mb: float = 0.0
    pending: int = 0
    notes: list[str] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)


class _Enough(BaseException):
    """The first videos are done; nothing in the engine catches this."""


class _Watch:
    def __init__(self, requests: Counter[str], told: Callable[[Start], None]) -> None:
        self.start, self._requests, self._told = Start(), requests, told
        self._begun, self._before = time.monotonic(), -1

    def __call__(self, progress: Progress) -> None:
        passed, start = self._passed(), self.start
        if progress.note.endswith("partitions to do"):
            start.counted, start.cpu_counted = passed, round(time.process_time(), 2)
            start.pending = progress.partitions_total - progress.partitions_committed
        elif progress.note:
            start.notes.append(progress.note)
        done = progress.videos_done + progress.videos_partial + progress.videos_failed
        if progress.phase == "running" and self._before < 0:
            self._before, start.graph = done, passed
        elif progress.phase in ("running", "done") and done > self._before:
            self.finish()
            raise _Enough

    def _passed(self) -> float:
        return round(time.monotonic() - self._begun, 2)

    def finish(self) -> None:
        """Note what was used, and tell."""
        start = self.start
        start.first, start.cpu_first = self._passed(), round(time.process_time(), 2)
        start.peak_mb = round(peak_mb(), 1)
        start.requests = dict(self._requests)
        self._told(start)


def peak_mb() -> float:
    """This process's largest resident memory in MB. `getrusage` would count that of the process which started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("the kernel does not tell a process's peak memory")


def begin(collection: Collection, told: Callable[[Start], None]) -> None:
    """Run until the first videos are done, and call `told` then. The run can be resumed afterwards."""
    from botocore.httpsession import URLLib3Session

    requests: Counter[str] = Counter()
    send = URLLib3Session.send

    def counted(session: URLLib3Session, request: Any) -> Any:
        requests[request.method + (" list" if "list-type" in request.url else "")] += 1
        return send(session, request)

    watch = _Watch(requests, told)
    with suppress(_Enough), mock.patch.object(URLLib3Session, "send", counted):
        execute(collection.run(), watch)
        watch.finish()  # it was all done between two reports


def main(argv: Sequence[str]) -> int:
    """Print the figures of one start."""
    collection = Collection(**json.loads(argv[0]))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print
    begin(collection, lambda start: print(json.dumps(asdict(start)), file=out, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
