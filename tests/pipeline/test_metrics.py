"""What Prometheus is told of a run: the right figures, once, and nothing that could fail the run."""

from __future__ import annotations

import logging
import re
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from operators.contract import Row
from operators.errors import LeaseLost
from operators.spending import charge
from pipeline.metrics import MOST_VALUES, OTHER, Instruments, Labels, RunMetrics, run_name
from pipeline.progress import Progress
from pipeline.receipt import Receipt
from pipeline.run import execute
from pipeline.series import SERIES
from store.local import LocalStore
from store.markers import FailureTally, Marker, OperatorTally, read_markers
from store.objects import open_store
from tests.pipeline.run_chain import GpuNamer, chain, small_run
from tests.store.test_markers import marker

PATIENCE = 120.0  # s for a figure to come through Ray's agent


class Heard(Instruments):
    """What is told, added up as Prometheus would."""

    def __init__(self, labels: Labels) -> None:
        self.labels = dict(labels)
        self.values: Counter[tuple[str, Labels]] = Counter()
        self.tellings = 0

    def tell(self, name: str, value: float, labels: Labels = ()) -> None:
        assert tuple(label for label, _ in labels) == SERIES[name].labels
        self.tellings += 1
        before = 0 if SERIES[name].kind == "gauge" else self.values[name, labels]
        self.values[name, labels] = before + value  # type: ignore[assignment]

    def of(self, name: str) -> dict[str, float]:
        return {",".join(value for _, value in labels): n for (told, labels), n in self.values.items() if told == name}


class Held:
    """A lease, as far as metrics look at it."""

    epoch = 4
    lost = False

    def check(self) -> None:
        if self.lost:
            raise LeaseLost("another run writes")


def metrics() -> tuple[RunMetrics, Heard, Held]:
    heard: list[Heard] = []

    def tell(labels: Labels) -> Heard:
        heard.append(Heard(labels))
        return heard[0]

    held = Held()
    return RunMetrics("mmtrail", "s3://bucket/clips", held, tell), heard[0], held  # type: ignore[arg-type]


def reported(told: RunMetrics, **progress: Any) -> None:
    told.report(lambda: Progress(phase="running", **progress), 2, 1, always=True)


def receipt(task: str = "t", partition: int = 0, **operators: OperatorTally) -> Receipt:
    return Receipt(task=task, partition=partition, operators=operators)


FAILED = (FailureTally(operator="shots", kind="decode", count=2, example="v: broken"),)


def test_a_commit_counts_every_fact_once():
    told, heard, _ = metrics()
    told.committed(
        marker(0, clips={"kept": 5, "dropped": 1, "failed": 2}, tiers={"hq": 1, "visual": 3}, failures=FAILED)
    )
    told.committed(marker(1, videos={"done": 0, "partial": 0, "failed": 1}, clips={"kept": 0}, tiers={}))
    reported(told)
    assert heard.labels == {"job_name": "mmtrail", "run": run_name("s3://bucket/clips")}
    assert heard.of("rushes_clips_total") == {"kept,hq": 1, "kept,visual": 3, "kept,": 1, "dropped,": 1, "failed,": 2}
    assert heard.of("rushes_videos_total") == {"done": 1, "failed": 1}
    assert heard.of("rushes_drops_total") == {"too_short": 2}
    assert heard.of("rushes_hq_drops_total") == {"too_short": 10}
    assert heard.of("rushes_failures_total") == {"shots,decode": 2}
    assert heard.of("rushes_video_seconds_total") == {"": 120.0}
    assert heard.of("rushes_read_bytes_total") == {"": 2000}
    assert heard.of("rushes_partition_seconds") == {"": 2.0}
    before = heard.values.copy()
    reported(told)
    assert heard.values == before


def test_a_partition_done_again_adds_only_what_it_has_more_of():
    told, heard, _ = metrics()
    told.done_again({0: marker(0, clips={"kept": 4, "dropped": 1, "failed": 2}, failures=FAILED)})
    told.committed(
        marker(
            0,
            2,
            clips={"kept": 6, "dropped": 1, "failed": 0},
            tiers={"visual": 6},
            hq_drop_reasons={},
            bytes_read=1000,
        )
    )
    reported(told)
    assert heard.of("rushes_clips_total") == {"kept,visual": 2}
    assert not heard.of("rushes_failures_total") and not heard.of("rushes_read_bytes_total")


