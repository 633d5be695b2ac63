"""What the soak does to a running job. Each event strikes, waits until it is over, and leaves the cluster whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psutil

from benchmarks.soak_calls import open_batches
from benchmarks.soak_cluster import Node, OneMachine
from benchmarks.soak_network import Network
from benchmarks.soak_places import Bucket, Place, SmallDisk

REPLACED_AFTER = 5.0
"""Seconds until a new node is asked for in the place of a lost one."""

NOTICE = 10
"""Seconds between a spot notice and the end of the node; clouds give 30 to 120."""

DISK_FULL = 15.0
SILENCE = 30.0
"""Seconds that S3 does not answer."""

CUT = 25.0
"""Seconds without a network; the cluster counts a node out after about 10."""


class NoVictim(Exception):
    """There is nothing to strike at this moment."""


@dataclass
class Scene:
    """What events act on. `calls` is the text of the job's call log, read anew at each call."""

    cluster: OneMachine
    network: Network
    place: Place
    dice: random.Random
    calls: Callable[[], list[dict[str, Any]]]
    kill_driver: Callable[[], None]


def node_kill(scene: Scene) -> str:
    """SIGKILL to a raylet and all its processes; a new node joins a little later."""
    node = _busy(scene)
    scene.cluster.kill(node)
    time.sleep(REPLACED_AFTER)
    new = scene.cluster.add(node.shape)
    return f"{node} died, {new} joined"


def drain(scene: Scene) -> str:
    """A spot notice: the node takes nothing new, another joins, and at the deadline the first is gone."""
    node = _busy(scene)
    scene.cluster.drain(node, NOTICE)
    deadline = time.monotonic() + NOTICE
    new = scene.cluster.begin(node.shape)
    time.sleep(max(0.0, deadline - time.monotonic()))
    scene.cluster.kill(node)
    new = scene.cluster.await_up(new)
    return f"{node} was drained and died {NOTICE} s later, {new} joined"


def gpu_actor(scene: Scene) -> str:
    """SIGKILL to an actor of the GPU stage that has begun a batch and not ended it."""
    for batch in scene.dice.sample(found := open_batches(scene.calls()), len(found)):
        process = scene.cluster.worker(batch["pid"])
        if process is not None:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
            return f"actor {batch['pid']} died with {len(batch['clips'])} clips"
    raise NoVictim


def driver(scene: Scene) -> str:
    """SIGKILL to the driver; the same command is run again."""
    scene.kill_driver()
    return "the driver died"


def disk_full(scene: Scene) -> str:
    """Not a byte is left where the job writes; after a while there is space again."""
    if not isinstance(scene.place, SmallDisk):
        raise NoVictim
    scene.place.fill()
    try:
        time.sleep(DISK_FULL)
    finally:
        scene.place.free()
    return f"the disk was full for {DISK_FULL:.0f} s"


def s3_drop(scene: Scene) -> str:
    """S3 answers nothing that helps: resets, 500, 503, silence."""
    if not isinstance(scene.place, Bucket):
        raise NoVictim
    scene.place.drop()
    try:
        time.sleep(SILENCE)
    finally:
        scene.place.restore()
    return f"S3 was away for {SILENCE:.0f} s"


def network_cut(scene: Scene) -> str:
    """A node's cable is pulled for longer than the health check waits, then plugged in; a new node joins."""
    node = _busy(scene)
    scene.network.cut(node.host)
    time.sleep(CUT)
    new = scene.cluster.add(node.shape)
    scene.network.mend(node.host)
    end = time.monotonic() + CUT
    while node.process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    by_itself = node.process.poll() is not None
    scene.cluster.kill(node)
    return (
        f"{node} was cut off and {'ended' if by_itself else 'was ended'} when it saw the cluster again, {new} joined"
    )


EVENTS: Mapping[str, Callable[[Scene], str]] = {
    "node_kill": node_kill,
    "drain": drain,
    "gpu_actor": gpu_actor,
    "driver": driver,
    "disk_full": disk_full,
    "s3_drop": s3_drop,
    "network_cut": network_cut,
}

PLACES = {"disk_full": SmallDisk, "s3_drop": Bucket}
"""Where a job must write for an event to be possible; a plain folder for all others."""


def _busy(scene: Scene) -> Node:
    """A random node, and in half of the cases one with a batch in the middle of its GPU stage."""
    if scene.dice.random() < 0.5 and (batches := open_batches(scene.calls())):
        found = scene.cluster.node_of(scene.dice.choice(batches)["pid"])
        if found is not None:
            return found
    return scene.dice.choice(scene.cluster.nodes)
