"""Processes to kill: only those below one that this program started."""

from __future__ import annotations

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


def kill_tree(pid: int, seconds: float = 20.0) -> None:
    """Kill `pid` and all below it, and wait until they are gone."""
    tree = family(pid)
    kill([psutil.Process(pid)] if psutil.pid_exists(pid) else [])
    kill(tree)
    psutil.wait_procs(tree, timeout=seconds)
