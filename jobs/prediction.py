"""What a full collection would take, predicted from a finished sample run: work, machines, storage, dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jobs.cost_report import asked, token_dollars
from jobs.fleet import BOOT_SECONDS, SPOT_REPEATED, USABLE_MEMORY, Choice, Fleet, Load, fleet
from jobs.forecast import CONFIDENCE, FOLDS, ROUNDS, SECONDS, Estimate, Sample, doubts, sample_of
from jobs.prices import GB, Prices
from operators.errors import ConfigurationError
from store.objects import ObjectStore
from store.run_record import RunRecord, read_run
from store.sessions import Session, StageRecord, read_sessions
from store.work import UNKNOWN_STAGE, PartitionWork, objects_written, read_work, video_lengths

LEAST_WRITES = 3
"""Objects written per video at least: its attempt, its clips, its record."""

READS = 6
"""Requests that read, per video: the video's facts and its bytes, and the small shards that a commit merges."""

TOTALS = ("videos", "clips", "clips_kept", "cpu_seconds", "gpu_seconds", "bytes_read", "bytes_written", "tokens_in",
          "tokens_out")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OperatorForecast:
    """One operator: actor-seconds per hour of video and milliseconds per clip of its own, and what an actor occupies.

    `share` is its share of all CPU-seconds, or, on a GPU, of all GPU-seconds.
    """

    operator: str
    seconds_per_video_hour: Estimate
    ms_per_clip: Estimate
    cpus: float
    gpus: float
    share: float


@dataclass(frozen=True, kw_only=True)
class Storage:
    """What is kept and asked of the object store. `gb` is of 2³⁰ bytes; dollars for a month, and once."""

    gb: Estimate
    media_kept: bool
    writes: float
    reads: float
    dollars_month: float
    dollars_requests: float
    dollars_egress: float


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """The whole answer. `totals` are of the collection, by name; `deadlines` hold one fleet each."""

    sample: str
    job: str
    partitions: int
    partitions_left_out: int
    sample_videos: int
    sample_hours: float
    hours: float
    videos: float
    machines: Choice
    totals: dict[str, Estimate]
    operators: tuple[OperatorForecast, ...]
    storage: Storage
    token_dollars: float
    deadlines: tuple[Fleet, ...]
    doubts: tuple[str, ...]
    assumptions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values only, for `--json`."""
        return asdict(self)


def predict(
    store: ObjectStore,
    prices: Prices,
    *,
    hours: float,
    videos: int | None,
    choice: Choice,
    days: Sequence[float],
    efficiency: float,
) -> Prediction:
    """Predict a collection of `hours` hours of video from the run in `store`.

    `videos` is their number, by default as many per hour as in the sample. `days` are deadlines, one fleet each.
    Raises `ConfigurationError` where `store` holds no run or too small a sample.
    """
    run = read_run(store)
    if run is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a finished sample as --sample")
    sessions = read_sessions(store)
    work = read_work(store, run.operators[0].name, sessions)
    sample, left_out = sample_of(run, work, store.url)
    lengths = video_lengths(store, work)
    totals = {name: sample.per_hour(name).times(hours) for name in TOTALS if sample.amounts[name].any()}
    if videos is not None:
        totals["videos"] = Estimate(value=videos, low=videos, high=videos)
    n_videos = totals["videos"].value
    load = _load(sample, sessions, hours, lengths, work)
    fleets = tuple(fleet(load, choice, prices, deadline, efficiency) for deadline in days)
    crowd = max(found.cpu_nodes for found in fleets) * prices.machine(choice.cpu).cpus
    crowded = f"{crowd:,} CPUs cannot all work on {n_videos:,.0f} videos, one at a time each"
    return Prediction(
        sample=store.url,
        job=run.job,
        partitions=len(sample.hours),
        partitions_left_out=left_out,
        sample_videos=int(sample.amounts["videos"].sum()),
        sample_hours=float(sample.hours.sum()),
        hours=hours,
        videos=n_videos,
        machines=choice,
        totals=totals,
        operators=tuple(_operators(run, sample, sessions)),
        storage=_storage(store, run, sample, totals, n_videos, prices, work),
        token_dollars=token_dollars(asked(work), prices) / (_hours(work) or 1) * hours,
        deadlines=fleets,
        doubts=(
            *_doubts(sample, sessions, lengths, hours, videos, left_out),
            *([crowded] if crowd > n_videos else []),
        ),
        assumptions=tuple(_assumptions(sessions, choice, efficiency, load)),
    )


def _hours(work: Sequence[PartitionWork]) -> float:
    return sum(part.marker.video_seconds for part in work) / 3600


def _stage(sessions: Sequence[Session], operator: str) -> StageRecord:
    found = (stage for session in reversed(sessions) if (stage := session.stage_of(operator)))
    return next(found, UNKNOWN_STAGE)


def _operators(run: RunRecord, sample: Sample, sessions: Sequence[Session]):
    names = [operator.name for operator in run.operators if SECONDS + operator.name in sample.amounts]
    stages = {name: _stage(sessions, name) for name in names}
    spent = {name: float(sample.amounts[SECONDS + name].sum()) * (stages[name].gpus or stages[name].cpus)
             for name in names}  # fmt: skip
    for name in names:
        kind = [other for other in names if bool(stages[other].gpus) == bool(stages[name].gpus)]
        yield OperatorForecast(
            operator=name,
            seconds_per_video_hour=sample.per_hour(SECONDS + name),
            ms_per_clip=sample.ratio(SECONDS + name, f"clips:{name}").times(1000),
            cpus=stages[name].cpus,
            gpus=stages[name].gpus,
            share=spent[name] / (sum(spent[other] for other in kind) or 1),
        )


def _load(
    sample: Sample, sessions: Sequence[Session], hours: float, lengths: Sequence[float], work: Sequence[PartitionWork]
) -> Load:
    stages = sessions[-1].stages if sessions else ()
    first = stages[0].operators if stages else ()
    per_hour = sum(sample.per_hour(SECONDS + name).value for name in first if SECONDS + name in sample.amounts)
    return Load(
        cpu_seconds=sample.per_hour("cpu_seconds").times(hours),
        gpu_seconds=sample.per_hour("gpu_seconds").times(hours),
        gpu_host_cpu_seconds=sample.per_hour("gpu_host_cpu_seconds").times(hours),
        stages=stages,
        start_seconds=_start_seconds(sessions, work),
        tail_seconds=per_hour * max(lengths, default=0.0) / 3600,
    )


def _start_seconds(sessions: Sequence[Session], work: Sequence[PartitionWork]) -> float:
    """The longest time from the start of Ray to a first result, over the sample's sessions."""
    first: dict[str, float] = {}
    for part in work:
        nonce = part.marker.nonce
        first[nonce] = min(part.marker.started, first.get(nonce, part.marker.started))
    waits = [first[session.nonce] - session.started for session in sessions if session.nonce in first]
    return max([0.0, *waits])


