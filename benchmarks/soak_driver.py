"""The driver of a soaked job, as a process that is watched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.chaos_processes import kill_tree


class Hung(Exception):
    """A job made no progress for too long."""


class Driver:
    """The process of one driver, watched."""

    def __init__(
        self, videos: Path, output: str, address: str, folder: Path, environment: Mapping[str, str],
        options: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._calls, self._progress = folder / "calls", folder / "progress"
        self._log = folder / f"driver-{len(list(folder.glob('driver-*.log')))}.log"
        words = [str(videos), output, address, str(self._calls), str(self._progress), *options]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak_job", *words],
                env={**os.environ, "RAY_AUTH_MODE": "disabled", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._seen: object = None
        self._since = time.monotonic()

    def ended(self, seconds: float, patience: float) -> bool:
        """Wait at most `seconds` for the end. Raises `Hung` where nothing has moved for `patience` seconds."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            sizes = [path.stat().st_size if path.exists() else 0 for path in (self._calls, self._progress)]
            state = (sizes[0], self._counts())
            if state != self._seen:
                self._seen, self._since = state, time.monotonic()
            if time.monotonic() - self._since > patience:
                raise Hung(f"no progress for {patience:.0f} s; the last that was seen: {self.last_progress()}")
            if time.monotonic() >= end:
                return False
            time.sleep(0.2)
        return True

    def _counts(self) -> object:
        """What of the last report says that work was done."""
        said = self.last_progress()
        return [value for name, value in sorted(said.items()) if name not in ("at", "elapsed")]

    def last_progress(self) -> dict[str, Any]:
        """The last report of the run that was written whole."""
        lines = self._progress.read_bytes()[-4000:].split(b"\n") if self._progress.exists() else []
        for line in reversed(lines):
            try:
                said = json.loads(line)
            except ValueError:
                continue
            if isinstance(said, dict):
                return said
        return {}

    def kill(self) -> None:
        """SIGKILL to the driver and what it started."""
        kill_tree(self.process.pid)
        self.process.wait()

    def complaint(self) -> str:
        """The end of what the process wrote."""
        return self._log.read_text(errors="replace").strip()[-600:]
