"""What the soak counted, for programs and for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    """What the events did to the jobs.

    `events` counts them by kind, `stops` the jobs that stopped by themselves and were started again, by the event
    before. `clips` are those of one job. `annotated` counts clips given to the GPU stage over all jobs, `repeated`
    those of them that had been given to it before, `in_flight` the clips of videos that were begun and not stored
    when an event struck: what may be repeated. `reannotated` are clips done again that were committed, or visible
    when a driver started.
    """

    rounds: int = 0
    events: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, dict[str, float]] = field(default_factory=dict)
    starts: int = 0
    clips: int = 0
    lost: int = 0
    doubled: int = 0
    changed: int = 0
    reannotated: int = 0
    annotated: int = 0
    repeated: int = 0
    in_flight: int = 0
    findings: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, changed or done again without need, and nothing hung."""
        bad = self.lost or self.doubled or self.changed or self.reannotated or self.findings
        return not bad and self.repeated <= self.in_flight

    def shares(self) -> dict[str, float]:
        """Clips repeated, and clips in flight at the events, over clips that had to be annotated."""
        needed = max(1, self.annotated - self.repeated)
        return {
            "repeated_share": round(self.repeated / needed, 4),
            "in_flight_share": round(self.in_flight / needed, 4),
        }

    def table(self) -> str:
        """The report for people, as Markdown."""
        lines = ["| event | times | jobs that stopped | clips done again | seconds a job |", "|---|---|---|---|---|"]
        for kind, row in sorted(self.by_kind.items()):
            share = row["repeated"] / max(1, row["annotated"] - row["repeated"])
            lines.append(
                f"| {kind} | {row['events']:.0f} | {row['stops']:.0f} | {row['repeated']:.0f} ({share:.1%}) "
                f"| {row['seconds'] / max(1, row['jobs']):.0f} |"
            )
        shares = self.shares()
        lines += [
            "",
            f"{self.rounds} rounds, {self.events.total()} events, {self.starts} drivers, {self.seconds:.0f} s; "
            f"a job has {self.clips} clips.",
            f"Lost {self.lost}, doubled {self.doubled}, changed {self.changed}, annotated again {self.reannotated}.",
            f"Repeated: {self.repeated} of {self.annotated - self.repeated} ({shares['repeated_share']:.1%}); "
            f"in flight at the events: {self.in_flight}.",
            *(f"FINDING: {finding}" for finding in self.findings),
            *(f"stopped: {message}" for message in self.messages),
        ]
        return "\n".join(lines)
