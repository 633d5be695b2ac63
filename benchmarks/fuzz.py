"""Broken videos by the thousand through the decoding process: what becomes of them, what they cost, what leaks.

    python -m benchmarks.fuzz --inputs 20000 --seed 7
    python -m benchmarks.fuzz --inputs 1 --first 344 --seed 1 --keep broken/

Input N of a seed is the same file every time, on every machine with the same libraries: `--first` begins at
one, and `--keep` leaves the files that ended as no broken file should (a crash, a bug) to look at. The exit
code is 1 where there were any, or where memory grew.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.hostile.corpus import Hostile, hostile
from tests.hostile.sources import sources
from tests.hostile.trial import EXPECTED, Trial

INTERVAL = 10.0
"""Seconds between lines of progress."""

WARM = 100
"""Inputs after which the decoding process has its full size."""

GROWTH_MB = 100
"""MiB by which a process may grow after that before it counts as a leak."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; 0 where every input ended cleanly and nothing grew."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files (default 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default 0)")
    parser.add_argument("--media", type=Path, help="folder of the real media, where it is not beside the checkout")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to leave files that ended badly")
    given = parser.parse_args(argv)
    if given.inputs < 1:
        parser.error("--inputs must be at least 1")
    originals = sources(given.media or Path(__file__).parents[2] / "shared" / "media")
    inputs = (hostile(originals, given.seed, number) for number in range(given.first, given.first + given.inputs))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        trial = Trial(Path(folder))
        bad = _bad(trial, inputs, given.inputs, given.keep)
    print(*trial.lines(), sep="\n")
    leak = _growth(trial)
    print(f"grown after {WARM} inputs: {leak} MiB" if leak is not None else "too few inputs to look for leaks")
    print(f"ended badly: {bad:,}")
    return int(bad > 0 or (leak is not None and leak > GROWTH_MB))


def _bad(trial: Trial, inputs: Iterable[Hostile], count: int, keep: Path | None) -> int:
    """How many ended badly; each is printed, and kept where that is asked for."""
    bad, told, began = 0, time.monotonic(), time.monotonic()
    last: list[Hostile] = []

    def noted() -> Iterator[Hostile]:
        for each in inputs:
            last[:] = [each]
            yield each

    for number, outcome in enumerate(trial.run(noted()), start=1):
        if outcome.kind not in (None, *EXPECTED):
            bad += 1
            print(f"{outcome.name}: {outcome.kind}: {outcome.message}", flush=True)
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / outcome.name).write_bytes(last[0].data)
        if time.monotonic() - told >= INTERVAL:
            told = time.monotonic()
            print(f"[{told - began:.0f} s] {number:,} of {count:,}, {bad:,} badly", file=sys.stderr, flush=True)
    return bad


def _growth(trial: Trial) -> int | None:
    """MiB by which the processes, the larger of both, grew since they were warm."""
    warm = [memory for memory in trial.memory if memory.inputs >= WARM]
    if len(warm) < 2:
        return None
    first, last = warm[0], warm[-1]
    return max(last.decoding - first.decoding, last.reading - first.reading)


if __name__ == "__main__":
    sys.exit(main())
