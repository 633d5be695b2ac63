"""Ray for the tests that run the engine in this process: one instance, with a logical GPU."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster import ONE_THREAD, QUIET, take_own_environment
from tests.conftest import RAY_IS_SHARED
from tests.pipeline.run_chain import write_film


@pytest.fixture(scope="session")
def ray_session(pytestconfig: pytest.Config) -> Iterator[None]:
    """Ray with four logical CPUs and one logical GPU; runs in this process use it."""
    import ray

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    take_own_environment()
    ray.init(
        address="local",
        num_cpus=4,
        num_gpus=1,
        include_dashboard=False,
        runtime_env={"env_vars": ONE_THREAD},
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
        _system_config={"metrics_report_interval_ms": 1000},
    )
    pytestconfig.stash[RAY_IS_SHARED] = True
    yield
    pytestconfig.stash[RAY_IS_SHARED] = False
    ray.shutdown()


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos: three shots, one shot, two shots, a very short one, and one that breaks off half-way."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a-three.mp4", [24, 30, 18])
    write_film(folder / "b-one.mp4", [30])
    write_film(folder / "c-two.mp4", [20, 28])
    write_film(folder / "d-short.mp4", [4])
    write_film(folder / "e-broken.mp4", [60, 60, 60, 60])
    whole = (folder / "e-broken.mp4").read_bytes()
    (folder / "e-broken.mp4").write_bytes(whole[: len(whole) * 3 // 5])
    return folder
