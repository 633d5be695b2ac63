"""What a run yielded and cost, as `report.json` holds it: derived from markers, sessions and a price table.

Nothing reads it but people and their tools: a run neither needs it nor trusts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from jobs.gates import passages
from jobs.prices import GB, Market, Prices
from jobs.report_fields import (
    CostReport,
    Dollars,
    Gate,
    OperatorCost,
    Priced,
    Repeated,
    Reserved,
    SessionCost,
    StageUse,
    Total,
)
from operators.errors import ConfigurationError
from store.layout import REPORT
from store.objects import ObjectStore
from store.run_record import RunRecord, read_run
from store.sessions import NodeRecord, Session, read_sessions
from store.work import OperatorWork, PartitionWork, read_work

HOUR = 3600.0


def report_of(store: ObjectStore, prices: Prices) -> CostReport:
    """The report on the run in `store`. Raises `ConfigurationError` where there is none."""
    run = read_run(store)
    if run is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    sessions = read_sessions(store)
    return build(run, store.url, sessions, read_work(store, run.operators[0].name, sessions), prices)


def write_report(store: ObjectStore, report: CostReport) -> None:
    """Write `report.json`, whole, over an earlier one."""
    store.put(REPORT, (report.model_dump_json(indent=2) + "\n").encode())


def build(
    run: RunRecord, output: str, sessions: Sequence[Session], work: Sequence[PartitionWork], prices: Prices
) -> CostReport:
    """The report from what was read."""
    markers = [part.marker for part in work]
    videos, clips = _summed(m.videos for m in markers), _summed(m.clips for m in markers)
    reasons = _summed(m.drop_reasons for m in markers)
    failures = _summed({f"{f.operator}/{f.kind}": f.count} for m in markers for f in m.failures)
    hours = sum(marker.video_seconds for marker in markers) / HOUR
    total = sum((part.total() for part in work), OperatorWork())
    told = [_session(session, work) for session in sessions]
    wall = sum(session.wall_seconds for session in told)
    reserved_cpu = sum(s.cpus * t.wall_seconds for s, t in zip(sessions, told, strict=True))
    reserved_gpu = sum(s.gpus * t.wall_seconds for s, t in zip(sessions, told, strict=True))
    n_clips, again = sum(clips.values()), sum(part.again for part in work)
    gates = passages(
        run,
        videos,
        clips,
        _summed(m.tiers for m in markers),
        reasons,
        _summed(m.hq_drop_reasons for m in markers),
        failures,
    )
    return CostReport(
        job=run.job,
        output=output,
        fingerprint=run.fingerprint,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        complete=len(work) >= run.n_partitions,
        partitions=len(work),
        partitions_total=run.n_partitions,
        videos={state: videos[state] for state in ("done", "partial", "failed")},
        clips={state: clips[state] for state in ("kept", "dropped", "failed")},
        video_hours=hours,
        bytes_read=sum(marker.bytes_read for marker in markers),
        bytes_written=sum(part.bytes_written for part in work),
        gates=tuple(Gate(**gate._asdict(), share=ratio(gate.passed, gate.entered)) for gate in gates),
        operators=tuple(_operators(run, sessions, work, prices)),
        stages=tuple(_stages(sessions, work)),
        total=Total(
            seconds=total.seconds,
            cpu_seconds=total.cpu_seconds,
            gpu_seconds=total.gpu_seconds,
            tokens_in=total.tokens_in,
            tokens_out=total.tokens_out,
            wall_seconds=wall,
            video_hours_per_cpu_hour=ratio(hours, total.cpu_seconds / HOUR),
            video_hours_per_gpu_hour=ratio(hours, total.gpu_seconds / HOUR),
            video_hours_per_hour=ratio(hours, wall / HOUR),
        ),
        reserved=Reserved(
            cpu_seconds=reserved_cpu,
            gpu_seconds=reserved_gpu,
            cpu_share=ratio(total.cpu_seconds, reserved_cpu),
            gpu_share=ratio(total.gpu_seconds, reserved_gpu),
        ),
        repeated=Repeated(
            partitions=sum(part.passes > 1 for part in work),
            clips=again,
            share=ratio(again, n_clips),
            clips_unmetered=sum(part.unmetered for part in work),
        ),
        sessions=tuple(told),
        priced=Priced(
            as_of=prices.as_of, source=prices.source, cpu_machine=prices.cpu_machine, gpu_machine=prices.gpu_machine
        ),
        dollars=tuple(_dollars(market, sessions, told, work, prices) for market in ("on_demand", "spot")),
    )


def ratio(part: float, whole: float) -> float | None:
    """`part` over `whole`, None where there is no whole."""
    return part / whole if whole else None


def asked(work: Iterable[PartitionWork]) -> dict[str, tuple[int, int]]:
    """Tokens (of prompts, of answers) that servers were asked, by URL."""
    tokens: dict[str, tuple[int, int]] = {}
    for part in work:
        for url, (given, told) in part.asked.items():
            before = tokens.get(url, (0, 0))
            tokens[url] = (before[0] + given, before[1] + told)
    return tokens


def token_dollars(tokens: Mapping[str, tuple[int, int]], prices: Prices) -> float:
    """What servers charge for tokens (of prompts, of answers) by URL; nothing for those without a price."""
    dollars = 0.0
    for url, (given, told) in tokens.items():
        if (price := prices.endpoint(url)) is not None:
            dollars += (given * price.input_per_million + told * price.output_per_million) / 1e6
    return dollars


def machine_dollars(used: OperatorWork, prices: Prices, market: Market) -> tuple[float, float]:
    """Dollars of one operator's actors at work: (on a machine for CPUs, on one for GPUs); one of them is 0."""
    if used.gpu_seconds:
        machine = prices.machine(prices.gpu_machine)
        return 0.0, used.gpu_seconds / HOUR * machine.hourly(market) / machine.gpus
    machine = prices.machine(prices.cpu_machine)
    return used.cpu_seconds / HOUR * machine.hourly(market) / machine.cpus, 0.0


