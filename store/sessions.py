"""Sessions: each run of a job's command on an output, with its stages, its machines and its time.

They tell what work cost, and nothing hangs on them: a marker names its session by the lease's nonce, and
where a session's record is missing or broken, only the cost of its work is known less well.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError

from store.layout import parse_session_key, session_key
from store.objects import ObjectMissing, ObjectStore
from store.threads import in_threads

_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageRecord(_Part):
    """Operators that ran in one actor, and what such an actor occupies."""

    operators: tuple[str, ...] = Field(description="operators that run in one actor")
    cpus: _Amount = Field(description="logical CPUs of an actor")
    gpus: _Amount = Field(description="share of a GPU of an actor")
    memory_mb: NonNegativeInt = Field(default=0, description="memory of an actor in MiB; 0 where none is declared")
    concurrency: PositiveInt = Field(default=1, description="batches that an actor works on at once")
    endpoints: dict[str, str] = Field(default={}, description="URL of the server that an operator asks, by operator")


class NodeRecord(_Part):
    """Alike nodes of the cluster, as Ray sees them."""

    count: PositiveInt = Field(description="nodes of this kind, at the begin or at the end, whichever were more")
    cpus: _Amount = Field(description="logical CPUs of a node")
    gpus: _Amount = Field(description="logical GPUs of a node")
    memory_mb: NonNegativeInt = Field(description="memory for actors in MiB")
    cpu_model: str = Field(default="", description="told for the driver's node under Linux, else empty")
    gpu_model: str = Field(default="", description="Ray's name of the model, empty where it knows none")
    labels: dict[str, str] = Field(default={}, description="Ray labels of the node, without its own id")


class Session(_Part):
    """One driver's work. `started` and `ended` are seconds since 1970; `ended` is None while it runs or was killed.

    `outcome` is "done" where the graph ran to its end, "stopped" where an error or a person ended it.
    """

    format: Literal[1] = 1
    nonce: str
    epoch: NonNegativeInt
    job: str
    package_version: str
    started: NonNegativeFloat
    ended: NonNegativeFloat | None = None
    outcome: Literal["running", "done", "stopped"] = "running"
    stages: tuple[StageRecord, ...]
    nodes: tuple[NodeRecord, ...]

    def stage_of(self, operator: str) -> StageRecord | None:
        """The stage that this operator ran in."""
        return next((stage for stage in self.stages if operator in stage.operators), None)

    @property
    def cpus(self) -> float:
        """Logical CPUs of all nodes."""
        return sum(node.count * node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """Logical GPUs of all nodes."""
        return sum(node.count * node.gpus for node in self.nodes)


def write_session(store: ObjectStore, session: Session) -> None:
    """Write the record, over an earlier one of the same session."""
    store.put(session_key(session.epoch, session.nonce), (session.model_dump_json(indent=2) + "\n").encode())


def read_sessions(store: ObjectStore) -> list[Session]:
    """All sessions, oldest first; records that cannot be read are left out."""
    keys = [item.key for item in store.list("sessions/") if parse_session_key(item.key)]
    found = in_threads(lambda key: _read(store, key), keys)
    return sorted((session for session in found if session is not None), key=lambda session: session.started)


def _read(store: ObjectStore, key: str) -> Session | None:
    try:
        return Session.model_validate_json(store.get(key))
    except (ValidationError, ObjectMissing):
        return None
