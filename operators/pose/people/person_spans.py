"""A shot cut into spans of one verdict each: a person one can use, or the reason why there is none.

Every sample of a shot gets a verdict from who is there and how that person is seen within `AROUND` seconds,
so that a single missed detection decides nothing. Runs of one verdict become spans, which tile the shot
without gap or overlap. A kept span begins and ends at samples that were found good: what lies between
the last good sample and the first bad one belongs to the dropped span.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from operators.pose.people.person_figures import Figure
from operators.pose.people.person_tracks import Person

AROUND = 1.0  # seconds before and after a sample that decide with it


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a span must show; the fields are those of `SplitSpeakers.Settings`."""

    people: int = 1
    min_person_height: float = 0.3
    min_face_share: float = 0.5
    min_upper_body_share: float = 0.5
    min_hands_share: float = 0.5
    min_clip_seconds: float = 2.0
    max_clip_seconds: float = 60.0


class Moment(NamedTuple):
    """A place in the video: frame and presentation time in seconds."""

    frame: int
    time: float


@dataclass(frozen=True, kw_only=True)
class Span:
    """[begin, end) of a shot. `reason` is None where it is kept.

    `subjects` are whom its rows are about: the one person, or two from left to right; where it is dropped,
    the one who is seen most. `samples` are the numbers of the samples inside, `people` how many are there.
    """

    begin: Moment
    end: Moment
    reason: str | None
    subjects: tuple[Person, ...]
    samples: tuple[int, ...]
    people: int

    @property
    def seconds(self) -> float:
        return self.end.time - self.begin.time

    def seen(self, person: Person) -> list[Figure]:
        """The person's figures at the samples, where it is seen."""
        return [person.sightings[sample] for sample in self.samples if sample in person.sightings]

    def share(self, person: Person, shows: Callable[[Figure], bool]) -> float:
        """The share of the samples at which the person is seen and `shows` holds."""
        return _share([person.sightings.get(sample) for sample in self.samples], shows)

    def height(self, person: Person) -> float | None:
        """Median height of the person, as a share of the picture's; None where no body is seen."""
        return _height(self.seen(person))


class Verdict(NamedTuple):
    """Of one sample: why it is dropped, or None and who is kept (numbers of people, from left to right)."""

    reason: str | None
    who: tuple[int, ...] = ()


def has_face(figure: Figure) -> bool:
    """Whether the face is seen."""
    return figure.face is not None


def shows_upper_body(figure: Figure) -> bool:
    """Whether head, shoulders and elbows are in view."""
    return figure.shows_upper_body


def shows_hands(figure: Figure) -> bool:
    """Whether at least one wrist is in view."""
    return figure.shows_hands


def shows_bust(figure: Figure) -> bool:
    """Whether head and shoulders are in view."""
    return figure.shows_bust


def split(begin: Moment, end: Moment, samples: Sequence[Moment], people: Sequence[Person], rules: Rules) -> list[Span]:
    """The spans of the shot [begin, end) with these samples and people, in order."""
    verdicts = judge(samples, people, rules)
    runs, cuts = _runs(verdicts), _cuts(verdicts, begin, end, samples)
    for run, first, last in zip(runs, cuts, cuts[1:], strict=False):
        if verdicts[run[0]].reason is None and last.time - first.time < rules.min_clip_seconds:
            verdicts[run[0] : run[-1] + 1] = [Verdict("too_short")] * len(run)
    runs, cuts = _runs(verdicts), _cuts(verdicts, begin, end, samples)
    spans: list[Span] = []
    for run, first, last in zip(runs, cuts, cuts[1:], strict=False):
        reason, who = verdicts[run[0]]
        inside = tuple(n for n, sample in enumerate(samples) if first.frame <= sample.frame < last.frame)
        span = Span(begin=first, end=last, reason=reason, subjects=(), samples=inside, people=0)
        if reason is None:
            kept = replace(span, subjects=tuple(people[number] for number in who), people=len(who))
            spans += [_with_hands(piece, rules) for piece in _pieces(kept, samples, rules.max_clip_seconds)]
        else:
            spans.append(replace(span, subjects=_main(span, people), people=_count(span, people)))
    return spans


def judge(samples: Sequence[Moment], people: Sequence[Person], rules: Rules) -> list[Verdict]:
    """A verdict for every sample. Kept runs begin and end with samples that are good by themselves."""
    count, times = len(samples), [sample.time for sample in samples]
    there = [tuple(n for n, person in enumerate(people) if person.is_there(k)) for k in range(count)]
    middles = [(boxes[:, 0] + boxes[:, 2] / 2).tolist() for boxes in (p.boxes(range(count)) for p in people)]
    verdicts, alone = [], []
    for k, now in enumerate(times):
        near = range(bisect_left(times, now - AROUND), bisect_right(times, now + AROUND))
        who = tuple(sorted(there[k], key=lambda n: middles[n][k]))
        alone.append(_verdict(people, who, [k], rules))
        verdicts.append(_verdict(people, who, [j for j in near if there[j] == there[k]], rules))
    for run in _runs(verdicts):
        if verdicts[run[0]].reason is None:
            for k in _loose_ends(run, alone):
                verdicts[k] = alone[k]
    for k in range(1, len(samples)):
        before, now = verdicts[k - 1], verdicts[k]
        if before.reason is None and now.reason is None and before.who != now.who:
            verdicts[k] = Verdict("positions_changed" if set(before.who) == set(now.who) else "person_changed")
    return verdicts