def by_operator(work: Iterable[PartitionWork]) -> dict[str, OperatorWork]:
    """The sum over partitions of what each operator did."""
    total: dict[str, OperatorWork] = {}
    for part in work:
        for name, done in part.operators.items():
            total[name] = total.get(name, OperatorWork()) + done
    return total


def _operators(
    run: RunRecord, sessions: Sequence[Session], work: Sequence[PartitionWork], prices: Prices
) -> Iterable[OperatorCost]:
    used = by_operator(work)
    for operator in run.operators:
        if (done := used.get(operator.name)) is None:
            continue
        stage = next((found for s in reversed(sessions) if (found := s.stage_of(operator.name))), None)
        yield OperatorCost(
            operator=operator.name,
            **vars(done),
            ms_per_clip=ratio(1000 * done.seconds, done.clips),
            cpus=stage.cpus if stage else 1,
            gpus=stage.gpus if stage else 0,
            dollars=sum(machine_dollars(done, prices, "on_demand")),
        )


def _stages(sessions: Sequence[Session], work: Sequence[PartitionWork]) -> Iterable[StageUse]:
    used = by_operator(work)
    for stage in sessions[-1].stages if sessions else ():
        done = [used[name] for name in stage.operators if name in used]
        at_work, there = sum(work.actor_seconds for work in done), sum(work.reserved_seconds for work in done)
        if done:
            yield StageUse(
                operators=stage.operators,
                actor_seconds=at_work,
                reserved_seconds=there,
                share=ratio(at_work, there),
            )


def _session(session: Session, work: Iterable[PartitionWork]) -> SessionCost:
    own = [part.marker for part in work if part.marker.nonce == session.nonce]
    ended = session.ended or max((marker.committed for marker in own), default=session.started)
    begun = min((marker.started for marker in own), default=None)
    return SessionCost(
        started=datetime.fromtimestamp(session.started, UTC).isoformat(timespec="seconds"),
        wall_seconds=max(0.0, ended - session.started),
        first_result_seconds=None if begun is None else max(0.0, begun - session.started),
        outcome=session.outcome,
        job=session.job,
        package_version=session.package_version,
        stages=session.stages,
        nodes=session.nodes,
    )


def _dollars(
    market: Market,
    sessions: Sequence[Session],
    told: Sequence[SessionCost],
    work: Sequence[PartitionWork],
    prices: Prices,
) -> Dollars:
    each = [machine_dollars(done, prices, market) for done in by_operator(work).values()]
    cpu, gpu = sum(dollars[0] for dollars in each), sum(dollars[1] for dollars in each)
    tokens = token_dollars(asked(work), prices)
    total = cpu + gpu + tokens
    clips = sum(part.clips for part in work)
    kept = sum(part.marker.clips["kept"] for part in work)
    hours = sum(part.marker.video_seconds for part in work) / HOUR
    machines = sum(
        told_.wall_seconds / HOUR * sum(node.count * _hourly(node, prices, market) for node in session.nodes)
        for session, told_ in zip(sessions, told, strict=True)
    )
    return Dollars(
        market=market,
        cpu=cpu,
        gpu=gpu,
        tokens=tokens,
        total=total,
        reserved=machines + tokens,
        per_1000_clips=ratio(1000 * total, clips),
        per_1000_clips_kept=ratio(1000 * total, kept),
        per_1000_video_hours=ratio(1000 * total, hours),
        storage_month=sum(part.bytes_written for part in work) / GB * prices.storage.gb_month,
    )


def _hourly(node: NodeRecord, prices: Prices, market: Market) -> float:
    """Dollars per hour of a node, priced by its GPUs where it has some, else by its CPUs."""
    machine = prices.machine(prices.gpu_machine if node.gpus else prices.cpu_machine)
    share = node.gpus / machine.gpus if node.gpus else node.cpus / machine.cpus
    return share * machine.hourly(market)


def _summed(counts: Iterable[Mapping[Any, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return total
