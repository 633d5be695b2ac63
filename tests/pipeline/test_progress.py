from __future__ import annotations

import pytest

from pipeline.progress import Progress, Summary


@pytest.mark.parametrize(
    ("committed", "uncommitted", "code"),
    [(0, (), 1), (3, (), 0), (2, (2,), 1), (0, (0, 1), 1)],
)
def test_only_a_run_that_accounted_for_everything_and_committed_something_exits_with_0(
    committed: int, uncommitted: tuple[int, ...], code: int
):
    progress = Progress(phase="done", partitions_total=3, partitions_committed=committed)
    assert Summary(progress=progress, output="out", uncommitted=uncommitted).exit_code == code