def _storage(
    store: ObjectStore,
    run: RunRecord,
    sample: Sample,
    totals: dict[str, Estimate],
    n_videos: float,
    prices: Prices,
    work: Sequence[PartitionWork],
) -> Storage:
    gb = totals["bytes_written"].times(1 / GB)
    seen = sum(sum(part.marker.videos.values()) for part in work)
    writes = max(LEAST_WRITES, objects_written(store) / max(1, seen)) * n_videos
    reads = READS * n_videos
    return Storage(
        gb=gb,
        media_kept=run.config.get("media") == "keep",
        writes=writes,
        reads=reads,
        dollars_month=gb.value * prices.storage.gb_month,
        dollars_requests=(writes * prices.storage.writes_per_1000 + reads * prices.storage.reads_per_1000) / 1000,
        dollars_egress=gb.value * prices.storage.egress_per_gb,
    )


def _doubts(
    sample: Sample,
    sessions: Sequence[Session],
    lengths: Sequence[float],
    hours: float,
    videos: int | None,
    left_out: int,
):
    yield from doubts(sample, lengths, hours, videos)
    if left_out:
        yield f"{left_out} partitions are left out: nobody knows what their clips cost, or they hold no footage"
    if not sessions:
        yield "the run has no record of its stages: every operator is held to be on one CPU"
    if any(stage.concurrency > 1 for session in sessions for stage in session.stages):
        yield "engines that work on several batches at once are held to have been full; they cost more where not"


def _assumptions(sessions: Sequence[Session], choice: Choice, efficiency: float, load: Load):
    nodes = sessions[-1].nodes if sessions else ()
    cpus = ", ".join(sorted({node.cpu_model for node in nodes if node.cpu_model})) or "of a model that is not known"
    gpus = ", ".join(sorted({node.gpu_model for node in nodes if node.gpu_model})) or "of a model that is not known"
    yield f"the collection is like the sample, and a CPU of {choice.cpu} does as much as one of the sample's ({cpus})"
    if load.gpu_seconds.value:
        yield f"a GPU of {choice.gpu} does as much as one of the sample's ({gpus})"
    yield f"machines of the bottleneck work {efficiency:.0%} of their time; all are there, and paid, from start to end"
    yield (
        f"start-up: {BOOT_SECONDS:.0f} s until machines are there, and {load.start_seconds:.0f} s to the first result "
        f"as in the sample; tail: the sample's longest video on one actor, {load.tail_seconds:.0f} s"
    )
    yield f"actors fill at most {USABLE_MEMORY:.0%} of a machine's memory; GPU machines do GPU stages only"
    if choice.market == "spot":
        yield f"spot machines that are taken away cost {SPOT_REPEATED:.0%} of the work again; the head is on demand"
    yield "videos and data set lie in the machines' region; until jobs.clean runs, up to twice the storage is taken"
    yield (
        f"intervals hold {CONFIDENCE:.0%} of resampled partitions; errors are of a fifth of the sample's partitions "
        f"predicted from the others ({ROUNDS} × {FOLDS} times): a larger part is predicted better"
    )
