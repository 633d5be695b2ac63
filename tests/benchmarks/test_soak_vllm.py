"""The node of a vLLM engine dies in the middle of a batch: the engine starts elsewhere, and no answer is mixed up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.chaos_rows import compare, rows_of
from benchmarks.soak_calls import annotated, open_batches, read_calls
from benchmarks.soak_cluster import OneMachine, Shape
from benchmarks.soak_driver import Driver
from benchmarks.soak_network import Network
from tests.pipeline.run_chain import write_film

for library in ("torch", "transformers", "vllm"):
    pytest.importorskip(library, reason=f"{library} is not installed (make install)")

PATIENCE = 400.0
NODE = Shape(5, 1)
"""One node holds every actor, so that the other's loss stops nothing."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder with a short path: Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="rsv-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_engine_whose_node_dies_starts_elsewhere_and_mixes_no_rows_up(folder: Path) -> None:
    from tests.tiny.llama import write_llama

    model = write_llama(folder / "model")
    videos = folder / "videos"
    videos.mkdir()
    for name in "abc":
        write_film(videos / f"{name}.mp4", [14, 16, 18, 14, 16])
    for name in ("calm", "storm"):
        (folder / name / "ray").mkdir(parents=True)

    def start(name: str, cluster: OneMachine, pause: float) -> Driver:
        options = ["--model", str(model), "--pause", str(pause)]
        return Driver(videos, str(folder / name / "out"), cluster.address, folder / name, {}, options)

    with ExitStack() as stack:
        quiet = stack.enter_context(OneMachine(folder / "calm" / "ray", Network(), [NODE]))
        calm = start("calm", quiet, 0.0)  # beside the other: two engines start in the time of one
        stack.callback(calm.kill)
        cluster = stack.enter_context(OneMachine(folder / "storm" / "ray", Network(), [NODE, NODE]))
        storm = start("storm", cluster, 3.0)  # long enough for a batch to be found open
        stack.callback(storm.kill)
        killed = kill_the_node_of_an_engine(cluster, storm, folder / "storm" / "calls")
        for driver in (calm, storm):
            while not driver.ended(60.0, PATIENCE):
                pass
    assert (calm.process.returncode, storm.process.returncode) == (0, 0), calm.complaint() + storm.complaint()
    expected = rows_of(str(folder / "calm" / "out"))
    captions = [row["caption"] for key, row in expected.items() if key.startswith("clip:")]
    assert len(captions) == len(set(captions)) == 9
    difference = compare(expected, str(folder / "storm" / "out"))
    assert (difference.lost, difference.doubled, difference.changed, difference.findings) == (0, 0, 0, [])
    calls = read_calls(folder / "storm" / "calls")
    died = {clip for call in open_batches(calls) for clip in call["clips"]}
    again = annotated(call for call in calls if call["pid"] != killed)
    assert died
    assert died <= again.keys(), "the batch that was lost is done by another engine"


def kill_the_node_of_an_engine(cluster: OneMachine, driver: Driver, log: Path) -> int:
    """Kill the node of an engine that has answered once and works on a batch; the engine's process id."""
    while not driver.ended(0.1, PATIENCE):
        calls = read_calls(log)
        done = {call["pid"] for call in calls if call["what"] == "end"}
        for batch in open_batches(calls):
            node = cluster.node_of(batch["pid"]) if batch["pid"] in done else None
            if node is not None:
                cluster.kill(node)
                return batch["pid"]
    raise AssertionError(f"the job ended before its engine could be killed: {driver.complaint()}")
