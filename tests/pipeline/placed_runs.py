"""Runs on a cluster of five Ray nodes, and on which of them each operator was, for `test_graph`.

python -m tests.pipeline.placed_runs FOLDER      prints JSON
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row
from operators.errors import ChainError
from pipeline import source
from pipeline.cluster import ONE_THREAD, QUIET, Wishes, take_own_environment
from pipeline.placement import Mode
from pipeline.plan import cluster_lines, plan
from pipeline.run import Run, execute
from store.objects import ObjectStore
from tests.pipeline.small_chain import Split
from tests.pipeline.small_run import clips_in, make_videos

VIDEOS = 8


def _here() -> str:
    """Id of the Ray node that this process is on."""
    import ray

    return ray.get_runtime_context().get_node_id()


class Log(contract.Settings):
    """A folder in which every instance leaves a file named after its operator and its node."""

    log: str = Field("", description="path of a folder")

    def note(self, operator: str) -> None:
        Path(self.log, f"{operator} {_here()}").touch()


class Decode(Split):
    """Clips without media; the last videos' only when the operator `follows` has begun, or much later."""

    name = "decode"

    class Settings(Log):
        clips: int = Field(2, description="clips in a video")
        length: int = Field(100, description="frames in a clip")
        follows: str = Field("", description="name of an operator")

    def setup(self) -> None:
        self.settings.note(self.name)

    def split(self, row: Row) -> Iterator[Row]:
        end = time.monotonic() + 90 if self.settings.follows and "film0" not in row["uri"] else 0.0
        while time.monotonic() < end and not self._followed():
            time.sleep(0.1)
        yield from super().split(row)

    def _followed(self) -> bool:
        return any(Path(self.settings.log).glob(f"{self.settings.follows} *"))


class Model(ClipOperator):
    """Says where it is, on half a GPU."""

    name = "model"
    reads = ("clip_id",)
    writes = select("caption")
    resources = Resources(cpus=0.5, gpus=0.5)
    Settings = Log

    def setup(self) -> None:
        self.settings.note(self.name)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"caption": clip["clip_id"]} for clip in clips]


class Whole(Model):
    """Wants a whole GPU, after others that share one."""

    name = "whole"
    resources = Resources(cpus=0.5, gpus=1.0)


class Share(ClipOperator):
    """Repeats the clip's id in a column of its own, on a third of a GPU."""

    reads = ("clip_id",)
    resources = Resources(cpus=0.5, gpus=0.3)
    Settings = Log

    def setup(self) -> None:
        self.settings.note(self.name)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{column.name: clip["clip_id"] for column in self.writes} for clip in clips]


class First(Share):
    name = "first"
    writes = select("movement")


class Second(Share):
    name = "second"
    writes = select("speed")


class Finish(ClipOperator):
    """Repeats the caption, on a CPU."""

    name = "finish"
    reads = ("caption",)
    writes = select("merge_caption")
    resources = Resources(cpus=0.5)
    Settings = Log

    def setup(self) -> None:
        self.settings.note(self.name)

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{"merge_caption": clip["caption"]} for clip in clips]


@contextmanager
def five_nodes() -> Iterator[dict[str, str]]:
    """A head with CPUs and a GPU, two nodes with CPUs, two with a GPU too; their names by their ids."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.update(QUIET)
    take_own_environment()
    small: dict[str, Any] = {"object_store_memory": 80 << 20}
    with tempfile.TemporaryDirectory(prefix="rp-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = {"num_cpus": 4, "num_gpus": 1, "include_dashboard": False, "temp_dir": folder, **small}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            assert cluster.head_node is not None
            names = {cluster.head_node.node_id: "head"}
            for number in range(2):
                names[cluster.add_node(num_cpus=2, **small).node_id] = f"cpu{number}"
                names[cluster.add_node(num_cpus=2, num_gpus=1, **small).node_id] = f"gpu{number}"
            cluster.wait_for_nodes()
            ray.init(
                address=cluster.address,
                runtime_env={"env_vars": ONE_THREAD},
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            yield names
        finally:
            ray.shutdown()
            cluster.shutdown()


PLAIN = (Decode, Model, Finish)


def _run(folder: Path, mode: Mode, kinds: Sequence[type[Operator]] = PLAIN, follows: str = "", **actors: Any) -> Run:
    log = folder / "log"
    log.mkdir(parents=True)
    operators: list[Operator] = [kind(kind.Settings.model_validate({"log": str(log)})) for kind in kinds]
    operators[0].settings = Decode.Settings.model_validate({"log": str(log), "follows": follows})
    for operator in operators:
        if operator.name in actors:
            operator.resources = Resources(**actors[operator.name])
    videos = make_videos(folder / "videos", VIDEOS)
    return Run(
        job="small",
        input=str(videos),
        output=str(folder / "out"),
        chain=operators,
        partition_size=4,
        stall_seconds=100,
        wishes=Wishes(placement=mode),
    )


def _where(folder: Path, nodes: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for path in (folder / "log").iterdir():
        operator, node = path.name.split()
        found.setdefault(operator, set()).add(nodes[node])
    return {operator: sorted(where) for operator, where in found.items()}


def told(folder: Path, nodes: dict[str, str], run: Run) -> dict[str, Any]:
    """Where the instances of each operator were, and the captions of the clips; or why the run was refused."""
    notes: list[str] = []
    try:
        code = execute(run, lambda progress: notes.append(progress.note)).exit_code
    except ChainError as problem:
        return {"refused": str(problem), "where": _where(folder, nodes)}
    captions = {clip["clip_id"]: clip["merge_caption"] for clip in clips_in(folder / "out")}
    return {"exit_code": code, "captions": captions, "where": _where(folder, nodes), "notes": notes}


def planned(folder: Path, nodes: dict[str, str]) -> dict[str, Any]:
    """The lines of `--plan` without and with an address."""
    run = _run(folder, "auto")
    without = cluster_lines(plan(run), run)
    os.environ["RAY_ADDRESS"] = "the one that this process is connected to"
    try:
        lines = cluster_lines(plan(run), run)
    finally:
        del os.environ["RAY_ADDRESS"]
    return {"without": without, "lines": lines, "where": _where(folder, nodes), "output": (folder / "out").exists()}


def reader_that_says_where(store: ObjectStore, batch: source.Batch) -> Callable[[], Iterator[pa.Table]]:
    """Reads a partition's manifest as the engine does, and notes the node that it is read on."""
    read, log = READER(store, batch), Path(store.url).parent / "log"

    def noted() -> Iterator[pa.Table]:
        (log / f"read {_here()}").touch()
        yield from read()

    return noted


READER = source._reader


def main(folder: Path) -> None:
    """Print what became of every case."""
    source._reader = reader_that_says_where
    with five_nodes() as nodes:
        runs = {
            "auto": _run(folder / "auto", "auto"),
            "shared": _run(folder / "shared", "shared", decode={"actors": (5, None)}),
            "one_box": _run(folder / "one_box", "one_box", decode={"actors": (9, None)}),
            "too_much": _run(folder / "m", "auto", model={"gpus": 0.5, "cpus": 0.5, "actors": (5, None)}),
            "spread": _run(folder / "spread", "auto", (Decode, First, Second, Whole, Finish), follows="whole"),
        }
        cases = {"plan": planned(folder / "plan", nodes)}
        cases |= {name: told(Path(run.output).parent, nodes, run) for name, run in runs.items()}
    print(json.dumps(cases))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
