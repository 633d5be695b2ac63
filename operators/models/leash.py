"""Ends the processes of an engine when the process that started them is gone.

vLLM runs its scheduler, and each GPU of several, in processes of their own. Where their parent is
killed they would stay, and keep the GPU's memory. A `Leash` travels in vLLM's configuration to every
process that is spawned with it, and there watches the parent.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any

import psutil

INTERVAL = 1.0  # s between two looks at the parent


class Leash(dict[str, Any]):
    """An empty dictionary that, unpickled in a child of the process that pickled it, ties the child to it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (os.getpid(),)


def _received(owner: int) -> Leash:
    if os.getppid() == owner:  # a copy within one process is not tied
        threading.Thread(target=_watch, args=(owner,), name="leash", daemon=True).start()
    return Leash()


def _watch(owner: int) -> None:
    """Works for every way to start a process: an orphan gets another parent."""
    while os.getppid() == owner:
        time.sleep(INTERVAL)
    here = psutil.Process()
    for process in [*here.children(recursive=True), here]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
