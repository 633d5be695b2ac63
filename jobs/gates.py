"""The gates of each job, in the order in which clips meet them, and how many passed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from store.run_record import RunRecord

GATES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "gesx": {
        "speakers": (
            "no_person",
            "one_person",
            "two_people",
            "several_people",
            "person_too_small",
            "person_hidden",
            "facing_away",
            "upper_body_hidden",
            "hands_hidden",
            "person_changed",
            "positions_changed",
            "too_short",
            "low_resolution",
        ),
        "talk": ("no_words", "noisy", "language", "several_voices"),
        "speaking": ("someone_else_speaks",),
        "lift": ("no_body",),
        "gates": ("no_usable_span", "too_little_gesture"),
    }
}
"""Job → operators that drop clips, in chain order → their reasons. Of other jobs, all reasons are one gate's."""

TIERS = "tiers"
"""The operator that gives tiers: its first gate is that of the visual tier, its second that of hq."""


class Passage(NamedTuple):
    """A gate: how many entered and passed, and how many did not by reason."""

    gate: str
    entered: int
    passed: int
    dropped: dict[str, int]


def passages(
    run: RunRecord,
    videos: Mapping[str, int],
    clips: Mapping[str, int],
    tiers: Mapping[str, int],
    drop_reasons: Mapping[str, int],
    hq_drop_reasons: Mapping[str, int],
    failures: Mapping[str, int],
) -> Iterator[Passage]:
    """The way of all videos and clips through the gates; counts are those of markers, summed.

    The gate "videos" counts videos, all others clips. The gate "hq" is met by every clip that the visual tier
    judged, so that its reasons are complete: a clip that was dropped before failed it, too.
    """
    known = sum(videos.values())
    yield Passage("videos", known, known - videos.get("failed", 0), _some({"failed": videos.get("failed", 0)}))
    total, failed = sum(clips.values()), clips.get("failed", 0)
    lost = _some(dict(failures)) if sum(failures.values()) == failed else _some({"failed": failed})
    left = total - failed
    yield Passage("clips", total, left, lost)
    tiered = any(operator.name == TIERS for operator in run.operators)
    dropping = [operator.name for operator in run.operators if "drop_reason" in operator.writes]
    of_job = GATES.get(run.job) or {"visual" if tiered else (dropping or ["kept"])[-1]: tuple(drop_reasons)}
    told = {reason for reasons in of_job.values() for reason in reasons}
    others = tuple(reason for reason in drop_reasons if reason not in told)
    for gate, reasons in (*of_job.items(), *([("other", others)] if others else [])):
        dropped = _some({reason: drop_reasons.get(reason, 0) for reason in reasons})
        left, entered = left - sum(dropped.values()), left
        yield Passage(gate, entered, left, dropped)
    if tiered:
        yield Passage("hq", total - failed, tiers.get("hq", 0), _some(dict(hq_drop_reasons)))


def _some(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(((name, count) for name, count in counts.items() if count), key=lambda item: -item[1]))