def _loose_ends(run: Sequence[int], alone: Sequence[Verdict]) -> list[int]:
    """The samples of a kept run before its first good one and after its last, but for those next to a cut."""
    good = [k for k in run if alone[k].reason is None]
    if not good:
        return list(run)
    first = 0 if run[0] == 0 else good[0]
    last = len(alone) if run[-1] == len(alone) - 1 else good[-1]
    return [k for k in run if not first <= k <= last]


def _verdict(people: Sequence[Person], who: tuple[int, ...], around: Sequence[int], rules: Rules) -> Verdict:
    if len(who) != rules.people:
        return Verdict({0: "no_person", 1: "one_person", 2: "two_people"}.get(len(who), "several_people"))
    for number in who:
        flaw = _flaw([people[number].sightings.get(sample) for sample in around], rules)
        if flaw is not None:
            return Verdict(flaw)
    return Verdict(None, who)


def _flaw(seen: Sequence[Figure | None], rules: Rules) -> str | None:
    """Why a person seen like this at some samples cannot be used; None where nothing is wrong.

    Two people talking are often framed too tightly for their elbows, so of them head and shoulders must do.
    """
    figures = [figure for figure in seen if figure is not None]
    height = _height(figures)
    shows_enough = shows_upper_body if rules.people == 1 else shows_bust
    if not figures:
        return "person_hidden"
    if height is not None and height < rules.min_person_height:
        return "person_too_small"
    if _share(figures, shows_enough) < rules.min_upper_body_share:
        return "upper_body_hidden"
    if 2 * len(figures) < len(seen):
        return "person_hidden"
    if _share(seen, has_face) < rules.min_face_share:
        return "facing_away"
    return None


def _share(seen: Sequence[Figure | None], shows: Callable[[Figure], bool]) -> float:
    return sum(figure is not None and shows(figure) for figure in seen) / len(seen) if seen else 0.0


def _height(seen: Sequence[Figure | None]) -> float | None:
    heights = [figure.height for figure in seen if figure is not None and figure.height is not None]
    return float(np.median(heights)) if heights else None


def _runs(verdicts: Sequence[Verdict]) -> list[list[int]]:
    return [list(run) for _, run in groupby(range(len(verdicts)), key=lambda k: verdicts[k])]


def _cuts(verdicts: Sequence[Verdict], begin: Moment, end: Moment, samples: Sequence[Moment]) -> list[Moment]:
    """Where the runs begin, and the shot's end. A kept run ends at its last sample, others at the next one's first."""
    runs = _runs(verdicts)
    inner = [samples[run[-1] if verdicts[run[0]].reason is None else run[-1] + 1] for run in runs[:-1]]
    return [begin, *inner, end]


def _pieces(span: Span, samples: Sequence[Moment], longest: float) -> list[Span]:
    """The span cut at samples into pieces as equal as these allow, none longer than `longest` seconds."""
    inner = [samples[k] for k in span.samples if samples[k].frame > span.begin.frame]
    for count in range(max(1, math.ceil(span.seconds / longest)), len(inner) + 2):
        wanted = [span.begin.time + span.seconds * n / count for n in range(1, count)]
        places = [span.begin, *(min(inner, key=lambda m: abs(m.time - time)) for time in wanted), span.end]
        if all(0 < b.time - a.time <= longest for a, b in pairwise(places)):
            return [_part(span, a, b, samples) for a, b in pairwise(places)]
    return [span]


def _part(span: Span, begin: Moment, end: Moment, samples: Sequence[Moment]) -> Span:
    inside = tuple(k for k in span.samples if begin.frame <= samples[k].frame < end.frame)
    return replace(span, begin=begin, end=end, samples=inside)


def _with_hands(span: Span, rules: Rules) -> Span:
    """The span, dropped where one person is wanted whose hands are too seldom in view."""
    if rules.people != 1 or span.share(span.subjects[0], shows_hands) >= rules.min_hands_share:
        return span
    return replace(span, reason="hands_hidden")


def _main(span: Span, people: Sequence[Person]) -> tuple[Person, ...]:
    """Whoever is seen most in a dropped span, the taller one of equals."""
    seen = [
        (sum(k in person.sightings for k in span.samples), span.height(person) or 0.0, person) for person in people
    ]
    times, _, most = max(seen, key=lambda entry: entry[:2], default=(0, 0.0, None))
    return (most,) if most is not None and times > 0 else ()


def _count(span: Span, people: Sequence[Person]) -> int:
    """How many people are there at most of the samples, the larger of two equally frequent numbers."""
    counts = Counter(sum(person.is_there(k) for person in people) for k in span.samples)
    return max(counts, key=lambda number: (counts[number], number))
