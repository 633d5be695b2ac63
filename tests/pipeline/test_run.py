"""The engine on real video, in this process: everything is accounted for, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import store
from operators.errors import ChainError, EngineError, RunMismatch
from pipeline.meter import Meter
from pipeline.run import execute, plan
from store.markers import Marker, read_markers
from store.objects import open_store
from store.verify import verify
from tests.pipeline.run_chain import chain, small_run

pytestmark = pytest.mark.usefixtures("ray_session")


def rows(output: Path | str) -> dict[str, dict[str, Any]]:
    found = [row for table in store.open(str(output)).clips(dropped=True) for row in table.to_pylist()]
    assert len({row["clip_id"] for row in found}) == len(found)
    return {row["clip_id"]: row for row in found}


def markers(output: Path) -> list[Marker]:
    return list(read_markers(open_store(output)).values())


def calls(output: Path, operator: str) -> int:
    return sum(marker.operators[operator].clips for marker in markers(output) if operator in marker.operators)


def in_process(films: Path, entries: dict[str, str]) -> dict[str, str]:
    """Captions of the same chain without Ray, storage or child process, by clip id."""
    operators = chain()
    for operator in operators:
        operator.setup()
    captions = {}
    for video_id, uri in entries.items():
        video = {"record": "video_in", "video_id": video_id, "uri": uri, "size": None, "etag": None, "extra": None}
        for row in Meter(operators).run(operators, [video]):
            if row["record"] == "clip" and not row["error"]:
                captions[row["clip_id"]] = row.get("merge_caption")
    return captions


@pytest.fixture(scope="module")
def first(films: Path, tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Path:
    """A run in which one clip fails, one video breaks off and one has its only clip dropped."""
    output = tmp_path_factory.mktemp("runs") / "first"
    execute(small_run(films, output, chain(fails="c-two", unless=str(output / "mended"))))
    return output


def test_every_video_and_clip_is_accounted_for(first: Path) -> None:
    assert list(verify(open_store(first))) == []
    total = {status: sum(m.videos[status] for m in markers(first)) for status in ("done", "partial", "failed")}
    assert sum(total.values()) == 5
    assert total["partial"] == 2
    failed = [row for table in store.open(str(first)).failed() for row in table.to_pylist()]
    assert sorted({row["error"]["kind"] for row in failed}) == ["decode", "model"]
    assert {row["clip_index"] for row in failed if row["error"]["kind"] == "model"} == {0, 1}


def test_a_dropped_clip_keeps_its_scores_and_its_reason(first: Path) -> None:
    (short,) = [row for clip_id, row in rows(first).items() if clip_id.startswith("d-short")]
    assert short["drop_reason"] == "shorter_than_min_duration"
    assert short["sharpness"] is not None
    assert short["caption"] is None
    assert sum(m.drop_reasons.get("shorter_than_min_duration", 0) for m in markers(first)) == 1


def test_rows_are_those_of_the_operators_without_engine(first: Path, films: Path) -> None:
    records = [row for table in store.open(str(first)).videos() for row in table.to_pylist()]
    expected = in_process(films, {row["video_id"]: row["video_path"] for row in records})
    found = {clip_id: row["merge_caption"] for clip_id, row in rows(first).items()}
    assert found == {clip_id: text for clip_id, text in expected.items() if not clip_id.startswith("c-two")}
    assert all(text == f"clip {clip_id}." for clip_id, text in found.items() if text)


def test_running_again_does_nothing(first: Path, films: Path) -> None:
    before = sorted(path for path in first.rglob("*") if path.name != "lease.json")
    operators = chain(fails="c-two", unless=str(first / "mended"))
    summary = execute(small_run(films, first, operators))
    assert summary.exit_code == 0
    assert summary.progress.videos_resumed == 5
    assert sorted(path for path in first.rglob("*") if path.name != "lease.json") == before


def test_another_configuration_is_refused_with_the_difference(first: Path, films: Path) -> None:
    with pytest.raises(RunMismatch, match="fuser"):
        execute(small_run(films, first, chain(suffix="!", fails="c-two", unless=str(first / "mended"))))
    with pytest.raises(RunMismatch, match="partition_size: 2 → 3"):
        execute(small_run(films, first, chain(fails="c-two", unless=str(first / "mended")), partition_size=3))


def test_reuse_runs_only_what_changed(first: Path, films: Path, tmp_path: Path) -> None:
    operators = chain(suffix="!", fails="c-two", unless=str(first / "mended"))
    execute(small_run(films, tmp_path / "new", operators, reuse=str(first)))
    old, new = rows(first), rows(tmp_path / "new")
    assert {clip_id: row["caption"] for clip_id, row in new.items()} == {c: row["caption"] for c, row in old.items()}
    assert all(row["merge_caption"] == row["caption"] + "!" for row in new.values() if row["caption"])
    whole = [
        clip_id for clip_id, row in old.items() if row["caption"] and not clip_id.startswith(("c-two", "e-broken"))
    ]
    assert len(whole) == 4
    # The broken video and the one with failed clips are split again; of theirs, what stands is restored.
    assert calls(tmp_path / "new", "fuser") == sum(bool(row["caption"]) for row in old.values())
    assert calls(tmp_path / "new", "quality") == 2
    assert list(verify(open_store(tmp_path / "new"))) == []


def test_other_thresholds_with_reuse_annotate_only_what_was_never_annotated(
    first: Path, films: Path, tmp_path: Path
) -> None:
    operators = chain(min_duration=0.1, fails="c-two", unless=str(first / "mended"))
    execute(small_run(films, tmp_path / "new", operators, reuse=str(first)))
    new = rows(tmp_path / "new")
    (short,) = [row for clip_id, row in new.items() if clip_id.startswith("d-short")]
    assert short["tier"] == "visual"
    assert short["merge_caption"] == f"clip {short['clip_id']}."
    assert calls(tmp_path / "new", "namer") == 1 + 2


def test_failures_are_done_again_and_nothing_else(films: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    operators = chain(fails="c-two", unless=str(tmp_path / "mended"))
    execute(small_run(films, output, operators))
    before = rows(output)
    (tmp_path / "mended").touch()
    summary = execute(small_run(films, output, operators, retry_failed=True))
    assert summary.exit_code == 0
    after = rows(output)
    assert {clip_id: after[clip_id] for clip_id in before} == before
    assert sorted(clip_id[-1] for clip_id in after.keys() - before.keys()) == ["0", "1"]
    assert max(marker.generation for marker in markers(output)) == 2
    again = [marker for marker in markers(output) if marker.generation == 2]
    assert sum(marker.operators["namer"].clips for marker in again) == 2
    assert list(verify(open_store(output))) == []


def test_a_stage_on_a_gpu_gives_the_same_rows(first: Path, films: Path, tmp_path: Path) -> None:
    operators = chain(gpu=True, fails="c-two", unless=str(first / "mended"))
    planned = plan(small_run(films, tmp_path / "run", operators))
    assert [stage.name for stage in planned.stages] == ["shots+quality+text+tiers", "namer", "fuser"]
    execute(small_run(films, tmp_path / "run", operators))
    assert rows(tmp_path / "run") == rows(first)
    assert list(verify(open_store(tmp_path / "run"))) == []
    assert calls(tmp_path / "run", "namer") == calls(first, "namer")


@pytest.mark.parametrize("gpu", [False, True])
def test_an_engine_that_is_down_ends_the_run_and_convicts_nobody(films: Path, tmp_path: Path, gpu: bool) -> None:
    output, mended = tmp_path / "run", tmp_path / "mended"
    operators = chain(gpu=gpu, halts="a-three", unless=str(mended))
    with pytest.raises(EngineError, match=r"server of the model is down\. What is committed"):
        execute(small_run(films, output, operators))
    mended.touch()
    summary = execute(small_run(films, output, chain(gpu=gpu, halts="a-three", unless=str(mended))))
    assert summary.exit_code == 0
    assert {clip_id.rsplit("-", 1)[0] for clip_id in rows(output)} >= {"a-three", "b-one", "c-two"}
    failed = [row for table in store.open(str(output)).failed() for row in table.to_pylist()]
    assert {row["error"]["kind"] for row in failed} == {"decode"}  # the film that breaks off
    assert list(verify(open_store(output))) == []


def test_a_clip_that_kills_its_worker_becomes_a_verdict_after_three_attempts(films: Path, tmp_path: Path) -> None:
    summary = execute(small_run(films, tmp_path / "run", chain(dies="a-three")))
    assert summary.exit_code == 0
    failed = [row for table in store.open(str(tmp_path / "run")).failed() for row in table.to_pylist()]
    (dead,) = [row for row in failed if row["video_id"].startswith("a-three")]
    assert dead["error"]["kind"] == "worker_died"
    assert "3 attempts, the last one alone" in dead["error"]["message"]
    kept = rows(tmp_path / "run")
    assert {clip_id.rsplit("-", 1)[0] for clip_id in kept} == {"b-one", "c-two", "d-short", "e-broken"}
    assert list(verify(open_store(tmp_path / "run"))) == []


def test_a_chain_that_needs_more_than_the_cluster_has_is_refused(films: Path, tmp_path: Path) -> None:
    from tests.pipeline.run_chain import GpuNamer

    class Greedy(GpuNamer):
        resources = GpuNamer.resources.__class__(cpus=0.25, gpus=2.0)

    operators = [*chain()[:4], Greedy(), chain()[5]]
    with pytest.raises(ChainError, match="the cluster has 1"):
        execute(small_run(films, tmp_path / "run", operators))
