from __future__ import annotations

from pathlib import Path

import pytest

from operators.errors import ConfigurationError, RunMismatch
from pipeline.chain import fingerprint, lineages
from pipeline.opening import open_run, partition_ids
from store.manifest import read_partition
from store.objects import open_store
from store.run_record import read_run
from store.schema import SCHEMA_VERSION
from tests.pipeline.small_chain import Judge, Score, chain
from tests.pipeline.small_run import a_run, execute, make_videos


class Tiers(Judge):
    name = "tiers"


class NewerScore(Score):
    version = 2


NewerScore.__module__, NewerScore.__qualname__ = Score.__module__, Score.__qualname__


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_videos(tmp_path / "videos", 5)


def test_a_new_output_gets_a_record_and_a_manifest(tmp_path: Path, videos: Path):
    run = a_run(videos, tmp_path / "out", chain(), partition_size=2)
    store = open_store(run.output)
    record, reuse = open_run(run, store)
    assert reuse is None
    assert read_run(store) == record
    assert (record.n_partitions, record.n_videos, record.schema_version) == (3, 5, SCHEMA_VERSION)
    assert record.fingerprint == fingerprint(lineages(run.chain))
    assert [operator.name for operator in record.operators] == ["split", "score", "judge", "listen", "tell"]
    assert record.operators[1].writes == {"sharpness": "float"}
    ids = [partition_ids(store, partition) for partition in range(3)]
    assert [len(part) for part in ids] == [2, 2, 1]
    assert len({video_id for part in ids for video_id in part}) == 5


def test_the_same_command_opens_the_same_run_and_does_not_read_the_input_again(tmp_path: Path, videos: Path):
    run = a_run(videos, tmp_path / "out", chain(), partition_size=2)
    record, _ = open_run(run, open_store(run.output))
    (videos / "late.mp4").write_bytes(b"new")
    again, _ = open_run(run, open_store(run.output))
    assert again == record


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"partition_size": 3}, r"partition_size: 2 → 3"),
        ({"partition_size": 2, "limit": 1}, r"limit: not set → 1"),
        ({"partition_size": 2, "keep_media": True}, r"media: not set → keep"),
    ],
)
def test_another_shape_of_the_run_is_refused_with_the_difference(
    tmp_path: Path, videos: Path, options: dict, difference: str
):
    open_run(a_run(videos, tmp_path / "out", chain(), partition_size=2), open_store(tmp_path / "out"))
    other = a_run(videos, tmp_path / "out", chain(), **options)
    with pytest.raises(RunMismatch, match=difference):
        open_run(other, open_store(tmp_path / "out"))


def test_another_configuration_is_refused_with_the_difference_and_the_ways_out(tmp_path: Path, videos: Path):
    open_run(a_run(videos, tmp_path / "out", chain()), open_store(tmp_path / "out"))
    with pytest.raises(RunMismatch) as refused:
        open_run(a_run(videos, tmp_path / "out", chain(word="crisp")), open_store(tmp_path / "out"))
    message = str(refused.value)
    assert "tell.word: sharp → crisp" in message
    assert f"--reuse {tmp_path / 'out'}" in message
    assert "jobs.rejudge" not in message


def test_where_only_thresholds_differ_the_cheapest_way_is_named(tmp_path: Path, videos: Path):
    def run(height: int):
        operators = chain(drop=height)
        operators[2] = Tiers(operators[2].settings)
        return a_run(videos, tmp_path / "out", operators)

    open_run(run(1), open_store(tmp_path / "out"))
    with pytest.raises(RunMismatch, match=r"python -m jobs\.rejudge --output"):
        open_run(run(2), open_store(tmp_path / "out"))


def test_a_raised_version_of_an_operator_is_noticed(tmp_path: Path, videos: Path):
    open_run(a_run(videos, tmp_path / "out", chain()), open_store(tmp_path / "out"))
    operators = chain()
    operators[1] = NewerScore(operators[1].settings)
    with pytest.raises(RunMismatch, match="operator score: its version or model"):
        open_run(a_run(videos, tmp_path / "out", operators), open_store(tmp_path / "out"))


def test_reuse_copies_the_manifest_of_the_old_run(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=2))
    (videos / "late.mp4").write_bytes(b"new")
    run = a_run(videos, tmp_path / "new", chain(word="crisp"), partition_size=2, reuse=str(tmp_path / "old"))
    record, reuse = open_run(run, open_store(run.output))
    assert reuse is not None
    assert reuse.unchanged == {"split", "score", "judge", "listen"}
    assert reuse.replayable
    assert record.n_videos == 5
    for partition in range(3):
        assert read_partition(open_store(run.output), partition) == read_partition(
            open_store(tmp_path / "old"), partition
        )
    again, reuse = open_run(run, open_store(run.output))
    assert again == record
    assert reuse is not None


@pytest.mark.parametrize(
    ("options", "difference"),
    [({"partition_size": 3}, "partition_size: 2 → 3"), ({"partition_size": 2, "limit": 4}, "limit: None → 4")],
)
def test_reuse_on_other_partitions_is_refused(tmp_path: Path, videos: Path, options: dict, difference: str):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=2))
    run = a_run(videos, tmp_path / "new", chain(), reuse=str(tmp_path / "old"), **options)
    with pytest.raises(RunMismatch, match=difference):
        open_run(run, open_store(run.output))
    assert read_run(open_store(run.output)) is None


def test_reuse_of_nothing_is_refused(tmp_path: Path, videos: Path):
    (tmp_path / "empty").mkdir()
    run = a_run(videos, tmp_path / "new", chain(), reuse=str(tmp_path / "empty"))
    with pytest.raises(RunMismatch, match="holds no run"):
        open_run(run, open_store(run.output))


def test_an_input_without_videos_leaves_no_record(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    run = a_run(tmp_path / "empty", tmp_path / "out", chain())
    with pytest.raises(ConfigurationError, match="no video"):
        open_run(run, open_store(run.output))
    assert read_run(open_store(run.output)) is None
