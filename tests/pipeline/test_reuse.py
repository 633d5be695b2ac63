from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from operators.contract import Operator, Row
from operators.errors import RunMismatch
from pipeline.meter import Meter
from pipeline.opening import open_run
from pipeline.reuse import PARTITIONS_KEPT, reuse_of
from pipeline.source import Batch
from pipeline.worker import VideoWorker
from store.local import LocalStore
from store.objects import open_store
from tests.pipeline.small_chain import Judge, Listen, Score, Split, chain, gated_chain
from tests.pipeline.small_run import a_run, clips_in, execute, make_videos, order_of


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_videos(tmp_path / "videos", 3)


def clips_of(tmp_path: Path, videos: Path, name: str, operators: list[Operator], **options: Any) -> list[Row]:
    execute(a_run(videos, tmp_path / name, operators, partition_size=2, **options))
    return clips_in(tmp_path / name)


def watch(operators: list[Operator]) -> dict[str, int]:
    """Counts what each operator really does from now on: videos split, clips annotated."""
    counts = {operator.name: 0 for operator in operators}

    def counted(operator: Any, method: str) -> None:
        whole = getattr(operator, method)

        def call(given: Any) -> Any:
            counts[operator.name] += len(given) if method == "annotate" else 1
            return whole(given)

        setattr(operator, method, call)

    for operator in operators:
        counted(operator, "split" if isinstance(operator, Split) else "annotate")
    return counts


@pytest.mark.parametrize(
    ("before", "after", "work"),
    [
        ({}, {}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "tell": 0}),
        ({}, {"word": "crisp"}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "tell": 9}),
        ({"drop": 1}, {"drop": 1, "word": "crisp"}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "tell": 6}),
        ({}, {"drop": 1}, {"split": 3, "score": 0, "judge": 9, "listen": 0, "tell": 0}),
        ({"drop": 1}, {}, {"split": 3, "score": 0, "judge": 9, "listen": 3, "tell": 3}),
        ({"drop": 1}, {"drop": 2}, {"split": 3, "score": 0, "judge": 9, "listen": 3, "tell": 3}),
        ({}, {"base": 0.25}, {"split": 3, "score": 9, "judge": 9, "listen": 0, "tell": 9}),
        ({}, {"length": 50}, {"split": 3, "score": 9, "judge": 9, "listen": 9, "tell": 9}),
    ],
)
def test_reuse_gives_the_rows_of_a_fresh_run_for_less_work(
    tmp_path: Path, videos: Path, before: dict, after: dict, work: dict[str, int]
):
    execute(a_run(videos, tmp_path / "old", chain(**before), partition_size=2))
    fresh = clips_of(tmp_path, videos, "fresh", chain(**after))
    operators = chain(**after)
    counts = watch(operators)
    assert clips_of(tmp_path, videos, "new", operators, reuse=str(tmp_path / "old")) == fresh
    assert counts == work


@pytest.mark.parametrize(
    ("before", "after", "work"),
    [
        ({"gate": 1}, {"gate": 1}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "gate": 0, "tell": 0}),
        ({"gate": 1}, {}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "gate": 9, "tell": 3}),
        ({"gate": 1}, {"gate": 2}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "gate": 9, "tell": 3}),
        ({"drop": 0, "gate": 1}, {"drop": 0}, {"split": 0, "score": 0, "judge": 0, "listen": 0, "gate": 6, "tell": 3}),
        ({"drop": 0}, {"gate": 1}, {"split": 3, "score": 0, "judge": 9, "listen": 3, "gate": 9, "tell": 3}),
    ],
)
def test_a_late_verdict_is_given_again_without_the_videos(
    tmp_path: Path, videos: Path, before: dict, after: dict, work: dict[str, int]
):
    execute(a_run(videos, tmp_path / "old", gated_chain(**before), partition_size=2))
    fresh = clips_of(tmp_path, videos, "fresh", gated_chain(**after))
    assert {row["drop_reason"] for row in fresh if row["clip_index"] == after.get("gate")} <= {"gated"}
    operators = gated_chain(**after)
    counts = watch(operators)
    assert clips_of(tmp_path, videos, "new", operators, reuse=str(tmp_path / "old")) == fresh
    assert counts == work


