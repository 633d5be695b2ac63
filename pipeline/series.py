"""The series that a run exports to Prometheus; Ray puts `ray_` before each name.

Every one has the labels `job_name` and `run`, too (`job` is Prometheus's own).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

MINUTE = 60.0
PARTITION_BUCKETS = (10.0, MINUTE, 5 * MINUTE, 15 * MINUTE, 60 * MINUTE, 240 * MINUTE, 1440 * MINUTE)
"""Bounds of the one histogram, in seconds."""


class Series(NamedTuple):
    """A metric of Prometheus and the labels that tell its values apart."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    about: str
    labels: tuple[str, ...] = ()


FACTS = (
    Series("rushes_clips_total", "counter", "Clips committed: kept (by tier), dropped or failed", ("state", "tier")),
    Series("rushes_videos_total", "counter", "Videos committed", ("status",)),
    Series("rushes_drops_total", "counter", "Clips dropped, by the gate that did", ("reason",)),
    Series("rushes_hq_drops_total", "counter", "Clips kept out of the tier hq, by the gate that did", ("reason",)),
    Series("rushes_failures_total", "counter", "Clips and videos that failed", ("operator", "kind")),
    Series("rushes_video_seconds_total", "counter", "Running time of the videos committed"),
    Series("rushes_read_bytes_total", "counter", "Size of the videos committed"),
    Series("rushes_partition_seconds", "histogram", "From a partition's first receipt to its commit"),
)

WORK = (
    Series("rushes_operator_seconds_total", "counter", "Wall-clock seconds inside an operator", ("operator",)),
    Series("rushes_operator_clips_total", "counter", "Clips given to an operator", ("operator",)),
    Series("rushes_tokens_total", "counter", "Tokens of chat models, prompt or completion", ("operator", "direction")),
)

STATE = (
    Series("rushes_partitions", "gauge", "Partitions of the output by state", ("state",)),
    Series(
        "rushes_output_videos", "gauge", "Videos by status, also of open partitions, and pending ones", ("status",)
    ),
    Series("rushes_output_clips", "gauge", "Clips of the output by state, also of open partitions", ("state",)),
    Series("rushes_lease_held", "gauge", "1 while this driver may write to the output, else 0"),
    Series("rushes_lease_epoch", "gauge", "How often the lease of the output was acquired"),
)

SERIES = {series.name: series for series in (*FACTS, *WORK, *STATE)}
