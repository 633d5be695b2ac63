"""Each job as a person runs it, on the sample videos: accounted for, resumed, reused, told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

import store
from operators.columns import BOOKKEEPING, IDENTITY
from store.markers import Marker, latest_generations, read_markers
from store.objects import open_store
from store.verify import verify

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"
VIDEOS = ("interrupted", "launch_pad", "portrait")
SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Case:
    """A job, and what its samples give: `settings` keep the astronaut, `late` changes its last operator only."""

    job: str
    settings: tuple[str, ...]
    kept: frozenset[tuple[str, int]]
    drop_reasons: dict[str, int]
    late: str
    last: str

    def command(self, videos: Path, output: Path, *more: str) -> list[str]:
        chosen = [word for setting in self.settings for word in ("--set", setting)]
        place = ["--input", str(videos), "--output", str(output), "--partition-size", "2", "--cpus", "2"]
        return [sys.executable, "-m", f"jobs.{self.job}", *place, *chosen, *more]

    def run(self, videos: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(videos, output, *more), capture_output=True, text=True, timeout=SECONDS, check=False
        )


CASES = (
    Case(
        job="mmtrail",
        settings=(),
        kept=frozenset({("launch_pad", 0), ("portrait", 0), ("portrait", 1)}),
        drop_reasons={},
        late="speech.max_seconds=30",
        last="speech",
    ),
    Case(
        job="gesx",
        settings=(
            "speakers.min_hands_share=0",
            "speaking.floor=-1",
            "gates.gesture=0",
            "gates.missing=10",
            "gates.pose_change=180",
        ),
        kept=frozenset({("portrait", 0)}),
        drop_reasons={"no_person": 2},
        late="smooth.window=0.2",
        last="smooth",
    ),
)


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.job)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in VIDEOS:
        shutil.copy(SAMPLES / f"{name}.mp4", folder)
    return folder


@pytest.fixture(scope="module")
def first(case: Case, videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if case.job == "gesx":
        pytest.importorskip("torch", reason="the fit needs torch (make install)")
    output = tmp_path_factory.mktemp(case.job) / "first"
    done = case.run(videos, output)
    assert done.returncode == 0, done.stdout + done.stderr
    return output


def clips(output: Path) -> pa.Table:
    return pa.concat_tables(store.open(str(output)).clips(dropped=True)).sort_by("clip_id")


def markers(output: Path) -> list[Marker]:
    objects = open_store(str(output))
    return list(read_markers(objects, latest_generations(objects)).values())


def annotated(output: Path) -> dict[str, int]:
    """How many clips each operator annotated."""
    counted: dict[str, int] = {}
    for marker in markers(output):
        for name, tally in marker.operators.items():
            counted[name] = counted.get(name, 0) + tally.clips
    return counted


def test_every_video_and_clip_is_accounted_for(case: Case, first: Path) -> None:
    assert list(verify(open_store(str(first)))) == []
    table = clips(first)
    found = table.select(["video_path", "clip_index", "drop_reason"]).to_pylist()
    assert {(Path(row["video_path"]).stem, row["clip_index"]) for row in found if not row["drop_reason"]} == case.kept
    told = subprocess.run(
        [sys.executable, "-m", "jobs.status", "--output", str(first), "--json"],
        capture_output=True, text=True, timeout=SECONDS, check=True,
    )  # fmt: skip
    status = json.loads(told.stdout)
    assert status["drop_reasons"] == case.drop_reasons
    [failed] = [row for part in store.open(str(first)).videos() for row in part.to_pylist() if row["error"]]
    assert failed["video_path"].endswith("interrupted.mp4")
    assert failed["error"]["operator"] == ("shots" if case.job == "mmtrail" else "speakers")


def test_every_value_names_what_made_it(case: Case, first: Path) -> None:
    own = {field.name for field in (*IDENTITY, *BOOKKEEPING)}
    for row in clips(first).to_pylist():
        credits = dict(row["provenance"])
        assert {name for name, value in row.items() if value is not None} - own <= set(credits)


def test_running_again_does_nothing(case: Case, first: Path, videos: Path) -> None:
    before = markers(first)
    assert case.run(videos, first).returncode == 0
    assert markers(first) == before


def test_another_configuration_is_refused_with_the_difference(case: Case, first: Path, videos: Path) -> None:
    refused = case.run(videos, first, "--set", case.late)
    assert refused.returncode == 2
    assert case.late.partition("=")[0] in refused.stderr


def test_reuse_runs_what_changed_and_nothing_else(case: Case, first: Path, videos: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = case.run(videos, new, "--set", case.late, "--reuse", str(first))
    assert done.returncode == 0, done.stdout + done.stderr
    work = annotated(new)
    ours = clips(first).column_names
    changed = {case.last, "fusion"} if case.job == "mmtrail" else {case.last}
    assert {name for name, count in work.items() if count} <= changed | {"shots", "speakers"}
    assert clips(new).column_names == ours


def test_a_run_that_was_killed_goes_on_to_the_same_rows(case: Case, first: Path, videos: Path, tmp_path: Path) -> None:
    output = tmp_path / "killed"
    process = subprocess.Popen(
        case.command(videos, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + SECONDS
    while not list(output.glob("clips/*/*.parquet")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = case.run(videos, output)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(verify(open_store(str(output)))) == []
    assert clips(output).equals(clips(first))
