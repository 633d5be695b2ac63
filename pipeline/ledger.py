"""The ledger of one partition: which clips are accounted for, and which rows of which shard count.

A task that Ray ran twice, a salvaged shard and a retried video may overlap. The ledger keeps one row
per clip and one record per video, and lists every other row as excluded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from pipeline.meter import added
from pipeline.receipt import VIDEO_LEVEL, ClipLine, Contents, Outcome, Receipt, VideoLine
from store.markers import FailureTally, OperatorTally, ShardEntry

VideoStatus = Literal["done", "partial", "failed"]
ClipState = Literal["kept", "dropped", "failed"]
VIDEO_STATUSES: tuple[VideoStatus, ...] = get_args(VideoStatus)
CLIP_STATES: tuple[ClipState, ...] = get_args(ClipState)

STATUS_RANK = {"done": 2, "partial": 1, "failed": 0}
Place = tuple[str, int]
"""A shard's key and a row number in it."""


class Counts(NamedTuple):
    """Videos by status, clips by state, and seconds of footage that a ledger accounts for."""

    videos: Mapping[VideoStatus, int]
    clips: Mapping[ClipState, int]
    seconds: float


@dataclass(slots=True)
class VideoState:
    """What is known of one video. `take` counts how often it was begun anew from its first clip.

    `complaints` are the rows in failed/ that stand for the whole video, by what they say: one for
    each record that was written, of which one counts in the end.
    """

    take: int = 0
    record: VideoLine | None = None
    record_place: Place | None = None
    clips: dict[int, tuple[Place, Outcome]] = field(default_factory=dict)
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    complaints: dict[Outcome, Place] = field(default_factory=dict)

    def missing(self) -> bool:
        """Whether a clip or the record itself is still unaccounted for."""
        return self.record is None or any(index not in self.clips for index in range(self.record.n_clips))

    def status(self) -> str:
        """done, partial or failed; a video that lost a clip to an error is partial."""
        assert self.record is not None
        if self.record.status != "done":
            return self.record.status
        return "partial" if any(outcome.state == "failed" for _, outcome in self.clips.values()) else "done"


