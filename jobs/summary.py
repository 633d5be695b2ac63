"""What a run says at its end: what became of every input, and where to look."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from jobs.progress import span, videos
from jobs.terminal import printable

if TYPE_CHECKING:
    from pipeline.progress import Summary

SHOWN_FAILURES = 5
SHOWN_PARTITIONS = 10


def summary_lines(summary: Summary, shown: Sequence[str], more: Mapping[str, str]) -> list[str]:
    """The summary as lines of plain text.

    `shown` names the columns that it proposes to look at, `more` what else can be done with the output and
    by which command, where {output} stands for it.
    """
    return [printable(line) for line in (*_outcome(summary), "", *_where_to_look(summary, shown, more))]


def _outcome(summary: Summary) -> Iterator[str]:
    progress = summary.progress
    committed = f"{progress.partitions_committed:,} of {progress.partitions_total:,} partitions committed"
    yield f"{videos(progress):,} of {progress.videos_total:,} videos in {span(progress.elapsed)}, {committed}"
    resumed = f" ({progress.videos_resumed:,} from earlier runs)" if progress.videos_resumed else ""
    done, partial, failed = progress.videos_done, progress.videos_partial, progress.videos_failed
    yield _row("videos", f"{done:,} done, {partial:,} in part, {failed:,} failed{resumed}")
    kept, dropped, broken = progress.clips_kept, progress.clips_dropped, progress.clips_failed
    yield _row("clips", f"{kept:,} kept, {dropped:,} dropped, {broken:,} failed")
    if progress.video_seconds:
        yield _row("footage", span(progress.video_seconds))
    if summary.tiers:
        yield _row("tiers", _tally(summary.tiers))
    if summary.drop_reasons:
        yield _row("dropped", _tally(summary.drop_reasons))
    worst = sorted(summary.failures, key=lambda failure: (-failure.count, failure.operator, failure.kind))
    for failure in worst[:SHOWN_FAILURES]:
        yield _row("failed", f"{failure.count:,} × {failure.operator}/{failure.kind}, e.g. {failure.example}")
    if len(worst) > SHOWN_FAILURES:
        yield _row("", f"and {len(worst) - SHOWN_FAILURES} more kinds of failure")
    for note in summary.notes:
        yield _row("note", note)
    if summary.uncommitted:
        listed = ", ".join(map(str, summary.uncommitted[:SHOWN_PARTITIONS]))
        more = ", …" if len(summary.uncommitted) > SHOWN_PARTITIONS else ""
        yield _row("MISSING", f"{len(summary.uncommitted):,} partitions could not be committed: {listed}{more}")
        yield _row("", "Run the same command again to go on with them.")
    elif not progress.partitions_committed:
        yield _row("MISSING", "nothing was committed")


def _where_to_look(summary: Summary, shown: Sequence[str], more: Mapping[str, str]) -> Iterator[str]:
    output = summary.output
    code = f"import store; print(store.open({json.dumps(output)}).to_table({json.dumps(list(shown))}).to_pandas())"
    yield f"The data set is in {output}"
    yield f"  look at it     python -c {shlex.quote(code)}"
    for what, command in more.items():
        yield f"  {what:<15}{command.format(output=shlex.quote(output))}"
    yield f"  what failed    python -m jobs.status --output {shlex.quote(output)}"
    if summary.failures:
        yield "  try again      the same command with --retry-failed"


def _row(name: str, text: str) -> str:
    return f"  {name:<9}{text}"


def _tally(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)
