"""Addresses for the nodes of a cluster on one machine: on loopback, or each in a network of its own.

    with bridged() as network:
        host = network.new_host()
        subprocess.Popen([*host.prefix, "ray", "start", f"--node-ip-address={host.address}", …])
        network.cut(host)

On loopback nothing can be cut. With network namespaces (Linux, root, iproute2) every host hangs on a bridge by a
cable of its own, which can be pulled; the machine itself has the bridge's first address.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True)
class Host:
    """Where a node runs: its IP address, and words that go before its command."""

    address: str
    prefix: tuple[str, ...] = ()
    name: str = ""


class Network:
    """Loopback: each host has an address of 127.0.0.0/8, and all see each other always."""

    home = "127.0.0.1"
    """Address of this machine as the hosts see it."""

    _taken = count()  # one for all: two clusters of a process must not share an address

    def new_host(self) -> Host:
        """A host that was never used before."""
        number = next(Network._taken)
        return Host(f"127.{number // 250 + 1}.{self._block()}.{number % 250 + 2}")

    def cut(self, host: Host) -> None:
        """Pull the host's cable: packets are dropped in silence, both ways."""
        raise NotImplementedError("loopback cannot be cut")

    def mend(self, host: Host) -> None:
        """Plug the cable in again."""
        raise NotImplementedError("loopback cannot be cut")

    def remove(self, host: Host) -> None:
        """Take a host down whose processes have ended."""

    def _block(self) -> int:
        return os.getpid() % 250 + 1


class _Bridged(Network):
    def __init__(self) -> None:
        self._numbers = count(2)
        self._tag = f"{os.getpid() % 0xFFFF:04x}"
        self._bridge = f"rsk{self._tag}"
        self._net = f"10.{200 + os.getpid() % 50}.{self._block()}"
        self.home = f"{self._net}.1"
        self._hosts: list[Host] = []

    def open(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{self.home}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")

    def close(self) -> None:
        for host in list(self._hosts):
            self.remove(host)
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._bridge)

    def new_host(self) -> Host:
        number = next(self._numbers)
        if number > 254:
            raise RuntimeError("a bridge has room for 253 hosts")
        name = f"{self._bridge}-{number}"
        host = Host(f"{self._net}.{number}", ("ip", "netns", "exec", name), name)
        cable = self._cable(host)
        _ip("netns", "add", name)
        self._hosts.append(host)
        _ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("link", "set", cable, "master", self._bridge, "up")
        _ip("-n", name, "addr", "add", f"{host.address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        return host

    def cut(self, host: Host) -> None:
        _ip("link", "set", self._cable(host), "down")

    def mend(self, host: Host) -> None:
        _ip("link", "set", self._cable(host), "up")

    def remove(self, host: Host) -> None:
        self._hosts.remove(host)
        for command in (("link", "del", self._cable(host)), ("netns", "del", host.name)):
            with suppress(subprocess.CalledProcessError):
                _ip(*command)

    def _cable(self, host: Host) -> str:
        return f"rsk{self._tag}v{host.address.rpartition('.')[2]}"


def why_not_bridged() -> str | None:
    """Why network namespaces cannot be had here, or None."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are a thing of Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "the command ip (iproute2) is missing"
    try:
        with bridged() as network:
            network.new_host()
    except subprocess.CalledProcessError as problem:
        return f"network namespaces cannot be made here: {problem.stderr.strip() or problem}"
    return None


@contextmanager
def bridged() -> Iterator[Network]:
    """A network whose hosts can be cut off; gone afterwards."""
    network = _Bridged()
    try:
        network.open()
        yield network
    finally:
        network.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=30)