def test_an_operator_that_was_removed_leaves_no_column_behind(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=2))
    shorter = chain()[:3]
    fresh = clips_of(tmp_path, videos, "fresh", shorter)
    assert clips_of(tmp_path, videos, "new", shorter, reuse=str(tmp_path / "old")) == fresh
    assert all(row["loudness"] is None for row in fresh)


def test_without_the_judge_what_it_dropped_is_made_up_for(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(drop=1), partition_size=2))
    operators = [operator for operator in chain() if operator.name != "judge"]
    fresh = clips_of(tmp_path, videos, "fresh", operators)
    counts = watch(operators)
    assert clips_of(tmp_path, videos, "new", operators, reuse=str(tmp_path / "old")) == fresh
    assert counts == {"split": 3, "score": 0, "listen": 3, "tell": 3}


def test_a_clip_that_failed_is_split_and_tried_again(tmp_path: Path, videos: Path):
    class Failing(Score):
        failing = True

        def annotate(self, clips):
            if self.failing and any(clip["clip_index"] == 2 for clip in clips):
                raise ValueError("not now")
            return super().annotate(clips)

    old, new = [[Split(), Failing(), Judge(), Listen()] for _ in range(2)]
    execute(a_run(videos, tmp_path / "old", old, partition_size=2))
    assert len(clips_in(tmp_path / "old")) == 6
    new[1].failing = False
    counts = watch(new)
    assert len(clips_of(tmp_path, videos, "new", new, reuse=str(tmp_path / "old"))) == 9
    assert counts == {"split": 3, "score": 3, "judge": 3, "listen": 3}


def test_clips_with_another_span_are_done_anew(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=3))
    reuse, _ = reuse_of(open_store(tmp_path / "old"), chain(word="crisp", drop=1))
    video_id = clips_in(tmp_path / "old")[0]["video_id"]
    same, moved = Split().split({"video_id": video_id}), Split(Split.Settings(length=70)).split({"video_id": video_id})
    assert [row.get("reused") for row in reuse.restore(0, video_id, same)] == [{"split", "score", "listen"}] * 3 + [
        None
    ]
    assert [row.get("reused") for row in reuse.restore(0, video_id, moved)] == [None] * 4


def test_what_the_old_run_did_not_commit_is_done_as_usual(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=2))
    old = open_store(tmp_path / "old")
    old.delete([info.key for info in old.list("commits/00000/")])
    operators = chain(word="crisp")
    counts = watch(operators)
    assert len(clips_of(tmp_path, videos, "new", operators, reuse=str(tmp_path / "old"))) == 9
    assert counts == {"split": 2, "score": 6, "judge": 6, "listen": 6, "tell": 9}


def test_replayed_clips_that_storage_has_already_are_not_told_again(tmp_path: Path, videos: Path):
    execute(a_run(videos, tmp_path / "old", chain(), partition_size=3))
    run = a_run(videos, tmp_path / "new", chain(word="crisp"), partition_size=3, reuse=str(tmp_path / "old"))
    store = open_store(run.output)
    _, reuse = open_run(run, store)
    (task, *_) = Batch(partition=0, n_videos=3, known={}).tasks(store)
    task.have.update({0: (0, 100), 1: (100, 200)})
    rows = list(VideoWorker(order_of(run, store, reuse), run.chain).rows(task, Meter(run.chain)))
    assert [row.get("clip_index") for row in rows] == [2, None]


def test_partitions_that_take_turns_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    execute(a_run(make_videos(tmp_path / "videos", 6), tmp_path / "old", chain(), partition_size=1))

    reuse, _ = reuse_of(open_store(tmp_path / "old"), chain())
    reads: list[int] = []
    read = reuse._read
    monkeypatch.setattr(reuse, "_read", lambda partition: reads.append(partition) or read(partition))
    for partition in (0, 1, 0, 1, 0):
        assert reuse.video(partition, "nobody") is None
    assert reads == [0, 1]
    for partition in range(6):
        reuse.video(partition, "nobody")
    assert reads == [0, 1, 2, 3, 4, 5]
    assert len(reuse._read_before) == PARTITIONS_KEPT


def test_a_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(RunMismatch, match="holds no run"):
        reuse_of(LocalStore(str(tmp_path)), chain())
