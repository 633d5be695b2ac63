"""Run by test_vllm_in_ray: an operator with its engine inside a Ray actor, which is then killed."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import ray


class Fuses:
    """An actor that holds the operator, as the pipeline's do."""

    def __init__(self, model: str) -> None:
        from operators.language.fused import ModelFusion, ModelFusionSettings

        settings = ModelFusionSettings(
            model=model, device="cpu", precision="float32", max_num_seqs=8, cpu_cache_mb=256, compiled=False,
            max_model_len=4096,
        )  # fmt: skip
        self.operator = ModelFusion(settings)
        self.operator.setup()

    def processes(self) -> list[int]:
        """Every process below this one."""
        import psutil

        return [child.pid for child in psutil.Process().children(recursive=True)]

    def rows(self, clips: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The operator's rows."""
        return list(self.operator(clips))


def main(model: str, clips: list[dict[str, Any]]) -> None:
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    remote: Any = ray.remote
    actor = remote(num_cpus=0, max_concurrency=3)(Fuses).remote(model)
    batches = ray.get([actor.rows.remote(clips) for _ in range(3)], timeout=400)
    processes = ray.get(actor.processes.remote())
    ray.kill(actor)
    print(json.dumps({"batches": batches, "processes": processes}), flush=True)
    sys.stdin.readline()  # until the test has looked at the processes
    ray.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
