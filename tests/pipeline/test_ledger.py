from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ledger import Ledger
from pipeline.receipt import VIDEO_LEVEL, ClipLine, Contents, Outcome, VideoLine
from tests.pipeline.lines import (
    DROPPED,
    KEPT,
    VISUAL,
    clip,
    clips,
    complaint,
    done,
    failed,
    hurt,
    receipt,
    videos,
)

GOOD = (KEPT, VISUAL, DROPPED)
WORTH = {"done": 2, "partial": 1, "failed": 0}


@dataclass(frozen=True)
class History:
    """A partition and every shard that was ever written of it, some by tasks and some left behind."""

    video_ids: tuple[str, ...]
    tasks: tuple[tuple[Contents, ...], ...]
    leftovers: tuple[Contents, ...]

    def shards(self) -> list[Contents]:
        return [*(shard for task in self.tasks for shard in task), *self.leftovers]


@st.composite
def _histories(draw: st.DrawFn) -> History:
    """Videos of which every try wrote some clips; the last take of each has them all, and a record."""
    video_ids = tuple(f"v{number}" for number in range(draw(st.integers(1, 4))))
    groups: list[list[tuple[str, int, ClipLine | VideoLine]]] = []
    for video_id in video_ids:
        last = draw(st.integers(0, 2))
        for take in range(last + 1):
            n_clips = draw(st.integers(0, 5))
            outcomes = [draw(st.sampled_from(GOOD)) for _ in range(n_clips)]
            for number in range(draw(st.integers(1, 3))):
                whole = take == last and number == 0
                groups.append(_one_try(draw, video_id, take, outcomes, whole))
    groups.append([("stray", 0, clip("stray", 0)), ("stray", 0, done("stray", 1))])
    shards = [shard for number, rows in enumerate(groups) for shard in _as_shards(draw, number, rows)]
    order = draw(st.permutations(shards))
    cut = draw(st.integers(0, len(order)))
    n_tasks = draw(st.integers(1, 3))
    tasks = tuple(tuple(order[number:cut:n_tasks]) for number in range(n_tasks))
    return History(video_ids, tasks, tuple(order[cut:]))


def _one_try(
    draw: st.DrawFn, video_id: str, take: int, outcomes: list[Outcome], whole: bool
) -> list[tuple[str, int, ClipLine | VideoLine]]:
    rows: list[ClipLine | VideoLine] = []
    for index, outcome in enumerate(outcomes):
        if whole or draw(st.booleans()):
            broken = draw(st.integers(0, 4)) == 0
            rows.append(clip(video_id, index, failed() if broken else outcome, first=1000 * take + 100 * index))
    if whole:
        rows.append(done(video_id, len(outcomes)))
    elif draw(st.booleans()):
        record = hurt(video_id, draw(st.integers(0, len(outcomes))))
        rows += [complaint(record), record]
    return [(video_id, take, row) for row in rows]


def _as_shards(draw: st.DrawFn, number: int, rows: list[tuple[str, int, ClipLine | VideoLine]]) -> list[Contents]:
    takes = {video_id: take for video_id, take, _ in rows if take}
    records = [row for _, _, row in rows if isinstance(row, VideoLine)]
    lines = [row for _, _, row in rows if isinstance(row, ClipLine)]
    good = [line for line in lines if line.outcome.state != "failed"]
    bad = [line for line in lines if line.outcome.state == "failed"]
    cut = draw(st.integers(0, len(good)))
    shards = [
        clips(f"t{number}-{part}", *some, takes=takes) for part, some in enumerate((good[:cut], good[cut:])) if some
    ]
    if bad:
        shards.append(clips(f"t{number}-f", *bad, takes=takes, kind="failed"))
    if records:
        shards.append(videos(f"t{number}-v", *records, takes=takes))
    return shards


def _deliver(history: History, seed: int) -> Ledger:
    """Feed a ledger in a random order, receipts cumulative, some repeated and some never seen but in a later one."""
    ledger, rolls = Ledger(0, history.video_ids), random.Random(seed)
    steps = [(number, end) for number, task in enumerate(history.tasks) for end in range(1, len(task) + 1)]
    steps = [step for step in steps if step[1] == len(history.tasks[step[0]]) or rolls.random() < 0.6]
    steps += [step for step in steps if rolls.random() < 0.3]
    everything = [*steps, *history.leftovers]
    rolls.shuffle(everything)
    seen: dict[str, Contents] = {}
    for step in everything:
        if isinstance(step, Contents):
            ledger.add(step)
            seen[step.entry.key] = step
        else:
            shards = history.tasks[step[0]][: step[1]]
            ledger.add_receipt(receipt(f"task{step[0]}", shards, seconds=float(step[1])))
            seen |= {shard.entry.key: shard for shard in shards}
        assert ledger.missing() == _missing(history.video_ids, list(seen.values()))
        assert ledger.complete() == (not ledger.missing())
    return ledger


