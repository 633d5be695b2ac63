"""A run that stands still is failed and says why; one that is only slow is not."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import ray

from operators.errors import EngineError
from pipeline import watchdog
from pipeline.progress import Progress
from pipeline.run import execute
from store.objects import open_store
from store.verify import verify
from tests.pipeline.run_chain import chain, small_run, write_film

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def two_films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    write_film(folder / "a.mp4", [24, 30])
    write_film(folder / "b.mp4", [30])
    return folder


def free(resource: str) -> float:
    return ray.available_resources().get(resource, 0.0)


def all_free(seconds: float = 60.0) -> bool:
    """Whether the actors of a run that ended are gone."""
    end = time.monotonic() + seconds
    while (free("CPU"), free("GPU")) != (4.0, 1.0):
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def test_an_operator_that_hangs_is_named_with_its_video_and_the_same_command_goes_on(two_films: Path, tmp_path: Path):
    told: list[Progress] = []
    run = small_run(two_films, tmp_path / "run", chain(hangs="a-"), stall_seconds=4)
    with pytest.raises(EngineError) as failed:
        execute(run, told.append)
    message = str(failed.value)
    assert message.startswith("no progress for ")
    stage = "stage shots+quality+text+tiers+namer+fuser is stuck: "
    assert re.search(re.escape(stage) + r"(one task runs|\d tasks run), the longest: video a-", message)
    assert "(namer, run_chain.py:" in message
    assert "run the same command to go on" in message
    assert any(p.note.startswith("no progress for") and "video a-" in p.note for p in told)
    assert all_free()


def test_a_stage_without_a_gpu_names_what_it_wants_and_what_is_free(two_films: Path, tmp_path: Path):
    assert all_free()
    squatter = ray.remote(num_gpus=1, num_cpus=0)(Squatter).remote()
    try:
        ray.get(squatter.here.remote())
        run = small_run(two_films, tmp_path / "run", chain(gpu=True), stall_seconds=4)
        with pytest.raises(EngineError) as failed:
            execute(run)
    finally:
        ray.kill(squatter)  # type: ignore[arg-type]
    assert "stage namer waits for an actor (" in str(failed.value)
    assert "wants 0.25 CPU (free" in str(failed.value)
    assert "0.5 GPU (free 0 of 1); other work holds them" in str(failed.value)
    assert all_free()
    summary = execute(run)
    assert (summary.exit_code, summary.progress.videos_done) == (0, 2)
    assert list(verify(open_store(tmp_path / "run"))) == []


class Squatter:
    """Holds a GPU."""

    def here(self) -> None: ...


def test_actors_that_die_at_every_start_are_named(two_films: Path, tmp_path: Path):
    run = small_run(two_films, tmp_path / "run", chain(gpu=True, stillborn="dies"), stall_seconds=9)
    with pytest.raises(EngineError, match=r"stage namer waits for an actor .*: its actors die(d and|\b)"):
        execute(run)
    assert all_free()


def test_actors_that_raise_at_every_start_are_named_at_once(two_films: Path, tmp_path: Path):
    run = small_run(two_films, tmp_path / "run", chain(gpu=True, stillborn="raises"), stall_seconds=600)
    with pytest.raises(EngineError, match=r"stage namer die at their start, \d in a row: .*the model is torn"):
        execute(run)
    assert all_free()


def test_a_slow_run_is_left_alone(two_films: Path, tmp_path: Path):
    run = small_run(two_films, tmp_path / "run", chain(spins=7.0), stall_seconds=3)
    assert execute(run).progress.clips_kept == 3


def test_a_cpu_that_is_busy_for_ever_is_no_sign_of_progress(
    two_films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(watchdog, "PATIENCE", 2)
    run = small_run(two_films, tmp_path / "run", chain(spins=3600.0), stall_seconds=2)
    with pytest.raises(EngineError, match=r"video [ab]-.*\(namer, run_chain\.py:"):
        execute(run)
    assert all_free()
