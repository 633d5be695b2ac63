"""Runs on a cluster of five Ray nodes, and on which of them each operator was, for `test_graph`.

python -m tests.pipeline.placed_runs FOLDER      prints JSON
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import Field

from operators import contract
from operators.columns import select
from operators.contract import ClipOperator, Operator, Resources, Row
from operators.errors import ChainError
from pipeline.cluster import ONE_THREAD, QUIET, Wishes, take_own_environment
from pipeline.placement import Mode
from pipeline.plan import cluster_lines, plan
from pipeline.run import Run, execute
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
    """Clips without media."""

    name = "decode"

    class Settings(Log):
        clips: int = Field(2, description="clips in a video")
        length: int = Field(100, description="frames in a clip")

    def setup(self) -> None:
        self.settings.note(self.name)


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


def _run(folder: Path, mode: Mode, **actors: Any) -> Run:
    log = folder / "log"
    log.mkdir(parents=True)
    operators: list[Operator] = [
        kind(kind.Settings.model_validate({"log": str(log)})) for kind in (Decode, Model, Finish)
    ]
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
        wishes=Wishes(placement=mode),
    )


def _where(folder: Path, nodes: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for path in (folder / "log").iterdir():
        operator, node = path.name.split()
        found.setdefault(operator, set()).add(nodes[node])
    return {operator: sorted(where) for operator, where in found.items()}


def told(folder: Path, nodes: dict[str, str], mode: Mode, **actors: Any) -> dict[str, Any]:
    """Where the instances of each operator were, and the captions of the clips; or why the run was refused."""
    run = _run(folder, mode, **actors)
    try:
        code = execute(run).exit_code
    except ChainError as problem:
        return {"refused": str(problem), "where": _where(folder, nodes)}
    captions = {clip["clip_id"]: clip["merge_caption"] for clip in clips_in(folder / "out")}
    return {"exit_code": code, "captions": captions, "where": _where(folder, nodes)}


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


def main(folder: Path) -> None:
    """Print what became of every case."""
    with five_nodes() as nodes:
        cases = {
            "plan": planned(folder / "plan", nodes),
            "auto": told(folder / "auto", nodes, "auto"),
            "shared": told(folder / "shared", nodes, "shared", decode={"actors": (5, None)}),
            "one_box": told(folder / "one_box", nodes, "one_box", decode={"actors": (9, None)}),
            "too_much": told(folder / "m", nodes, "auto", model={"gpus": 0.5, "cpus": 0.5, "actors": (5, None)}),
        }
    print(json.dumps(cases))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
