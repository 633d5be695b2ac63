"""What Ray Data's scheduler sees of each stage: a callback that a data context takes.

It has a file of its own because the context, and with it the class, is sent to every worker by name.
"""

from __future__ import annotations

from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

STAGES: dict[str, tuple[int, int, int]] = {}
"""Stage → (actors that run, actors that wait for a node, blocks queued before it), as of the last step."""


class StageWatcher(ExecutionCallback):
    """Keeps `STAGES` up to date in the driver."""

    def on_execution_step(self, executor: Any) -> None:
        for number, (operator, state) in enumerate(executor._topology.items()):
            pools = operator.get_autoscaling_actor_pools()
            if pools:
                STAGES[f"{number}:{operator.name}"] = (
                    sum(pool.num_running_actors() for pool in pools),
                    sum(pool.num_pending_actors() for pool in pools),
                    state.total_enqueued_input_blocks(),
                )