def _missing(video_ids: tuple[str, ...], seen: list[Contents]) -> list[str]:
    """The videos that are not accounted for, worked out from nothing but what was delivered."""
    missing = []
    for video_id in video_ids:
        of_video = [
            (shard.takes.get(video_id, 0), line)
            for shard in seen
            for line in (*shard.clips, *shard.videos)
            if line.video_id == video_id
        ]
        newest = max((take for take, _ in of_video), default=0)
        lines = [line for take, line in of_video if take == newest]
        records = [line for line in lines if isinstance(line, VideoLine)]
        best = max(records, key=lambda record: (WORTH[record.status], record.n_clips), default=None)
        there = {line.index for line in lines if isinstance(line, ClipLine)}
        if best is None or not there.issuperset(range(best.n_clips)):
            missing.append(video_id)
    return missing


def _readable(ledger: Ledger, history: History) -> list[ClipLine | VideoLine]:
    """The rows that a reader of the marker would see."""
    lines = {shard.entry.key: (*shard.clips, *shard.videos) for shard in history.shards()}
    return [
        line
        for shard in ledger.shards()
        for number, line in enumerate(lines[shard.key])
        if number not in shard.exclude
    ]


@settings(max_examples=150, deadline=None)
@given(_histories(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_every_clip_and_video_counts_once_whatever_came_twice(history: History, seed: int, other: int):
    ledger = _deliver(history, seed)
    assert ledger.complete()
    rows = _readable(ledger, history)
    records = {line.video_id: line for line in rows if isinstance(line, VideoLine)}
    assert Counter(line.video_id for line in rows if isinstance(line, VideoLine)) == Counter(history.video_ids)
    lines = [line for line in rows if isinstance(line, ClipLine) and line.index != VIDEO_LEVEL]
    assert Counter((line.video_id, line.index) for line in lines) == Counter(
        (video_id, index) for video_id in history.video_ids for index in range(records[video_id].n_clips)
    )
    for video_id in history.video_ids:
        assert len({(line.span or (0, 0))[0] // 1000 for line in lines if line.video_id == video_id}) <= 1
    whole = [line for line in rows if isinstance(line, ClipLine) and line.index == VIDEO_LEVEL]
    assert sorted(line.video_id for line in whole) == sorted(v for v, r in records.items() if r.status != "done")

    assert sum(ledger.video_counts().values()) == len(history.video_ids)
    assert ledger.clip_counts() == {
        state: sum(line.outcome.state == state for line in lines) for state in ("kept", "dropped", "failed")
    }
    assert sum(ledger.clip_counts().values()) == sum(record.n_clips for record in records.values())
    assert ledger.tiers() == _counted(line.outcome.tier for line in lines)
    assert ledger.drop_reasons() == _counted(line.outcome.drop_reason for line in lines)
    assert ledger.hq_drop_reasons() == _counted(line.outcome.hq_drop_reason for line in lines)
    assert sum(tally.count for tally in ledger.failures()) == ledger.clip_counts()["failed"] + len(whole)
    assert ledger.video_seconds() == 10.0 * len(history.video_ids)
    assert ledger.counts() == (ledger.video_counts(), ledger.clip_counts(), ledger.video_seconds())

    again = _deliver(history, other)
    again.shards()
    for facts in ("video_counts", "clip_counts", "tiers", "drop_reasons", "hq_drop_reasons", "failures", "operators"):
        assert getattr(again, facts)() == getattr(ledger, facts)(), facts


def _counted(values) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def test_a_video_without_clips_is_done():
    ledger = Ledger(0, ["v"])
    assert ledger.missing() == ["v"]
    ledger.add(videos("a", done("v", 0)))
    assert ledger.complete()
    assert ledger.video_counts() == {"done": 1, "partial": 0, "failed": 0}
    assert ledger.clip_counts() == {"kept": 0, "dropped": 0, "failed": 0}


def test_a_video_whose_clips_were_all_dropped_is_done():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0, DROPPED), clip("v", 1, DROPPED)))
    ledger.add(videos("b", done("v", 2)))
    assert ledger.complete()
    assert ledger.video_counts()["done"] == 1
    assert ledger.drop_reasons() == {"motion_below_floor": 2}


def test_a_video_that_lost_a_clip_is_partial_although_its_record_is_done():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0)))
    ledger.add(clips("b", clip("v", 1, failed(message="too dark")), kind="failed"))
    ledger.add(videos("c", done("v", 2)))
    assert ledger.video_counts() == {"done": 0, "partial": 1, "failed": 0}
    (tally,) = ledger.failures()
    assert (tally.operator, tally.kind, tally.count, tally.example) == ("caption", "model", 1, "v_0000001: too dark")


