"""Who is in a shot: the figures of its samples linked into tracks, and the tracks that are people.

Figures are linked from sample to sample by the overlap of their boxes and by how alike they look, best
pairs first (greedy), over gaps of at most `LONGEST_GAP` seconds. A track is a person when a face was seen
on it often enough or when its body lasts: a body network alone sees people in walls and drawings, but not
in the same place for long.

Nobody leaves a picture through its middle. Two tracks that look alike are joined where the first ends and
the second begins away from the picture's sides, and either in one place (the networks missed a turned
head) or both beside somebody who is there all the while (and hid the other one). Likewise who is first
seen just after a cut was there from the cut on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from operators.pose.landmarking.landmarkers import Box
from operators.pose.people.person_figures import Figure
from operators.pose.people.speaker_identity import distance, mean_look

LONGEST_GAP = 1.0  # seconds beyond the step of the samples
SAME_PLACE = 0.15  # overlap of two boxes from which they may be one person's
OTHER_LOOK = 0.5  # share of an overlap that a wholly different look takes away when pairs are ranked
HEAD_GROWTH = 2.0  # heads are small and quick: their boxes are compared at this size
FACES = 3  # sightings of a face that make a person; in a shot of few samples, half of them
LASTING = 2.0  # seconds that a body without a face must be there, or the whole of a shorter shot
CONTINUOUS = 0.7  # share of the samples of that time at which it must be seen
SIDE = 0.03  # of the picture's width: who is so near its side may have walked out of it
BESIDE = 0.5  # of the own width by which somebody's box may be away and still hide a person
LOOKS = 5  # sightings next to a gap whose looks are compared
ALIKE = 0.5  # distance of two looks in one shot: light and exposure drift, but hardly anybody else turns up there


@dataclass
class Person:
    """One person of a shot. `sightings`: sample number → figure, in order.

    The person is there from the first sighting to the last, and at `also`, samples next to a cut.
    """

    sightings: dict[int, Figure] = field(default_factory=dict)
    also: frozenset[int] = frozenset()

    @property
    def first(self) -> int:
        return next(iter(self.sightings))

    @property
    def last(self) -> int:
        return next(reversed(self.sightings))

    @property
    def faces(self) -> int:
        """Samples at which the face is seen."""
        return sum(figure.face is not None for figure in self.sightings.values())

    def is_there(self, sample: int) -> bool:
        """Whether the person is in the picture at this sample, seen or not."""
        return self.first <= sample <= self.last or sample in self.also

    def boxes(self, samples: Sequence[int]) -> NDArray[np.float64]:
        """Boxes at these samples, float64 (N, 4): x, y, width, height; interpolated between sightings.

        Where a body was seen at any time, sightings of the face alone do not count.
        """
        known = [n for n, figure in self.sightings.items() if figure.height is not None] or list(self.sightings)
        boxes = [self.sightings[n].box for n in known]
        edges = np.array([(box.x, box.y, box.width, box.height) for box in boxes])
        return np.column_stack([np.interp(samples, known, edges[:, edge]) for edge in range(4)])

    def box(self, sample: int) -> Box:
        """The box at this sample."""
        return Box(*(float(edge) for edge in self.boxes([sample])[0]))


def people(samples: Sequence[Sequence[Figure]], times: Sequence[float], step: float) -> list[Person]:
    """The people of a shot, in the order of their first sighting and from left to right.

    `samples` are the figures at `times` (seconds); `step` is the clock's interval between samples.
    """
    found = [track for track in rejoin(link(samples, times, step)) if counts(track, times, step)]
    for person in found:
        person.also = frozenset(_next_to_cuts(person, times))
    return found


def link(samples: Sequence[Sequence[Figure]], times: Sequence[float], step: float) -> list[Person]:
    """Tracks of figures from sample to sample, in the order in which they begin."""
    tracks: list[Person] = []
    for now, found in enumerate(samples):
        live = [t for t, track in enumerate(tracks) if times[now] - times[track.last] <= LONGEST_GAP + step + 1e-6]
        pairs = []
        for t in live:
            newest = tracks[t].sightings[tracks[t].last]
            for f, figure in enumerate(found):
                nearness = _nearness(newest, figure)
                if nearness >= SAME_PLACE:
                    pairs.append((-nearness * (1 - OTHER_LOOK * _unlikeness(newest, figure)), t, f))
        taken: dict[int, int] = {}
        for _, t, f in sorted(pairs):
            if f not in taken and t not in taken.values():
                taken[f] = t
        for f, figure in enumerate(found):
            if f in taken:
                tracks[taken[f]].sightings[now] = figure
            else:
                tracks.append(Person({now: figure}))
    return tracks


def rejoin(tracks: Sequence[Person]) -> list[Person]:
    """The tracks, those joined that are one person who was not seen for a while."""
    open_ends = list(tracks)
    joined = True
    while joined:
        joined = False
        for earlier, later in _candidates(open_ends):
            if _stayed(earlier, later, open_ends) and _alike(earlier, later):
                earlier.sightings |= later.sightings
                open_ends.remove(later)
                joined = True
                break
    return open_ends


def counts(track: Person, times: Sequence[float], step: float) -> bool:
    """Whether the track is a person."""
    if track.faces >= min(FACES, -(-len(times) // 2)):
        return True
    needed = min(LASTING, times[-1] - times[0] + step)
    bodies = [n for n, figure in track.sightings.items() if figure.height is not None]
    return any(
        times[b] - times[a] + step >= needed - 1e-6 and j - i + 1 >= CONTINUOUS * (b - a + 1)
        for i, a in enumerate(bodies)
        for j, b in enumerate(bodies[i:], i)
    )


def _nearness(before: Figure, now: Figure) -> float:
    whole = before.box.overlap(now.box) if before.height is not None and now.height is not None else 0.0
    if before.head is None or now.head is None:
        return whole
    return max(whole, _grown(before.head).overlap(_grown(now.head)))


def _unlikeness(a: Figure, b: Figure) -> float:
    return distance(a.look, b.look) if a.look is not None and b.look is not None else 0.0


def _next_to_cuts(person: Person, times: Sequence[float]) -> list[int]:
    """Samples before the first sighting and after the last at which the person was only missed."""
    early = times[person.first] - times[0] <= LONGEST_GAP and not _at_a_side(person.sightings[person.first].box)
    late = times[-1] - times[person.last] <= LONGEST_GAP and not _at_a_side(person.sightings[person.last].box)
    before = range(person.first) if early else ()
    return [*before, *(range(person.last + 1, len(times)) if late else ())]


def _grown(box: Box) -> Box:
    x, y = box.centre
    return Box(
        x - box.width * HEAD_GROWTH / 2,
        y - box.height * HEAD_GROWTH / 2,
        box.width * HEAD_GROWTH,
        box.height * HEAD_GROWTH,
    )


def _candidates(tracks: Sequence[Person]) -> Iterator[tuple[Person, Person]]:
    """Pairs of tracks of which the second begins after the first has ended, shortest gaps first."""
    pairs = [
        (tracks[b].first - tracks[a].last, a, b)
        for a in range(len(tracks))
        for b in range(len(tracks))
        if tracks[b].first > tracks[a].last
    ]
    yield from ((tracks[a], tracks[b]) for _, a, b in sorted(pairs))


def _stayed(earlier: Person, later: Person, tracks: Sequence[Person]) -> bool:
    gone, back = earlier.last, later.first
    before, after = earlier.sightings[gone].box, later.sightings[back].box
    if _at_a_side(before) or _at_a_side(after):
        return False
    if _nearness(earlier.sightings[gone], later.sightings[back]) >= SAME_PLACE:
        return True
    return any(
        other is not earlier
        and other is not later
        and other.is_there(gone)
        and other.is_there(back)
        and _beside(before, other.box(gone))
        and _beside(after, other.box(back))
        for other in tracks
    )


def _at_a_side(box: Box) -> bool:
    return box.x <= SIDE or box.x + box.width >= 1 - SIDE


def _beside(box: Box, other: Box) -> bool:
    apart = max(box.x, other.x) - min(box.x + box.width, other.x + other.width)
    return apart <= BESIDE * box.width


def _alike(earlier: Person, later: Person) -> bool:
    before = [figure.look for figure in list(earlier.sightings.values())[-LOOKS:] if figure.look is not None]
    after = [figure.look for figure in list(later.sightings.values())[:LOOKS] if figure.look is not None]
    return bool(before and after) and distance(mean_look(before), mean_look(after)) <= ALIKE
