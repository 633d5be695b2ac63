"""The call log of a soaked job: what was annotated when, and how much of it was done before."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Call = dict[str, Any]
"""One line: `what` ("begin", "end", "done"), `pid`, `at` (seconds since 1970), `clips` (their ids)."""


def read_calls(path: Path) -> list[Call]:
    """The lines written so far; one that a full disk cut off is left out."""
    calls = []
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            calls.append(json.loads(line))
        except ValueError:
            continue
    return calls


def open_batches(calls: Sequence[Call]) -> list[Call]:
    """Batches of the GPU stage that were begun last by their process and not ended."""
    found: dict[tuple[int, tuple[str, ...]], Call | None] = {}
    for call in calls:
        if call["what"] in ("begin", "end"):
            found[call["pid"], tuple(call["clips"])] = call if call["what"] == "begin" else None
    return [call for call in found.values() if call is not None]


def annotated(calls: Iterable[Call], what: str = "begin") -> Counter[str]:
    """How often each clip was given to the GPU stage, or, for "done", finished."""
    return Counter(clip for call in calls if call["what"] == what for clip in call["clips"])
