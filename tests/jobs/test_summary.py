"""The last words of a run."""

from __future__ import annotations

import shlex

from jobs.summary import summary_lines
from pipeline.progress import Progress, Summary
from store.markers import FailureTally

PROGRESS = Progress(
    phase="done",
    videos_total=12,
    videos_done=10,
    videos_partial=1,
    videos_failed=1,
    videos_resumed=3,
    clips_kept=84,
    clips_dropped=6,
    clips_failed=1,
    partitions_total=2,
    partitions_committed=2,
    video_seconds=3725,
    elapsed=72.3,
)


SHOWN = ("clip_id", "tier", "merge_caption")


def test_everything_is_accounted_for():
    summary = Summary(
        progress=PROGRESS,
        output="s3://bucket/it's here",
        failures=(
            FailureTally(operator="shots", kind="no_video", count=1, example="a.mp4 holds no video"),
            FailureTally(operator="speech", kind="model", count=1_000, example="decoder gave up"),
        ),
        drop_reasons={"motion_below_floor": 2, "shorter_than_min_duration": 4},
        tiers={"visual": 72, "hq": 12},
        notes=("the store ignores conditional writes",),
    )
    lines = summary_lines(summary, SHOWN, {})
    assert lines[:11] == [
        "12 of 12 videos in 1 min 12 s, 2 of 2 partitions committed",
        "  videos   10 done, 1 in part, 1 failed (3 from earlier runs)",
        "  clips    84 kept, 6 dropped, 1 failed",
        "  footage  1 h 02 min",
        "  tiers    visual 72, hq 12",
        "  dropped  shorter_than_min_duration 4, motion_below_floor 2",
        "  failed   1,000 × speech/model, e.g. decoder gave up",
        "  failed   1 × shots/no_video, e.g. a.mp4 holds no video",
        "  note     the store ignores conditional writes",
        "",
        "The data set is in s3://bucket/it's here",
    ]
    look, status, again = lines[11:]
    assert shlex.split(look.removeprefix("  look at it"))[:2] == ["python", "-c"]
    compile(shlex.split(look.removeprefix("  look at it"))[2], "look", "exec")
    assert shlex.split(status.removeprefix("  what failed")) == shlex.split(
        'python -m jobs.status --output "s3://bucket/it\'s here"'
    )
    assert again == "  try again      the same command with --retry-failed"


def test_what_is_missing_is_said():
    summary = Summary(progress=PROGRESS, output="out", uncommitted=tuple(range(3, 20)))
    text = "\n".join(summary_lines(summary, SHOWN, {}))
    assert "MISSING  17 partitions could not be committed: 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, …" in text
    assert "Run the same command again to go on with them." in text
    assert "--retry-failed" not in text


def test_a_run_without_a_commit_says_so():
    summary = Summary(progress=Progress(phase="done"), output="out")
    assert "  MISSING  nothing was committed" in summary_lines(summary, SHOWN, {})


def test_many_kinds_of_failure_are_cut_short():
    failures = tuple(FailureTally(operator="shots", kind=f"k{n}", count=1, example="x") for n in range(9))
    lines = summary_lines(Summary(progress=PROGRESS, output="out", failures=failures), SHOWN, {})
    assert sum(line.startswith("  failed") for line in lines) == 5
    assert "           and 4 more kinds of failure" in lines


def test_what_can_be_done_next_is_a_command_that_can_be_pasted():
    summary = Summary(progress=PROGRESS, output="my out")
    lines = summary_lines(summary, ("clip_id",), {"watch it": "python -m jobs.gesx --output {output} --preview 5"})
    assert "  watch it       python -m jobs.gesx --output 'my out' --preview 5" in lines
    assert any('to_table(["clip_id"])' in line for line in lines)


def test_parked_partitions_are_named_with_the_reason_and_the_way_out():
    parked = {partition: f"clips/{partition:05d}/x.parquet is damaged" for partition in range(3, 16)}
    lines = summary_lines(Summary(progress=PROGRESS, output="out", uncommitted=(1, *parked), parked=parked), SHOWN, {})
    text = "\n".join(lines)
    assert "PARKED   partition 3 failed too often: clips/00003/x.parquet is damaged" in text
    assert "and 3 partitions more. Mend the cause" in text
    assert "--retry-failed" in text
    assert "1 partitions could not be committed: 1" in text
