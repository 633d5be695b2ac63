"""Opening an output: its run record and manifest are made once, and compared ever after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from operators.contract import Operator
from operators.errors import RunMismatch
from pipeline.chain import fingerprint, lineages
from pipeline.cluster import NO_WISHES, Wishes
from pipeline.reuse import Reuse, reuse_of
from store.layout import manifest_key
from store.manifest import read_input, read_partition, write_manifest
from store.objects import ObjectStore, open_store
from store.run_record import OperatorRecord, RunRecord, create_run, differences, package_version, read_run
from store.schema import SCHEMA_VERSION
from store.threads import in_threads


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a person asked for. `config` is the resolved configuration, for the record.

    `cpus` limits a local Ray instance, `address` names a running cluster, `lease_term` is in seconds.
    `retry_failed` does videos again that have an error; `append` adds the input's new videos to the run that the
    output holds, in partitions of that run's own size; `reuse` names an earlier run to take columns
    from. `shard_seconds` is how old the oldest unwritten row may get, `stall_seconds` how long there may be no
    progress before the run fails (`pipeline.watchdog`). `wishes` say where stages may run.
    """

    job: str
    output: str
    input: str
    chain: Sequence[Operator]
    config: dict[str, Any] = field(default_factory=dict)
    partition_size: int = 64
    limit: int | None = None
    retry_failed: bool = False
    append: bool = False
    reuse: str | None = None
    take_over: bool = False
    keep_media: bool = False
    cpus: int | None = None
    address: str | None = None
    lease_term: float = 30.0
    shard_seconds: float = 15.0
    stall_seconds: float = 1800.0
    wishes: Wishes = NO_WISHES


def open_run(run: Run, store: ObjectStore) -> tuple[RunRecord, Reuse | None]:
    """The record of the run in `store`, made now where there is none.

    A run that has grown is resumed with any of its inputs; with `run.append`, any input may follow
    (`pipeline.appending`). Raises `RunMismatch` with the differences where the output belongs to another run,
    and `ManifestError` where the input is wrong.
    """
    found = read_run(store)
    if found is not None:
        wanted = _record(run, found.n_partitions, found.n_videos)
        if run.append or (wanted.input, wanted.limit) in found.inputs:
            wanted = wanted.model_copy(update={"input": found.input, "limit": found.limit})
        if run.append:
            wanted = wanted.model_copy(update={"partition_size": found.partition_size})
        if changes := differences(found, wanted):
            raise RunMismatch(_refusal(store, changes))
        reuse = reuse_of(open_store(run.reuse), run.chain)[0] if run.reuse else None
        return found, reuse
    if run.reuse:
        reuse, old = reuse_of(open_store(run.reuse), run.chain)
        record = _record(run, old.n_partitions, old.n_videos)
        _same_manifest(record, old)
        record = record.model_copy(update={"input": old.input, "limit": old.limit, "appended": old.appended})
        in_threads(lambda partition: _copy_partition(reuse.store, store, partition), range(old.n_partitions))
    else:
        reuse = None
        entries = read_input(run.input, limit=run.limit)
        record = _record(run, write_manifest(store, entries, run.partition_size), len(entries))
    create_run(store, record)
    return record, reuse


def partition_ids(store: ObjectStore, partition: int) -> list[str]:
    """The videos of a partition, in manifest order."""
    return [entry.video_id for entry in read_partition(store, partition)]


def _record(run: Run, n_partitions: int, n_videos: int) -> RunRecord:
    lineage = lineages(run.chain)
    config = {**run.config, "media": "keep"} if run.keep_media else run.config
    return RunRecord(
        job=run.job,
        input=run.input,
        config=config,
        operators=tuple(
            OperatorRecord(
                name=operator.name,
                fingerprint=operator.fingerprint(),
                lineage=lineage[operator.name],
                reads=operator.reads,
                writes={column.name: str(column.type) for column in operator.writes},
            )
            for operator in run.chain
        ),
        fingerprint=fingerprint(lineage),
        package_version=package_version(),
        schema_version=SCHEMA_VERSION,
        partition_size=run.partition_size,
        limit=run.limit,
        n_partitions=n_partitions,
        n_videos=n_videos,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _refusal(store: ObjectStore, changes: Sequence[str]) -> str:
    lines = "\n".join(f"  {change}" for change in changes)
    ways = [
        "go back to the old settings to resume it",
        f"or choose a new --output, with --reuse {store.url} to redo only what changed",
    ]
    if all(change.startswith(("input: ", "limit: ")) for change in changes):
        ways.insert(1, "or add the videos of this input to the run with --append")
    if all(change.startswith("tiers.") for change in changes):
        ways.append(f"or apply the thresholds to the stored scores: python -m jobs.rejudge --output {store.url}")
    return f"{store.url} holds a run with other settings:\n{lines}\n" + ";\n".join(ways)


def _same_manifest(new: RunRecord, old: RunRecord) -> None:
    if (new.input, new.limit) in old.inputs:
        new = new.model_copy(update={"input": old.input, "limit": old.limit})
    changes = [
        f"  {name}: {getattr(old, name)} → {getattr(new, name)}"
        for name in ("input", "partition_size", "limit")
        if getattr(old, name) != getattr(new, name)
    ]
    if changes:
        raise RunMismatch("--reuse works on the same videos in the same partitions:\n" + "\n".join(changes))


def _copy_partition(old: ObjectStore, new: ObjectStore, partition: int) -> None:
    key = manifest_key(partition)
    new.put(key, old.get(key))
