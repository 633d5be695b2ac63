"""A partition that fails is set aside, the others complete; what hits all ends the run."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import store
from jobs.status import main as status_command
from operators.errors import LeaseLost, StorageError
from pipeline import parking as module
from pipeline.parking import Parking
from pipeline.run import execute
from store.lease import Lease
from store.local import LocalStore
from store.markers import read_success
from store.objects import open_store
from store.parking import PartitionFailures, read_failures, write_failures
from store.status import scan
from store.verify import verify
from tests.pipeline.run_chain import chain, small_run, write_film
from tests.pipeline.small_chain import chain as small_chain
from tests.pipeline.small_run import a_run


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    with Lease.acquire(open_store(tmp_path), term=30) as held:
        (tmp_path / "run.json").touch()
        yield held


def failing(parking: Parking, partition: int, problem: Exception) -> None:
    with parking.guarding(partition):
        raise problem


def test_three_failures_park_a_partition_also_over_restarts(tmp_path: Path, lease: Lease):
    objects = open_store(tmp_path)
    first = Parking(objects, lease, retry=False)
    failing(first, 4, StorageError("manifest/00004.parquet is damaged:\n torn"))
    failing(first, 4, StorageError("again"))
    assert first.parked == {}
    second = Parking(objects, lease, retry=False)
    failing(second, 4, ValueError("x" * 9999))
    failing(second, 5, KeyError("clip_id"))
    assert list(second.parked) == [4]
    assert second.parked[4].startswith("ValueError: xxx")
    assert len(second.parked[4]) == 500
    assert {p: f.failures for p, f in read_failures(objects).items()} == {4: 3, 5: 1}
    again = Parking(objects, lease, retry=True)
    assert again.parked == {}
    failing(again, 4, StorageError("still damaged"))
    assert read_failures(objects)[4].failures == 1
    again.settle(4)
    again.settle(5)
    assert read_failures(objects) == {}


def test_what_hits_all_partitions_is_nobodys_failure(tmp_path: Path, lease: Lease):
    parking = Parking(open_store(tmp_path), lease, retry=False)
    full = StorageError("cannot write clips/00001/x.parquet: No space left on device")
    full.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    for problem in (LeaseLost("taken over"), full):
        with pytest.raises(StorageError):
            failing(parking, 1, problem)
    (tmp_path / "run.json").unlink()  # the output was removed under the run
    with pytest.raises(StorageError, match="gone"):
        failing(parking, 1, StorageError("gone"))
    assert read_failures(open_store(tmp_path)) == {}


def test_storage_that_does_not_answer_ends_the_run(tmp_path: Path, lease: Lease):
    class Silent(LocalStore):
        def probe(self):
            raise StorageError("no answer")

    parking = Parking(Silent(tmp_path), lease, retry=False)
    with pytest.raises(StorageError, match="damaged"):
        failing(parking, 1, StorageError("damaged"))


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parked")
    for name in "abcde":
        write_film(folder / f"{name}.mp4", [20])
    return folder


@pytest.mark.usefixtures("ray_session")
def test_a_damaged_manifest_parks_its_partition_and_the_rest_completes(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    output = tmp_path / "run"
    run = small_run(films, output, chain())
    from pipeline.opening import open_run

    open_run(run, open_store(output))
    manifest = output / "manifest" / "00001.parquet"
    shutil.copy(manifest, tmp_path / "whole.parquet")
    manifest.write_bytes(manifest.read_bytes()[:-40])
    summary = execute(run)
    assert summary.exit_code == 1
    assert summary.uncommitted == (1,)
    assert list(summary.parked) == [1]
    assert "manifest/00001.parquet is damaged" in summary.parked[1]
    assert sorted(store.open(str(output)).markers) == [0, 2]
    assert read_success(open_store(output)) is None
    assert list(verify(open_store(output))) == []
    status = scan(open_store(output))
    assert (status.partitions["failed"], status.parked[0].failures) == (1, 3)
    assert status_command(["--output", str(output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["parked"]
    assert [(entry["partition"], entry["failures"]) for entry in told] == [(1, 3)]
    assert status_command(["--output", str(output)]) == 0
    assert "parked" in (text := capsys.readouterr().out) and "--retry-failed" in text

    again = execute(run)  # nothing else is left: it says so at once, and does not try
    assert (again.exit_code, list(again.parked)) == (1, [1])
    assert again.notes == ("partition 1 failed too often and stays parked; --retry-failed tries it again",)

    (tmp_path / "whole.parquet").replace(manifest)
    mended = execute(small_run(films, output, chain(), retry_failed=True))
    assert (mended.exit_code, dict(mended.parked)) == (0, {})
    assert not list((output / "parked").iterdir())
    assert scan(open_store(output)).complete
    assert list(verify(open_store(output))) == []


@pytest.mark.usefixtures("ray_session")
def test_a_shard_that_is_damaged_before_its_commit_is_made_again(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from pipeline import commit

    hurt: list[str] = []

    def compact(objects, partition, entries, *others):
        if partition == 0 and not hurt:
            hurt.append(entries[0].key)
            path = output / entries[0].key
            path.write_bytes(path.read_bytes()[:-9])
        return whole(objects, partition, entries, *others)

    whole, output = commit.compact, tmp_path / "run"
    monkeypatch.setattr(commit, "compact", compact)
    summary = execute(small_run(films, output, chain()))
    assert hurt
    assert (summary.exit_code, summary.progress.videos_done) == (0, 5)
    assert list(verify(open_store(output))) == []
    assert read_failures(open_store(output)) == {}


def test_a_run_whose_only_partitions_are_parked_ends_at_once(tmp_path: Path):
    from pipeline.opening import open_run

    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_bytes(b"not really")
    output = tmp_path / "out"
    run = a_run(tmp_path / "videos", output, small_chain())
    open_run(run, open_store(output))
    write_failures(open_store(output), PartitionFailures(partition=0, failures=3, reason="damaged", epoch=1))
    summary = execute(run)
    assert (summary.exit_code, dict(summary.parked)) == (1, {0: "damaged"})
