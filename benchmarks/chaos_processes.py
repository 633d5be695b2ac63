"""Processes to kill: only those below one that this program started."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import psutil


def family(pid: int) -> list[psutil.Process]:
    """All processes below `pid`; none where it is gone."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def names(process: psutil.Process, word: str) -> bool:
    """Whether the process is called so, or was started with such an argument."""
    try:
        return any(word in part for part in (process.name(), *process.cmdline()))
    except psutil.Error:
        return False


def kill(processes: Sequence[psutil.Process]) -> None:
    """SIGKILL to each that still lives."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def kill_tree(process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Kill a process that this program started and all below it, and wait until they are gone.

    Nothing is done where it has ended and was waited for: its number may be a stranger's by now.
    """
    if process.poll() is not None:
        return
    tree = family(process.pid)
    process.kill()
    kill(tree)
    process.wait()
    psutil.wait_procs(tree, timeout=seconds)
