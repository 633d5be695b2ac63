"""A run that grows: new partitions, nothing old touched, whatever broke off between."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import store
from operators.errors import LeaseLost, RunMismatch, StorageError
from pipeline.appending import append
from pipeline.opening import Run, open_run, partition_ids
from pipeline.rejudge import rejudge
from pipeline.run import execute
from store.clean import clean
from store.lease import Lease
from store.local import LocalStore
from store.markers import read_success
from store.objects import ObjectStore, open_store
from store.run_record import RunRecord, read_run
from store.status import scan
from store.verify import verify
from store.video_entry import ManifestError
from tests.pipeline import small_run as without_ray
from tests.pipeline.run_chain import chain as film_chain
from tests.pipeline.run_chain import small_run, write_film
from tests.pipeline.small_chain import chain
from tests.pipeline.small_run import a_run, clips_in, make_videos


class Watched(LocalStore):
    """A folder that counts what is read by the first segment of the key, and can refuse a write."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads: Counter[str] = Counter()
        self.refuses = ""
        self.before_create: Callable[[str], None] = lambda key: None

    def read(self, key: str) -> tuple[bytes, str]:
        self.reads[key.split("/")[0]] += 1
        return super().read(key)

    def create(self, key: str, data: bytes) -> bool:
        self.before_create(key)
        if self.refuses and key.startswith(self.refuses):
            raise StorageError(f"{key}: the machine was switched off")
        return super().create(key, data)


def grow(run: Run, objects: ObjectStore) -> tuple[RunRecord, tuple[str, ...]]:
    with Lease.acquire(objects, term=30) as lease:
        grown = append(run, objects, open_run(run, objects)[0], lease)
    return grown.record, grown.notes


