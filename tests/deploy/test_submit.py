"""`ray job submit` as the documentation has it: uploaded, followed, stopped in the middle, resumed."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

import store
from store.objects import open_store
from store.verify import verify
from tests.deploy.ray_head import RAY, Head, ray_head

ROOT = Path(__file__).parents[2]
PORTRAIT = ROOT / "samples" / "videos" / "portrait.mp4"
FILMS = 6
SECONDS = 400
MARKED = 77
"""The version of an operator in the folder that is uploaded: the installed one has another."""

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    with ray_head(cpus=2) as head:
        yield head


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's own folder: the packages with one of them changed, and a manifest of films."""
    folder = tmp_path_factory.mktemp("mine")
    for name in ("jobs", "operators", "pipeline", "store"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    changed = folder / "operators" / "video" / "quality.py"
    changed.write_text(f"{changed.read_text()}\n\nQuality.version = {MARKED}\n")
    films = tmp_path_factory.mktemp("films")
    for number in range(FILMS):
        shutil.copy(PORTRAIT, films / f"film_{number}.mp4")
    (folder / "films.csv").write_text("uri\n" + "".join(f"{films}/film_{n}.mp4\n" for n in range(FILMS)))
    return folder


def submission(head: Head, job: str, *words: str, name: str = "") -> list[str]:
    named = ["--submission-id", name] if name else []
    command = ["python", "-m", f"jobs.{job}", "--partition-size", "1", *words]
    return ["job", "submit", "--address", head.address, *named, "--working-dir", ".", "--", *command]


def clips(output: Path) -> list[dict]:
    return pa.concat_tables(store.open(str(output)).clips(dropped=True)).to_pylist()


def test_a_job_is_followed_stopped_and_resumed(head: Head, checkout: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    place = ("--input", "films.csv", "--output", str(output))
    follower = subprocess.Popen(
        [str(RAY), *submission(head, "mmtrail", *place, name="first")],
        cwd=checkout, env=head.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + SECONDS
    while not list(output.glob("commits/*/*.json")) and follower.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    client = JobSubmissionClient(head.address)
    client.stop_job("first")
    told, _ = follower.communicate(timeout=SECONDS)
    assert client.get_job_status("first") == JobStatus.STOPPED, told
    assert f"of {FILMS} videos" in told, "the submitter sees the job's progress"
    assert "Stopped. Nothing that was committed is lost. To go on, run the same command again:" in told
    begun = len(list(output.glob("commits/*")))
    assert 0 < begun < FILMS, told

    resumed = head.ray(*submission(head, "mmtrail", *place), cwd=checkout, timeout=SECONDS)
    assert resumed.returncode == 0, resumed.stdout
    assert "waiting for the output" not in resumed.stdout, "the stopped run gave its lease back"
    assert list(verify(open_store(str(output)))) == []
    rows = clips(output)
    assert {Path(row["video_path"]).stem for row in rows} == {f"film_{n}" for n in range(FILMS)}
    assert len({row["clip_id"] for row in rows}) == len(rows) == 2 * FILMS
    authors = {author for row in rows for column, author in row["provenance"] if column == "sharpness"}
    assert authors == {f"quality/{MARKED}"}, "workers ran the code that was uploaded"


def test_the_other_job_runs_from_this_checkout(head: Head, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the fit needs torch (make install)")
    output = tmp_path / "out"
    films = tmp_path / "films"
    films.mkdir()
    shutil.copy(PORTRAIT, films)
    done = head.ray(
        *submission(head, "gesx", "--input", str(films), "--output", str(output)), cwd=ROOT, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout
    assert list(verify(open_store(str(output)))) == []
    assert {Path(row["video_path"]).stem for row in clips(output)} == {"portrait"}
