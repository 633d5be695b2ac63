"""The job in a process of its own, on real S3 servers over HTTP: failing ones, and one that ignores conditions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import store
from benchmarks.faulty_s3 import FaultyProxy
from store.objects import open_store
from store.verify import verify
from tests.s3_servers import S3Server

JOB = [sys.executable, "-m", "tests.pipeline.run_chain"]


def run_job(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [*JOB, *arguments], env=environment, capture_output=True, text=True, timeout=400, check=False
    )


def all_rows(output: str) -> dict[str, dict[str, Any]]:
    run = store.open(output)
    rows = [row for tables in (run.clips(dropped=True), run.failed()) for t in tables for row in t.to_pylist()]
    found = {row["clip_id"] or row["video_id"]: row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.fixture(scope="module")
def undisturbed(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The rows of the same job on a folder."""
    output = str(tmp_path_factory.mktemp("calm") / "run")
    done = run_job(str(films), output)
    assert done.returncode == 0, done.stderr
    return all_rows(output)


def test_s3_that_fails_a_tenth_of_its_requests_changes_nothing(
    films: Path, undisturbed: dict[str, dict[str, Any]], moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = f"s3://{moto.new_bucket()}/runs/one"
    with FaultyProxy(moto.url, rate=0.1, seed=5, lose=r"PUT .*/(clips|videos|commits)/") as proxy:
        done = run_job(str(films), output, "--term", "30", **moto.environment(proxy.url))
        assert done.returncode == 0, done.stderr
        assert proxy.counts["lost"] >= 5  # one PUT of each shard and marker; the seeded tenth comes on top
    for name, value in moto.environment().items():
        monkeypatch.setenv(name, value)
    assert all_rows(output) == undisturbed
    assert list(verify(open_store(output))) == []


def test_storage_that_ignores_conditions_is_found_out_and_said(
    films: Path, undisturbed: dict[str, dict[str, Any]], rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = f"s3://{rclone.new_bucket()}/run"
    done = run_job(str(films), output, "--term", "30", **rclone.environment())
    assert done.returncode == 0, done.stderr
    assert "ignores conditional writes" in done.stdout
    for name, value in rclone.environment().items():
        monkeypatch.setenv(name, value)
    assert all_rows(output) == undisturbed
    assert list(verify(open_store(output))) == []
