"""A real run over a folder of broken files between good ones: the good are committed, the bad are failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import store
from operators.contract import Operator
from operators.video.shots import SplitShots
from pipeline.run import execute
from store.objects import open_store
from store.verify import verify
from tests.conftest import SHARED_MEDIA
from tests.hostile.corpus import corpus
from tests.hostile.sources import sources
from tests.hostile.trial import LIMITS, Trial
from tests.pipeline.run_chain import chain, small_run, write_film

pytestmark = pytest.mark.usefixtures("ray_session")

SEED = 2
COUNT = 66
GOOD = {"good-0.mp4": 1, "good-1.mkv": 2, "good-2.avi": 3, "00030-good.mp4": 1}
"""Names and shots of films between the broken files, in the order of their names."""


def operators() -> list[Operator]:
    _, *rest = chain()
    return [SplitShots(SplitShots.Settings.model_validate({**LIMITS, "min_shot_frames": 5})), *rest]


def test_good_videos_are_committed_and_broken_ones_are_failures(tmp_path: Path) -> None:
    folder, alone = tmp_path / "videos", tmp_path / "alone"
    folder.mkdir()
    alone.mkdir()
    # A folder's videos are found by their suffix, which FFmpeg looks at too.
    broken = [replace(each, name=f"{Path(each.name).stem}.mp4") for each in corpus(sources(SHARED_MEDIA), SEED, COUNT)]
    expected = {outcome.name: outcome.kind for outcome in Trial(alone).run(broken)}
    for hostile in broken:
        (folder / hostile.name).write_bytes(hostile.data)
    for name, shots in GOOD.items():
        write_film(folder / name, [12] * shots)

    summary = execute(small_run(folder, tmp_path / "out", operators(), partition_size=16))

    assert summary.exit_code == 0
    assert list(verify(open_store(tmp_path / "out"))) == []
    run = store.open(str(tmp_path / "out"))
    records = {Path(row["video_path"]).name: row for table in run.videos() for row in table.to_pylist()}
    assert set(records) == {*expected, *GOOD}
    for name, shots in GOOD.items():
        assert (records[name]["status"], records[name]["n_clips"]) == ("done", shots)
    failures = {
        Path(row["video_path"]).name: row["error"]["kind"]
        for table in run.failed()
        for row in table.to_pylist()
        if row["error"]["operator"] == "shots"
    }
    assert failures == {name: kind for name, kind in expected.items() if kind is not None}
    assert len(failures) > COUNT // 4
