"""A Ray cluster of several nodes on this machine: real raylets and workers, logical CPUs and GPUs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from pipeline.cluster import QUIET, take_own_environment

OBJECT_STORE = 80 << 20
"""Bytes of shared memory that a node may fill; rows here are tiny."""


@contextmanager
def many_nodes(shapes: Sequence[tuple[int, int]]) -> Iterator[str]:
    """The address of a cluster of a head without CPUs and a node of each of `shapes`, taken down afterwards.

    A shape is (logical CPUs, logical GPUs). A driver must be another process: it connects with the environment that
    this one has inside the block. Processes of other Ray instances are left alone.
    """
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="rn-", dir="/tmp")  # sockets below it may have 107 bytes
    with mock.patch.dict(os.environ, {**QUIET, "RAY_TMPDIR": folder}):
        take_own_environment()
        os.environ.pop("RAY_ADDRESS", None)
        cluster = Cluster()
        try:
            cluster.add_node(num_cpus=0, include_dashboard=False, object_store_memory=OBJECT_STORE)
            for cpus, gpus in shapes:
                cluster.add_node(num_cpus=cpus, num_gpus=gpus, object_store_memory=OBJECT_STORE, wait=False)
            cluster.wait_for_nodes(timeout=60 + 20 * len(shapes))
            yield cluster.address or ""
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)
