"""Hosts on a bridge see each other until a cable is pulled. Needs root on Linux; skips elsewhere."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from benchmarks.soak_network import Network, bridged, why_not_bridged

ECHO = """
import socket, sys
with socket.create_server((sys.argv[1], 7000)) as server:
    print("listening", flush=True)
    while True:
        caller, _ = server.accept()
        caller.sendall(b"here")
        caller.close()
"""


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 7000), timeout=1.0) as caller:
            return caller.recv(4) == b"here"
    except OSError:
        return False


def test_a_host_is_reached_until_its_cable_is_pulled_and_again_after() -> None:
    if why := why_not_bridged():
        pytest.skip(why)
    with bridged() as network:
        one, other = network.new_host(), network.new_host()
        assert len({network.home, one.address, other.address}) == 3
        process = subprocess.Popen([*one.prefix, sys.executable, "-c", ECHO, one.address], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            assert answers(one.address)
            network.cut(one)
            assert not answers(one.address)
            network.mend(one)
            until = time.monotonic() + 30
            while not answers(one.address):
                assert time.monotonic() < until
        finally:
            process.kill()
            process.communicate()
        network.remove(other)
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert one.name not in left


def test_loopback_gives_addresses_and_cannot_be_cut() -> None:
    network = Network()
    one, other = network.new_host(), Network().new_host()
    assert one.address != other.address
    assert one.address.startswith("127.")
    with pytest.raises(NotImplementedError):
        network.cut(one)