def test_a_video_that_broke_midway_keeps_its_clips_and_counts_its_error():
    ledger = Ledger(0, ["v"])
    record = hurt("v", 2)
    ledger.add(clips("a", clip("v", 0), clip("v", 1)))
    ledger.add(clips("b", complaint(record), kind="failed"))
    ledger.add(videos("c", record))
    assert ledger.complete()
    assert ledger.video_counts() == {"done": 0, "partial": 1, "failed": 0}
    assert ledger.clip_counts() == {"kept": 2, "dropped": 0, "failed": 0}
    assert [(tally.kind, tally.example) for tally in ledger.failures()] == [("decode", "v: broken")]


def test_the_error_that_readers_see_is_that_of_the_record_that_counts():
    early, late = hurt("v", 0, "timeout", "slow"), hurt("v", 1, "decode", "broken")
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", complaint(early), complaint(late), kind="failed"))
    ledger.add(videos("b", early))
    ledger.add(clips("c", clip("v", 0)))
    ledger.add(videos("d", late))
    shards = {shard.key: shard.exclude for shard in ledger.shards()}
    assert shards == {"clips/00000/c.parquet": (), "failed/00000/a.parquet": (0,), "videos/00000/d.parquet": ()}
    assert [(tally.kind, tally.count) for tally in ledger.failures()] == [("decode", 1)]


def test_rows_of_an_error_that_was_overcome_are_excluded():
    ledger = Ledger(0, ["v"])
    record = hurt("v", 1)
    ledger.add(clips("a", complaint(record), clip("v", 0, failed()), kind="failed"))
    ledger.add(videos("b", record))
    ledger.add(clips("c", clip("v", 0), clip("v", 1)))
    ledger.add(videos("d", done("v", 2)))
    assert [shard.key for shard in ledger.shards()] == ["clips/00000/c.parquet", "videos/00000/d.parquet"]
    assert ledger.video_counts()["done"] == 1
    assert ledger.failures() == ()


def test_clips_beyond_the_end_and_strays_are_excluded():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0), clip("stray", 0), clip("v", 1), clip("v", 2)))
    record = hurt("v", 1)
    ledger.add(clips("f", complaint(record), kind="failed"))
    ledger.add(videos("b", record, done("stray", 1)))
    assert ledger.complete()
    excluded = {shard.key: shard.exclude for shard in ledger.shards()}
    assert excluded["clips/00000/a.parquet"] == (1, 2, 3)
    assert excluded["videos/00000/b.parquet"] == (1,)
    assert ledger.clip_counts()["kept"] == 1


def test_a_newer_take_voids_everything_even_rows_that_are_not_to_be_kept():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0), clip("v", 1)))
    ledger.add(videos("b", done("v", 2)))
    assert ledger.complete()
    ledger.add(clips("c", clip("v", 0, failed()), takes={"v": 1}, kind="failed"), keep=frozenset())
    assert ledger.missing() == ["v"]
    assert ledger.videos["v"].take == 1
    assert ledger.videos["v"].spans == {}
    ledger.add(clips("d", clip("v", 0)))
    assert 0 not in ledger.videos["v"].clips


def test_keep_limits_a_shard_to_rows():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0), clip("v", 1)), keep=frozenset({1}))
    assert set(ledger.videos["v"].clips) == {1}
    assert ledger.videos["v"].spans == {1: (100, 200)}
    (shard,) = ledger.shards()
    assert shard.exclude == (0,)


def test_rows_that_an_earlier_marker_excludes_stay_excluded():
    contents = clips("a", clip("v", 0), clip("v", 0))
    marked = Contents(entry=contents.entry.model_copy(update={"exclude": (0,)}), clips=contents.clips, takes={})
    ledger = Ledger(0, ["v"])
    ledger.add(marked)
    assert [shard.exclude for shard in ledger.shards()] == [(0,)]


def test_a_withdrawn_record_gives_way_to_one_that_ends_earlier():
    ledger = Ledger(0, ["v"])
    ledger.add(clips("a", clip("v", 0), clip("v", 2)))
    ledger.add(videos("b", done("v", 3)))
    verdict = hurt("v", 1, "worker_died", "killed")
    ledger.add(clips("c", complaint(verdict), kind="failed"))
    ledger.add(videos("d", verdict))
    assert ledger.missing() == ["v"]
    assert ledger.counts().videos["done"] == 1
    ledger.withdraw("v")
    assert ledger.missing() == ["v"] and sum(ledger.counts().videos.values()) == 0
    ledger.add(videos("e", verdict))
    assert ledger.complete()
    assert {shard.key: shard.exclude for shard in ledger.shards()} == {
        "clips/00000/a.parquet": (1,),
        "failed/00000/c.parquet": (),
        "videos/00000/e.parquet": (),
    }


def test_tallies_are_those_of_each_tasks_last_receipt():
    ledger = Ledger(0, ["v"])
    for seconds in (1.0, 3.0, 2.0):
        ledger.add_receipt(receipt("t", [], seconds))
    ledger.add_receipt(receipt("u", [], 0.5))
    assert ledger.operators()["shots"].seconds == 3.5
