"""Checks an output: every shard that a marker names is there and whole, and holds what the marker counts.

python -m jobs.verify --output out/
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from jobs.console import FAILED, Parser, finish
from jobs.terminal import printable
from operators.errors import ConfigurationError

SHOWN = 100
"""Findings that are printed; all are counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; 0 where all is whole, 1 with findings."""
    parser = Parser(
        "jobs.verify",
        "Read every shard that a marker names, and check that it is there, whole, and holds what was counted.",
        "exit code:\n"
        "  0  everything that is committed is whole\n"
        "  1  something is missing, truncated, altered or miscounted\n"
        "  2  no such output\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    return finish(parser, argv, _verify)


def _verify(options: argparse.Namespace) -> int:
    from store.layout import RUN
    from store.markers import latest_generations
    from store.objects import open_store
    from store.verify import verify

    store = open_store(options.output)
    committed = len(latest_generations(store))
    if not committed and store.head(RUN) is None:
        raise ConfigurationError(f"{store.url} holds no run; give the --output of a job")
    count = 0
    for finding in verify(store):
        count += 1
        if count <= SHOWN:
            where = "" if finding.partition is None else f"partition {finding.partition}: "
            print(printable(f"{where}{finding.key}: {finding.problem}"))
    if count > SHOWN:
        print(f"… and {count - SHOWN:,} more")
    if count:
        print(f"{count:,} problems in {committed:,} committed partitions")
        return FAILED
    print(f"{committed:,} committed partitions: every shard is there and whole")
    return 0


if __name__ == "__main__":
    sys.exit(main())