class Ledger:
    """Accounts for the videos of one partition.

    `settled` is the epoch of the driver that committed an earlier generation of it, -1 where none did.
    """

    def __init__(self, partition: int, video_ids: Iterable[str]) -> None:
        self.partition = partition
        self.videos = {video_id: VideoState() for video_id in video_ids}
        self.settled = -1
        self._entries: dict[str, ShardEntry] = {}
        self._excluded: dict[str, set[int]] = {}
        self._tallies: dict[str, Mapping[str, OperatorTally]] = {}
        self._outcomes: dict[Outcome, Outcome] = {}
        self._missing = set(self.videos)
        self._counts: Counts | None = None

    def add_receipt(self, receipt: Receipt) -> None:
        """Take in a receipt; shards that are known already change nothing."""
        for contents in receipt.shards:
            self.add(contents)
        known = self._tallies.get(receipt.task)
        if known is None or _seconds(known) <= _seconds(receipt.operators):
            self._tallies[receipt.task] = receipt.operators

    def add(self, contents: Contents, keep: frozenset[int] | None = None) -> None:
        """Take in a shard; `keep` limits it to these row numbers (None: all rows).

        A row of an older take is void whichever comes first; so are, of a newer take, all earlier rows.
        """
        key = contents.entry.key
        if key in self._entries:
            return
        self._counts = None
        self._entries[key] = contents.entry
        self._excluded[key] = set(contents.entry.exclude)
        touched: set[str] = set()
        lines: tuple[ClipLine | VideoLine, ...] = contents.videos or contents.clips
        for number, line in enumerate(lines):
            place = (key, number)
            if number in self._excluded[key]:
                continue
            state = self.videos.get(line.video_id)
            if state is None:
                self._exclude(place)
                continue
            take = contents.takes.get(line.video_id, 0)
            if take > state.take:
                self._void(state, take)
                touched.add(line.video_id)
            if take < state.take or (keep is not None and number not in keep):
                self._exclude(place)
                continue
            touched.add(line.video_id)
            if isinstance(line, VideoLine):
                self._place_record(state, line, place)
            elif line.index == VIDEO_LEVEL:
                self._place_complaint(state, line, place)
            else:
                self._place_clip(state, line, place)
        for video_id in touched:
            self._note(video_id)

    def knows(self, key: str) -> bool:
        """Whether the shard of this key was taken in."""
        return key in self._entries

    def withdraw(self, video_id: str) -> None:
        """Take back a video's record, because clips that it counts will never come.

        What came stays; another record may then say where the video ends.
        """
        self._counts = None
        state = self.videos[video_id]
        if state.record_place is not None:
            self._exclude(state.record_place)
        state.record, state.record_place = None, None
        self._note(video_id)

    def missing(self) -> list[str]:
        """Videos that are not accounted for yet, in manifest order."""
        return [video_id for video_id in self.videos if video_id in self._missing]

    def complete(self) -> bool:
        """Whether both equations hold: every video has a record, and its clips 0 … n−1 an outcome each."""
        return not self._missing

    def shards(self) -> tuple[ShardEntry, ...]:
        """The shards that hold at least one row that counts, with the rows to skip."""
        self._counts = None
        for state in self.videos.values():
            if state.record is not None:
                self._exclude_beyond(state, state.record)
        return tuple(
            entry.model_copy(update={"exclude": tuple(sorted(self._excluded[key]))})
            for key, entry in sorted(self._entries.items())
            if len(self._excluded[key]) < entry.rows
        )

    def counts(self) -> Counts:
        """What is accounted for so far. Counted anew only after a change: it is asked for twice a second."""
        if self._counts is None:
            self._counts = Counts(self.video_counts(), self.clip_counts(), self.video_seconds())
        return self._counts

    def video_counts(self) -> dict[VideoStatus, int]:
        """Videos by status; the sum is the partition's size once complete."""
        counts = Counter(state.status() for state in self.videos.values() if state.record is not None)
        return {status: counts[status] for status in VIDEO_STATUSES}

    def clip_counts(self) -> dict[ClipState, int]:
        """Clips by state, of all videos."""
        counts = Counter(outcome.state for outcome in self._clips())
        return {state: counts[state] for state in CLIP_STATES}

    def tiers(self) -> dict[str, int]:
        """Kept clips by tier."""
        return _counted(outcome.tier for outcome in self._clips())

    def drop_reasons(self) -> dict[str, int]:
        """Dropped clips by the visual tier's gate that failed."""
        return _counted(outcome.drop_reason for outcome in self._clips())

    def hq_drop_reasons(self) -> dict[str, int]:
        """Clips that missed the hq tier, by the gate that failed."""
        return _counted(outcome.hq_drop_reason for outcome in self._clips())

    def failures(self) -> tuple[FailureTally, ...]:
        """Errors of clips and of videos by operator and kind, each with one example."""
        examples: dict[tuple[str, str], str] = {}
        counts: Counter[tuple[str, str]] = Counter()
        for video_id, state in sorted(self.videos.items()):
            failed = [(video_id, outcome) for outcome in state.complaints]
            failed += [
                (f"{video_id}_{index:07d}", outcome)
                for index, (_, outcome) in sorted(state.clips.items())
                if outcome.state == "failed"
            ]
            for name, outcome in failed:
                which = (outcome.operator or "?", outcome.kind or "?")
                counts[which] += 1
                examples.setdefault(which, f"{name}: {outcome.message}")
        return tuple(
            FailureTally(operator=operator, kind=kind, count=n, example=examples[operator, kind])
            for (operator, kind), n in sorted(counts.items())
        )

    def operators(self) -> dict[str, OperatorTally]:
        """Clips handled and seconds spent by operator, over all tasks of this run."""
        return added(*self._tallies.values())

    def video_seconds(self) -> float:
        """Duration of the footage accounted for, in seconds."""
        return sum(state.record.seconds for state in self.videos.values() if state.record)

    def bytes_read(self) -> int:
        """Size of the source files accounted for."""
        return sum(state.record.bytes for state in self.videos.values() if state.record)

    def _clips(self) -> Iterable[Outcome]:
        return (outcome for state in self.videos.values() for _, outcome in state.clips.values())

    def _place_record(self, state: VideoState, line: VideoLine, place: Place) -> None:
        if state.record is not None and state.record_place is not None:
            if _worth(line) <= _worth(state.record):
                self._exclude(place)
                return
            self._exclude(state.record_place)
        state.record, state.record_place = line, place

    def _place_complaint(self, state: VideoState, line: ClipLine, place: Place) -> None:
        if line.outcome in state.complaints:
            self._exclude(place)
        else:
            state.complaints[line.outcome] = place

    def _place_clip(self, state: VideoState, line: ClipLine, place: Place) -> None:
        if (known := state.clips.get(line.index)) is not None:
            better = known[1].state == "failed" and line.outcome.state != "failed"
            if not better:
                self._exclude(place)
                return
            self._exclude(known[0])
        state.clips[line.index] = (place, self._outcomes.setdefault(line.outcome, line.outcome))
        if line.span is not None:
            state.spans[line.index] = line.span

    def _void(self, state: VideoState, take: int) -> None:
        places = [place for place, _ in state.clips.values()] + list(state.complaints.values())
        if state.record_place is not None:
            places.append(state.record_place)
        for place in places:
            self._exclude(place)
        state.take, state.record, state.record_place = take, None, None
        state.clips.clear()
        state.spans.clear()
        state.complaints.clear()

    def _exclude(self, place: Place) -> None:
        self._excluded[place[0]].add(place[1])

    def _exclude_beyond(self, state: VideoState, record: VideoLine) -> None:
        """Drop rows that the record does not count, so that readers see clips 0 … n−1 and its own error only."""
        for index in [index for index in state.clips if not 0 <= index < record.n_clips]:
            self._exclude(state.clips.pop(index)[0])
            state.spans.pop(index, None)
        own = next((outcome for outcome in state.complaints if _says(outcome, record)), None)
        if own is None and record.status != "done":
            own = next(iter(state.complaints), None)
        for outcome in [outcome for outcome in state.complaints if outcome != own]:
            self._exclude(state.complaints.pop(outcome))

    def _note(self, video_id: str) -> None:
        if self.videos[video_id].missing():
            self._missing.add(video_id)
        else:
            self._missing.discard(video_id)


def _counted(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value).items()))


def _worth(record: VideoLine) -> tuple[int, int]:
    """Of two records of a video, the one with the better status counts, then the one with more clips."""
    return STATUS_RANK[record.status], record.n_clips


def _says(outcome: Outcome, record: VideoLine) -> bool:
    return (outcome.operator, outcome.kind, outcome.message or None) == (record.operator, record.kind, record.message)


def _seconds(tallies: Mapping[str, OperatorTally]) -> float:
    return sum(tally.seconds for tally in tallies.values())
