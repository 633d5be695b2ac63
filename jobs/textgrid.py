"""Praat's TextGrid files, as aligners write them: words and phonemes with their times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

Interval = tuple[float, float, str]
"""Start and end in seconds, and what is said between them."""


def textgrid(tiers: Mapping[str, Iterable[Interval]], duration: float) -> str:
    """The long text format with one interval tier for each of `tiers`, in order, from 0 to `duration` seconds.

    Intervals are cut to that, pauses between them are filled with empty ones, and where one begins before
    the last one ended, it is cut. Control characters become spaces.
    """
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', ""]
    lines += ["xmin = 0", f"xmax = {duration:.6f}", "tiers? <exists>", f"size = {len(tiers)}", "item []:"]
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        tiled = _tiled(intervals, duration)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f"        name = {_quoted(name)}"]
        lines += ["        xmin = 0", f"        xmax = {duration:.6f}", f"        intervals: size = {len(tiled)}"]
        for index, (start, end, text) in enumerate(tiled, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {start:.6f}"]
            lines += [f"            xmax = {end:.6f}", f"            text = {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def _tiled(intervals: Iterable[Interval], duration: float) -> list[Interval]:
    tiled: list[Interval] = []
    reached = 0.0
    for start, end, text in sorted(intervals, key=lambda interval: interval[:2]):
        start, end = max(round(start, 6), reached), min(round(end, 6), round(duration, 6))
        if end <= start:
            continue
        if start > reached:
            tiled.append((reached, start, ""))
        tiled.append((start, end, text))
        reached = end
    if reached < round(duration, 6) or not tiled:
        tiled.append((reached, duration, ""))
    return tiled


def _quoted(text: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return '"' + plain.replace('"', '""') + '"'
