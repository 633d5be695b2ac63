"""Which process holds a lease, and whether it is certainly gone."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict


class Holder(BaseModel):
    """A process, told apart from later ones with its number and from those of other machines.

    `boot` names the running kernel and the process namespace, `started` the moment the process began
    on that kernel's own clock; both are opaque, and empty where they cannot be known.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str
    pid: int
    started: str
    boot: str
    user: str

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), pid=pid, started=_started(pid) or "", boot=_boot(), user=_user())

    def is_gone(self) -> bool:
        """Whether this process ran on this machine and certainly has ended; False wherever that is unsure."""
        if not (self.started and self.boot) or self.host != socket.gethostname() or self.boot != _boot():
            return False
        started = _started(self.pid)
        return not psutil.pid_exists(self.pid) if started is None else started != self.started

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}"


def _boot() -> str:
    if not sys.platform.startswith("linux"):
        return f"boot {psutil.boot_time():.0f}"
    try:
        kernel = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{kernel}/{Path('/proc/self/ns/pid').stat().st_ino}"  # containers share the kernel, not its numbers
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When process `pid` began, "ended" when nobody has waited for it yet, None when it cannot be seen."""
    try:
        if not sys.platform.startswith("linux"):
            process = psutil.Process(pid)
            return "ended" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
        # psutil adds the boot time, which moves when the clock is set; the kernel's own number does not.
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
        return "ended" if after_name[0] in (b"Z", b"X") else after_name[19].decode()
    except (psutil.Error, OSError, IndexError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
