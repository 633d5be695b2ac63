"""Removes what no marker names: shards of interrupted work, and notes of attempts that are settled.

python -m jobs.clean --output out/ --dry-run
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

from jobs.console import Parser, finish
from jobs.terminal import printable
from operators.errors import ConfigurationError

GRACE_HOURS = 24.0
"""Younger objects stay, because a run that goes on may still name them."""

SHOWN = 100
"""Keys that are printed; all are counted."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    parser = Parser(
        "jobs.clean",
        "Remove what no marker names. Nothing that a reader can see is touched.",
        "examples:\n"
        "  python -m jobs.clean --output out/ --dry-run       show what would go\n"
        "  python -m jobs.clean --output out/ --grace 1       remove what is older than an hour\n",
    )
    parser.add_argument(
        "--output", required=True, metavar="WHERE", help="folder or s3://bucket/prefix of the data set"
    )
    parser.add_argument("--dry-run", action="store_true", help="only print what would be removed")
    parser.add_argument(
        "--grace",
        type=float,
        default=GRACE_HOURS,
        metavar="HOURS",
        help=f"keep what is younger, because a run may still name it (default: {GRACE_HOURS:g})",
    )
    parser.add_argument("--take-over", action="store_true", help="clean although another run holds the output")
    return finish(parser, argv, _clean)


def _clean(options: argparse.Namespace) -> int:
    from store.clean import clean, orphans
    from store.objects import open_store

    if not (math.isfinite(options.grace) and options.grace >= 0):
        raise ConfigurationError(f"--grace {options.grace:g} must be a number of hours from 0")
    store = open_store(options.output)
    seconds = options.grace * 3600
    if options.dry_run:
        found, what = orphans(store, seconds), "would be removed"
    else:
        found, what = clean(store, seconds, take_over=options.take_over, on_wait=_say), "removed"
    for info in found[:SHOWN]:
        print(printable(f"{info.key}  {info.size:,} bytes"))
    if len(found) > SHOWN:
        print(f"… and {len(found) - SHOWN:,} more")
    total = sum(info.size for info in found)
    print(f"{len(found):,} objects of {total:,} bytes {what}; what is younger than {options.grace:g} hours stays")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
