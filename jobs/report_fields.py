"""The form of `report.json`: every field with its unit."""

from __future__ import annotations

from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from store.sessions import NodeRecord, StageRecord


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _is(description: str, **more: Any) -> Any:
    return Field(description=description, **more)


class Gate(_Part):
    """A gate of the job: `videos`, `clips`, then those of the tiers or operators that drop clips, in order."""

    gate: str = _is("its name; the gate videos counts videos, all others clips")
    entered: int = _is("how many came to it")
    passed: int = _is("how many passed")
    share: float | None = _is("passed over entered; null where none entered")
    dropped: dict[str, int] = _is("how many did not pass, by reason")


class OperatorCost(_Part):
    """What an operator did and used in all sessions, repeated work included."""

    operator: str = _is("its name")
    clips: int = _is("clips that it annotated or cut")
    seconds: float = _is("wall-clock seconds in the operator; batches at work at the same time each count")
    ms_per_clip: float | None = _is("milliseconds per clip of `seconds`")
    actor_seconds: float = _is("seconds of its actors; batches that one works on at the same time share them")
    cpus: float = _is("logical CPUs that an actor of its stage occupies")
    gpus: float = _is("share of a GPU that an actor of its stage occupies")
    cpu_seconds: float = _is("actor_seconds times `cpus`")
    gpu_seconds: float = _is("actor_seconds times `gpus`")
    tokens_in: int = _is("tokens of prompts")
    tokens_out: int = _is("tokens of answers")
    reserved_seconds: float = _is("seconds that its stage's actors were there; the stage's first operator tells")
    dollars: float = _is("its actors' time at work, on demand; tokens are not in it")


class StageUse(_Part):
    """Operators that run in one actor, as in the last session, and how its actors spent their time."""

    operators: tuple[str, ...] = _is("operators of the stage")
    actor_seconds: float = _is("seconds in which its actors worked")
    reserved_seconds: float = _is("seconds in which its actors were there, up to their last result")
    share: float | None = _is("actor_seconds over reserved_seconds")


class Total(_Part):
    """Sums over the operators, and what they come to per hour of video."""

    seconds: float = _is("wall-clock seconds in operators")
    cpu_seconds: float = _is("CPU-seconds of all operators' actors while they worked")
    gpu_seconds: float = _is("GPU-seconds of all operators' actors while they worked")
    tokens_in: int = _is("tokens of prompts")
    tokens_out: int = _is("tokens of answers")
    wall_seconds: float = _is("seconds that sessions took, one after the other")
    video_hours_per_cpu_hour: float | None = _is("hours of video for an hour of one CPU at work")
    video_hours_per_gpu_hour: float | None = _is("hours of video for an hour of one GPU at work; null without GPUs")
    video_hours_per_hour: float | None = _is("hours of video for an hour of the clock")


class Reserved(_Part):
    """What the machines of all sessions could have done, used or not."""

    cpu_seconds: float = _is("CPUs of the cluster times the seconds of its sessions")
    gpu_seconds: float = _is("GPUs of the cluster times the seconds of its sessions")
    cpu_share: float | None = _is("share of the reserved CPU-seconds in which operators worked")
    gpu_share: float | None = _is("share of the reserved GPU-seconds in which operators worked")


class Repeated(_Part):
    """Work that was done more than once, or whose cost is not known."""

    partitions: int = _is("partitions that were committed again, such as by --retry-failed")
    clips: int = _is("clips cut more often than once, because a task or a video was repeated")
    share: float | None = _is("those clips over all clips")
    clips_unmetered: int = _is("clips taken over from a killed driver or another run: their cost is not in here")


class SessionCost(_Part):
    """One run of the command."""

    started: str = _is("UTC")
    wall_seconds: float = _is("from the start of Ray to the end of the graph; to the last commit where it was killed")
    first_result_seconds: float | None = _is("from the start of Ray to the first result; null without a commit")
    outcome: Literal["running", "done", "stopped"] = _is("running also stands for killed")
    job: str = _is("the job")
    package_version: str = _is("version of Rushes")
    stages: tuple[StageRecord, ...] = _is("operators that ran in one actor, what it occupies, and how many began")
    nodes: tuple[NodeRecord, ...] = _is("machines as Ray saw them, alike ones together")


class Dollars(_Part):
    """Dollars of the machines' time and of tokens, as if the work had run on the machines of the price table."""

    market: Literal["on_demand", "spot"] = _is("which price of the machines")
    cpu: float = _is("CPU stages at work, on `cpu_machine`")
    gpu: float = _is("GPU stages at work, on `gpu_machine`, whose CPUs are included")
    tokens: float = _is("tokens of servers that operators asked")
    total: float = _is("cpu + gpu + tokens")
    reserved: float = _is("the sessions' machines at the same prices, idle or not, and tokens")
    per_1000_clips: float | None = _is("total per 1,000 clips, dropped and failed ones included")
    per_1000_clips_kept: float | None = _is("total per 1,000 clips that were kept")
    per_1000_video_hours: float | None = _is("total per 1,000 hours of video")
    storage_month: float = _is("to keep the committed shards for a month")


class Priced(_Part):
    """Which prices were used."""

    as_of: date = _is("the day of the prices; check them")
    source: str = _is("where they come from")
    cpu_machine: str = _is("machine that CPU stages are priced on")
    gpu_machine: str = _is("machine that GPU stages are priced on")


class CostReport(_Part):
    """`report.json`."""

    format: Literal[1] = _is("1", default=1)
    job: str = _is("the job")
    output: str = _is("where the run is")
    fingerprint: str = _is("of the chain of operators")
    written: str = _is("UTC")
    complete: bool = _is("whether every partition is committed; everything here counts committed partitions only")
    partitions: int = _is("partitions committed")
    partitions_total: int = _is("partitions of the run")
    videos: dict[str, int] = _is("videos by done, partial, failed")
    clips: dict[str, int] = _is("clips by kept, dropped, failed")
    video_hours: float = _is("running time of the videos, in hours")
    bytes_read: int = _is("bytes of the source videos")
    bytes_written: int = _is("bytes of the shards that markers name")
    gates: tuple[Gate, ...] = _is("how many passed what")
    operators: tuple[OperatorCost, ...] = _is("what each operator did and used")
    stages: tuple[StageUse, ...] = _is("how the actors of each stage spent their time")
    total: Total = _is("what all operators used")
    reserved: Reserved = _is("what the machines could have done")
    repeated: Repeated = _is("work done again")
    sessions: tuple[SessionCost, ...] = _is("each run of the command")
    priced: Priced = _is("which prices were used")
    dollars: tuple[Dollars, ...] = _is("what it cost, on demand and on spot machines")
