"""The MMTrail job with a call log: its last operator writes down every clip that was annotated.

RUSHES_CALL_LOG=calls.txt python -m benchmarks.chaos_job VIDEOS OUTPUT
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from jobs.mmtrail import lite
from operators.contract import ClipOperator, Operator, Row
from pipeline.run import Run, execute

CALL_LOG = "RUSHES_CALL_LOG"
"""Environment variable: the file that each annotated clip's id is appended to."""


class CallLog(ClipOperator):
    """Appends the id of every clip that reaches it; one short write is atomic among processes."""

    name = "calls"
    reads: ClassVar[tuple[str, ...]] = ("clip_id",)
    writes: ClassVar[pa.Schema] = pa.schema([])
    on_dropped = True

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        descriptor = os.open(os.environ[CALL_LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            for clip in clips:
                os.write(descriptor, f"{clip['clip_id']}\n".encode())
        finally:
            os.close(descriptor)
        return [{} for _ in clips]


def chain() -> list[Operator]:
    """The `lite` chain and the call log."""
    return [*(operator() for operator in lite()), CallLog()]


def main(arguments: Sequence[str]) -> int:
    """Run or resume the job on the folder and output in `arguments`."""
    videos, output = arguments
    run = Run(
        job="mmtrail",
        input=str(Path(videos).resolve()),
        output=output,
        chain=chain(),
        partition_size=3,
        lease_term=30.0,
        shard_seconds=1.0,
    )
    return execute(run).exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
