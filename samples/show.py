"""Shows what the demo made: `python -m samples.show RUN` prints the kept clips and their fused captions."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import store
from operators.errors import RushesError

COLUMNS = ["clip_id", "clip_start_end_time", "tier", "merge_caption"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table of the run named first in `argv`; 2 where it cannot be read."""
    console = Console()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1:
        console.print("usage: python -m samples.show RUN")
        return 2
    try:
        clips = store.open(arguments[0]).to_table(columns=COLUMNS).to_pylist()
    except RushesError as problem:
        console.print(str(problem), markup=False)
        return 2
    table = Table(title=f"{len(clips)} clips in {arguments[0]}", show_lines=True)
    for heading, width in (("clip", 24), ("seconds", 13), ("tier", 6), ("what was seen and heard", None)):
        table.add_column(heading, max_width=width)
    for clip in clips:
        start, end = clip["clip_start_end_time"]
        table.add_row(clip["clip_id"], f"{start:.1f}–{end:.1f}", clip["tier"], clip["merge_caption"])
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