def test_work_is_what_a_tasks_receipts_add_to_one_another():
    told, heard, _ = metrics()
    told.received(receipt(shots=OperatorTally(clips=1, seconds=2.0)))
    told.received(
        receipt(shots=OperatorTally(clips=3, seconds=5.0), talk=OperatorTally(clips=2, seconds=1.0, tokens_in=9))
    )
    told.received(receipt(shots=OperatorTally(clips=1, seconds=2.0)))  # an older one, late
    told.received(receipt(shots=OperatorTally(clips=4, seconds=5.5)))
    told.received(receipt("again", shots=OperatorTally(clips=3, seconds=5.0, tokens_out=4)))
    told.committed(marker(0))
    told.received(receipt("late", shots=OperatorTally(clips=3, seconds=5.0)))
    reported(told)
    assert heard.of("rushes_operator_seconds_total") == {"shots": 10.5, "talk": 1.0}
    assert heard.of("rushes_operator_clips_total") == {"shots": 7, "talk": 2}
    assert heard.of("rushes_tokens_total") == {"talk,prompt": 9, "shots,completion": 4}


def test_the_state_is_that_of_the_output_and_of_the_lease():
    told, heard, held = metrics()
    facts = {"videos_total": 10, "videos_done": 3, "videos_failed": 1, "clips_kept": 7, "clips_dropped": 2}
    reported(told, partitions_total=7, partitions_committed=1, **facts)
    assert heard.of("rushes_partitions") == {"committed": 1, "open": 2, "parked": 1, "pending": 3}
    assert heard.of("rushes_output_videos") == {"done": 3, "partial": 0, "failed": 1, "pending": 6}
    assert heard.of("rushes_output_clips") == {"kept": 7, "dropped": 2, "failed": 0}
    assert (heard.of("rushes_lease_held"), heard.of("rushes_lease_epoch")) == ({"": 1.0}, {"": 4})
    held.lost = True
    reported(told)
    assert heard.of("rushes_lease_held") == {"": 0.0}


def test_labels_stay_few_whatever_reasons_an_operator_gives():
    told, heard, _ = metrics()
    told.committed(marker(0, drop_reasons={f"because of {number}": 1 for number in range(10 * MOST_VALUES)}))
    reported(told)
    reasons = heard.of("rushes_drops_total")
    assert len(reasons) == MOST_VALUES + 1
    assert reasons[OTHER] == 9 * MOST_VALUES
    assert run_name("s3://bucket/a b/") != run_name("s3://other/a b/")
    assert re.fullmatch(r"a_b-[0-9a-f]{6}", run_name("s3://bucket/a b/"))
    assert len(run_name("/data/" + "x" * 500)) < 50


def test_reports_are_seldom_and_cheap():
    told, heard, _ = metrics()
    snapshots = []

    def progress() -> Progress:
        snapshots.append(1)
        return Progress(phase="running")

    operators = {f"operator{number}": OperatorTally(clips=1, seconds=1.0, tokens_in=5) for number in range(10)}
    began = time.process_time()
    for number in range(2000):
        told.received(Receipt(task=f"t{number}", partition=0, operators=operators))
        told.report(progress, 0)
    took = time.process_time() - began
    assert took < 2.0, "a millisecond a receipt at the very most"
    assert len(snapshots) <= 3
    assert heard.tellings <= 3 * (30 + 12)


def test_without_ray_or_with_broken_metrics_a_run_hears_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    instruments = Instruments((("job_name", "j"), ("run", "r")))
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    instruments.tell("rushes_read_bytes_total", 5)
    assert not caplog.records
    monkeypatch.setattr("ray.is_initialized", lambda: True)

    def broken(*_: object, **__: object) -> None:
        raise OSError("no agent")

    monkeypatch.setattr("ray.util.metrics.Counter.__init__", broken)
    with caplog.at_level(logging.WARNING):
        instruments.tell("rushes_read_bytes_total", 5)
        instruments.tell("rushes_read_bytes_total", 5)
    assert [record.getMessage() for record in caplog.records] == ["no more metrics from this run: OSError: no agent"]


class Talker(GpuNamer):
    """A namer that spends tokens, in a stage of its own."""

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        for _ in clips:
            charge("tokens_in", 100)
            charge("tokens_out", 7)
        return super().annotate(clips)


def talking(**settings: Any) -> list[Any]:
    operators = chain(gpu=True, **settings)
    return [Talker(operator.settings) if isinstance(operator, GpuNamer) else operator for operator in operators]