def files(output: Path, *but: str) -> dict[str, tuple[bytes, int]]:
    """Everything below `output` by its path, with its time of change, but what lies in `but`."""
    found = (path for path in output.rglob("*") if path.is_file())
    named = {str(path.relative_to(output)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}
    return {name: what for name, what in named.items() if name.split("/")[0] not in {"lease.json", *but}}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_videos(tmp_path / "videos", 5)


@pytest.fixture
def more(tmp_path: Path) -> Path:
    folder = tmp_path / "more"
    folder.mkdir()
    for name in ("x", "y", "z"):
        (folder / f"{name}.mp4").write_bytes(b"not really")
    return folder


def adding(more: Path, output: Path, **options: Any) -> Run:
    return a_run(more, output, chain(), append=True, **options)


def test_new_videos_become_partitions_of_the_runs_own_size(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    open_run(a_run(videos, output, chain(), partition_size=2), open_store(output))
    before = files(output)
    record, notes = grow(adding(more, output), open_store(output))
    assert notes == ("3 of 3 videos are new; partitions 3–4 added", "the run's own partition size applies: 2")
    assert read_run(open_store(output)) == record
    assert (record.n_partitions, record.n_videos) == (5, 8)
    assert [record.videos_in(partition) for partition in range(5)] == [2, 2, 1, 2, 1]
    assert [len(partition_ids(open_store(output), partition)) for partition in range(5)] == [2, 2, 1, 2, 1]
    assert record.inputs == ((str(videos), None), (str(more), None))
    after = files(output)
    assert {name: after[name] for name in before} == before


def test_the_same_append_adds_nothing_and_a_folder_that_has_grown_adds_what_is_new(tmp_path: Path, videos: Path):
    output = tmp_path / "out"
    without_ray.execute(a_run(videos, output, chain(), partition_size=2))
    again = a_run(videos, output, chain(), partition_size=2, append=True)
    record, notes = grow(again, open_store(output))
    assert notes == ("none of the 5 videos of the input is new: nothing was added",)
    assert (record.n_partitions, record.appended) == (3, ())
    (videos / "late.mp4").write_bytes(b"new")
    assert grow(again, open_store(output))[1] == ("1 of 6 videos is new; partition 3 added",)
    assert grow(again, open_store(output))[1] == ("none of the 6 videos of the input is new: nothing was added",)
    record = read_run(open_store(output))
    assert record is not None
    assert (record.n_partitions, record.n_videos, record.videos_in(3)) == (4, 6, 1)


def test_a_trial_with_a_limit_grows_to_the_whole_input(tmp_path: Path, videos: Path):
    output = tmp_path / "out"
    open_run(a_run(videos, output, chain(), partition_size=2, limit=2), open_store(output))
    record, notes = grow(a_run(videos, output, chain(), partition_size=2, append=True), open_store(output))
    assert notes == ("3 of 5 videos are new; partitions 1–2 added",)
    for limit in (2, None):
        run = a_run(videos, output, chain(), partition_size=2, limit=limit)
        assert open_run(run, open_store(output))[0] == record
    with pytest.raises(RunMismatch, match=r"limit: 2 → 4[\s\S]*--append"):
        open_run(a_run(videos, output, chain(), partition_size=2, limit=4), open_store(output))


def test_a_grown_run_is_resumed_with_any_of_its_inputs_and_no_other(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    open_run(a_run(videos, output, chain(), partition_size=2), open_store(output))
    record, _ = grow(adding(more, output), open_store(output))
    for folder in (videos, more):
        assert open_run(a_run(folder, output, chain(), partition_size=2), open_store(output))[0] == record
    other = make_videos(tmp_path / "other", 1)
    with pytest.raises(RunMismatch, match=r"input: .*videos → .*other[\s\S]*with --append"):
        open_run(a_run(other, output, chain(), partition_size=2), open_store(output))


def test_other_settings_cannot_be_appended(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    open_run(a_run(videos, output, chain(), partition_size=2), open_store(output))
    with pytest.raises(RunMismatch, match=r"tell\.word: sharp → crisp"):
        grow(a_run(more, output, chain(word="crisp"), append=True), open_store(output))
    assert not (output / "appended").exists()


def test_a_file_of_the_same_name_elsewhere_is_not_taken_for_a_video_of_the_run(tmp_path: Path, videos: Path):
    output, other = tmp_path / "out", make_videos(tmp_path / "other", 2)
    open_run(a_run(videos, output, chain(), partition_size=2), open_store(output))
    assert grow(adding(other, output), open_store(output))[1][0].startswith("none of the 2")  # a folder that moved
    (other / "film1.mp4").write_bytes(b"another film")
    with pytest.raises(ManifestError, match=r"1 videos of .* the video_id of [\s\S]*film1-[\s\S]*in a manifest"):
        grow(adding(other, output), open_store(output))
    (videos / "film0.mp4").write_bytes(b"cut anew")
    _, notes = grow(a_run(videos, output, chain(), partition_size=2, append=True), open_store(output))
    assert "1 videos changed since they were added, such as film0-" in notes[1]


@pytest.mark.parametrize("at", ["manifest/00004", "appended/"])
def test_an_append_that_breaks_off_is_done_again_by_the_same_command(
    tmp_path: Path, videos: Path, more: Path, at: str
):
    output = tmp_path / "out"
    without_ray.execute(a_run(videos, output, chain(), partition_size=2))
    before = files(output)
    objects = Watched(output)
    objects.refuses = at
    with pytest.raises(StorageError, match="switched off"):
        grow(adding(more, output), objects)
    record = read_run(open_store(output))
    assert record is not None
    assert record.n_partitions == 3
    assert (output / "manifest" / "00003.parquet").exists()
    assert list(verify(open_store(output))) == []
    left = make_videos(tmp_path / "left", 1)  # other videos may come first: they replace what was left behind
    (left / "film0.mp4").rename(left / "first.mp4")
    assert grow(adding(left, output), open_store(output))[1][0] == "1 of 1 videos is new; partition 3 added"
    assert grow(adding(more, output), open_store(output))[1][0] == "3 of 3 videos are new; partitions 4–5 added"
    ids = [name.rsplit("-", 1)[0] for partition in (3, 4, 5) for name in partition_ids(open_store(output), partition)]
    assert ids == ["first", "x", "y", "z"]
    after = files(output)
    assert {name: after[name] for name in before} == before


def test_a_writer_that_slept_neither_grows_the_run_nor_replaces_a_manifest(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    without_ray.execute(a_run(videos, output, chain(), partition_size=2))
    other = make_videos(tmp_path / "other", 3)
    for number in range(3):
        (other / f"film{number}.mp4").rename(other / f"other{number}.mp4")
    sleeper, awake = Watched(output), threading.Lock()
    with Lease.acquire(sleeper, term=8) as lease:
        record, _ = open_run(adding(more, output), sleeper)

        def sleep_while_another_writes(key: str) -> None:
            with awake:
                if not (output / "appended").exists():
                    (output / "lease.json").unlink()
                    grow(adding(other, output), open_store(output))
                    with pytest.raises(LeaseLost):
                        for _ in range(600):
                            lease.check()
                            time.sleep(0.1)

        sleeper.before_create = sleep_while_another_writes
        with pytest.raises(LeaseLost):
            append(adding(more, output), sleeper, record, lease)
    grown = read_run(open_store(output))
    assert grown is not None
    assert grown.inputs[1][0] == str(other)
    assert [name[:5] for name in partition_ids(open_store(output), 3)] == ["other", "other"]
    assert [name[:5] for name in partition_ids(open_store(output), 4)] == ["other"]


def test_appending_reads_manifests_and_nothing_that_was_made_of_them(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    without_ray.execute(a_run(videos, output, chain(), partition_size=2))
    objects = Watched(output)
    grow(adding(more, output), objects)
    assert objects.reads["manifest"] == 3
    assert set(objects.reads) <= {"run.json", "lease.json", "manifest"}


def test_what_reads_or_changes_a_run_does_so_with_a_grown_one(tmp_path: Path, videos: Path, more: Path):
    output = tmp_path / "out"
    run = a_run(videos, output, chain(), partition_size=2)
    open_run(run, open_store(output))
    grow(adding(more, output), open_store(output))
    without_ray.execute(run)  # with the first input: does both
    dataset = store.open(str(output))
    assert (len(dataset.markers), dataset.count(), dataset.run.n_videos) == (5, 24, 8)
    done = rejudge(open_store(output), lambda row: ("hq", None, None), annotated_by=frozenset())
    assert done.clips == 24
    assert read_success(open_store(output)) == dict.fromkeys(range(5), 2)
    clean(open_store(output), 0)
    assert scan(open_store(output)).complete
    assert list(verify(open_store(output))) == []
    assert len(clips_in(output)) == 24


def test_a_run_that_reuses_a_grown_one_has_its_partitions_and_grows_on(tmp_path: Path, videos: Path, more: Path):
    old, new = tmp_path / "old", tmp_path / "new"
    open_run(a_run(videos, old, chain(), partition_size=2), open_store(old))
    grow(adding(more, old), open_store(old))
    without_ray.execute(a_run(videos, old, chain(), partition_size=2))
    run = a_run(more, new, chain(word="crisp"), partition_size=2, reuse=str(old))
    reuse = without_ray.execute(run)
    record = read_run(open_store(new))
    assert reuse is not None
    assert record is not None
    assert (record.n_partitions, record.n_videos, record.inputs[1][0]) == (5, 8, str(more))
    assert [record.videos_in(partition) for partition in range(5)] == [2, 2, 1, 2, 1]
    assert [row["clip_id"] for row in clips_in(new)] == [row["clip_id"] for row in clips_in(old)]
    (more / "w.mp4").write_bytes(b"new")
    again = a_run(more, new, chain(word="crisp"), partition_size=2, append=True)
    assert grow(again, open_store(new))[1] == ("1 of 4 videos is new; partition 5 added",)
    assert (new / "appended" / "00002.json").exists()
    assert read_run(open_store(new)).n_videos == 9  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders of small films."""
    first, second = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("second")
    for name, shots in (("a", [24, 30]), ("b", [30]), ("c", [18, 20])):
        write_film(first / f"{name}.mp4", shots)
    for name, shots in (("k", [20, 22, 18]), ("l", [30]), ("m", [24, 16])):
        write_film(second / f"{name}.mp4", shots)
    return first, second


@pytest.mark.usefixtures("ray_session")
def test_a_finished_run_grows_and_nothing_old_is_done_again(halves: tuple[Path, Path], tmp_path: Path):
    first, second = halves
    output = tmp_path / "run"
    assert execute(small_run(first, output, film_chain())).exit_code == 0
    before, old_success = files(output, "_SUCCESS"), read_success(open_store(output))
    summary = execute(small_run(second, output, film_chain(), append=True, partition_size=64))
    assert summary.exit_code == 0
    assert summary.notes[0] == "3 of 3 videos are new; partitions 2–3 added"
    assert (summary.progress.videos_resumed, summary.progress.videos_total) == (3, 6)
    after = files(output, "_SUCCESS")
    assert {name: after[name] for name in before} == before
    markers = store.open(str(output)).markers
    assert [markers[partition].operators["namer"].clips for partition in (2, 3)] == [4, 2]
    assert old_success == {0: 1, 1: 1}
    assert read_success(open_store(output)) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert list(verify(open_store(output))) == []
    status = scan(open_store(output))
    assert status.complete
    assert (status.n_videos, status.videos["done"]) == (6, 6)
    assert status.as_dict()["appended"][0]["input"] == str(second)
    texts = _texts(str(output))
    assert texts == {clip_id: f"clip {clip_id}." for clip_id in texts}
    assert len(texts) == 11


@pytest.mark.usefixtures("ray_session")
def test_a_run_that_is_not_finished_grows_too_and_both_are_done(halves: tuple[Path, Path], tmp_path: Path):
    first, second = halves
    output = tmp_path / "run"
    open_run(small_run(first, output, film_chain()), open_store(output))
    summary = execute(small_run(second, output, film_chain(), append=True))
    assert summary.exit_code == 0
    assert (summary.progress.videos_done, summary.progress.partitions_committed) == (6, 4)
    assert list(verify(open_store(output))) == []


def _texts(output: str) -> dict[str, str]:
    tables = store.open(output).clips(["clip_id", "merge_caption"], dropped=True)
    return {row["clip_id"]: row["merge_caption"] for table in tables for row in table.to_pylist()}


def test_an_append_on_s3_that_is_killed_goes_on_with_the_same_command(
    halves: tuple[Path, Path], s3_bucket: str
) -> None:
    output = f"{s3_bucket}/run"
    job = [sys.executable, "-m", "tests.pipeline.run_chain", "--pause", "0.7", "--term", "4"]
    told = {"capture_output": True, "text": True, "timeout": 400, "check": False}
    first = subprocess.run([*job, str(halves[0]), output], **told)  # type: ignore[call-overload]
    assert first.returncode == 0, first.stderr
    objects = open_store(output)
    before = {info.key: info.etag for info in objects.list() if info.key not in ("lease.json", "_SUCCESS")}
    growing = [*job, str(halves[1]), output, "--append"]
    victim = subprocess.Popen(growing, start_new_session=True)
    try:
        end = time.monotonic() + 240
        while not any(info.key.split("/")[1] >= "00002" for info in objects.list("attempts/")):
            assert victim.poll() is None and time.monotonic() < end
            time.sleep(0.2)
    finally:
        family = psutil.Process(victim.pid).children(recursive=True) if victim.poll() is None else []
        victim.kill()
        for process in psutil.wait_procs(family, timeout=10)[1]:
            process.kill()
        victim.wait()
    assert read_success(objects) == {0: 1, 1: 1}
    assert scan(objects).complete is False
    assert list(verify(objects)) == []
    assert len(_texts(output)) == 5  # readers see what was complete before
    done = subprocess.run(growing, **told)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    assert "none of the 3 videos of the input is new" in done.stdout
    assert read_success(objects) == {0: 1, 1: 1, 2: 1, 3: 1}
    assert list(verify(objects)) == []
    after = {info.key: info.etag for info in objects.list()}
    assert {key: after.get(key) for key in before} == before
    assert len(_texts(output)) == 11