def scraped(run: str) -> dict[str, float]:
    """Every series of `run` as Ray's agent shows it to Prometheus, without Ray's own labels."""
    import ray

    [node] = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=30) as page:
        text = page.read().decode()
    found: defaultdict[str, float] = defaultdict(float)
    for name, labels, value in re.findall(r"^(ray_rushes_\w+)\{(.*)\} (\S+)$", text, re.M):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        if pairs.get("run") == run:
            declared = SERIES.get(name.removeprefix("ray_"), SERIES["rushes_partition_seconds"])
            own = [pairs[label] for label in (*declared.labels, "le") if label in pairs]
            found["/".join([name.removeprefix("ray_"), *own])] += float(value)
    return found


def awaited(run: str, enough: Callable[[Mapping[str, float]], bool]) -> dict[str, float]:
    deadline = time.monotonic() + PATIENCE
    while not enough(found := scraped(run)):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


@pytest.mark.usefixtures("ray_session")
def test_prometheus_reads_what_the_markers_say_also_after_failures_were_done_again(films: Path, tmp_path: Path):
    output, mended = tmp_path / "metered", tmp_path / "mended"
    operators = talking(fails="c-two", unless=str(mended))
    execute(small_run(films, output, operators))
    store = open_store(output)
    run = run_name(store.url)
    assert isinstance(store, LocalStore)
    first = list(read_markers(store).values())
    found = awaited(run, lambda told: told.get("rushes_partitions/committed") == 3)
    clips = total(first, lambda m: m.clips)
    assert (clips["failed"], clips["dropped"]) == (2, 1)
    tiers = total(first, lambda m: m.tiers)
    assert named(found, "rushes_clips_total") == {
        **{f"kept/{tier}": count for tier, count in tiers.items()},
        "dropped/": clips["dropped"],
        "failed/": clips["failed"],
    }
    assert named(found, "rushes_videos_total") == dict(+total(first, lambda m: m.videos))
    assert named(found, "rushes_drops_total") == {"shorter_than_min_duration": 1}
    assert named(found, "rushes_failures_total") == {"namer/model": 2, "shots/decode": 1}
    assert found["rushes_video_seconds_total"] == pytest.approx(sum(m.video_seconds for m in first))
    assert found["rushes_read_bytes_total"] == sum(m.bytes_read for m in first)
    work = Counter({"namer": 0})
    for name in ("shots", "quality", "namer", "fuser"):
        tallies = [m.operators[name] for m in first]
        work[name] = sum(tally.clips for tally in tallies)
        assert found[f"rushes_operator_seconds_total/{name}"] == pytest.approx(
            sum(t.seconds for t in tallies), abs=0.01
        )
        assert found[f"rushes_operator_clips_total/{name}"] == work[name]
    asked = sum(m.operators["namer"].tokens_in for m in first)
    assert asked >= 100 * work["namer"], "clips of a batch that failed are asked about one by one"
    assert found["rushes_tokens_total/namer/prompt"] == asked
    assert found["rushes_tokens_total/namer/completion"] == 7 * asked / 100
    assert found["rushes_partition_seconds_count"] == found["rushes_partition_seconds_bucket/+Inf"] == 3
    assert found["rushes_lease_held"] == 1
    assert named(found, "rushes_partitions") == {"committed": 3, "open": 0, "parked": 0, "pending": 0}
    assert named(found, "rushes_output_clips") == {state: clips[state] for state in ("kept", "dropped", "failed")}

    execute(small_run(films, output, operators))
    mended.touch()
    execute(small_run(films, output, operators, retry_failed=True))
    again = awaited(run, lambda told: told.get("rushes_partition_seconds_count") == 5)
    assert sum(named(again, "rushes_clips_total").values()) == sum(clips.values()) + 2, "two clips were kept at last"
    assert named(again, "rushes_failures_total") == named(found, "rushes_failures_total")
    assert again["rushes_tokens_total/namer/prompt"] == asked + 200


def total(markers: Sequence[Marker], of: Callable[[Marker], Mapping[Any, int]]) -> Counter[str]:
    return sum((Counter(of(each)) for each in markers), Counter())


def named(found: Mapping[str, float], series: str) -> dict[str, float]:
    return {name.partition("/")[2]: value for name, value in found.items() if name.partition("/")[0] == series}
