"""Reuse of an earlier run: columns whose operator and whose inputs did not change are taken over.

Where no changed operator needs the picture or the sound, and no verdict can change, the clips are
replayed from the old run's rows and nothing is decoded. Otherwise the video is split again, and the
unchanged operators' columns are restored clip by clip.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from operators.columns import IDENTITY, TRANSIENT
from operators.contract import ClipOperator, Operator, Row
from operators.errors import RunMismatch
from pipeline.chain import lineages
from store.markers import latest_generations, read_marker
from store.objects import ObjectStore
from store.run_record import RunRecord, read_run
from store.shards import read_shard

MEDIA = frozenset(column.name for column in TRANSIENT)
"""Columns that are not stored and must be decoded again."""

OWN = frozenset({*(column.name for column in IDENTITY), "extra"})
"""Columns of the clip itself, which no operator makes."""

PARTITIONS_KEPT = 4
"""Old partitions that a worker remembers: videos of the few open ones come to it in turns."""


@dataclass(frozen=True, kw_only=True)
class OldVideo:
    """The committed rows of one video. `reused` names the operators whose columns stand."""

    record: Row
    clips: dict[int, Row]


@dataclass(kw_only=True)
class Reuse:
    """What an earlier run on the same manifest has to give. Reads whole partitions, and remembers a few.

    `unchanged` names the operators whose `columns` stand; `for_kept` are columns that dropped clips lack.
    """

    store: ObjectStore
    generations: dict[int, int]
    unchanged: frozenset[str]
    columns: dict[str, tuple[str, ...]]
    replayable: bool
    for_kept: frozenset[str]
    _read_before: OrderedDict[int, dict[str, OldVideo]] = field(default_factory=OrderedDict, repr=False)

    def video(self, partition: int, video_id: str) -> OldVideo | None:
        """The old rows of a video, or None where the old run did not commit it."""
        if partition not in self._read_before:
            self._read_before[partition] = self._read(partition)
            if len(self._read_before) > PARTITIONS_KEPT:
                self._read_before.popitem(last=False)
        self._read_before.move_to_end(partition)
        return self._read_before[partition].get(video_id)

    def replays(self, partition: int, video_id: str) -> bool:
        """Whether the video's clips can be taken from the old run without decoding."""
        if not self.replayable:
            return False
        old = self.video(partition, video_id)
        return old is not None and old.record["status"] == "done" and len(old.clips) == old.record["n_clips"]

    def replay(self, partition: int, video_id: str) -> Iterator[Row]:
        """The old clips, marked with what need not run again, then the old video record."""
        old = self.video(partition, video_id)
        assert old is not None
        for _, clip in sorted(old.clips.items()):
            yield self._carried({"record": "clip", "error": None}, clip, self.unchanged)
        yield {**old.record, "record": "video"}

    def restore(self, partition: int, video_id: str, rows: Iterable[Row]) -> Iterator[Row]:
        """Freshly split clips with the unchanged operators' old columns, where the span is the same."""
        old = self.video(partition, video_id)
        for row in rows:
            clip = old.clips.get(row["clip_index"]) if old and row["record"] == "clip" else None
            if clip is None or list(clip["clip_start_end_idx"]) != list(row["clip_start_end_idx"]):
                yield row
            else:
                yield self._carried(row, clip, self._made(clip))

    def settled(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Annotated rows, where clips that are dropped now lose what only kept clips are given."""
        for row in rows:
            if row["record"] != "clip" or row.get("drop_reason") is None or row.get("error") is not None:
                yield row
                continue
            credits = {column: by for column, by in row["provenance"].items() if column not in self.for_kept}
            yield {**{c: value for c, value in row.items() if c not in self.for_kept}, "provenance": credits}

    def _made(self, clip: Row) -> frozenset[str]:
        """Unchanged operators that ran on the old clip: later ones never saw a clip that was dropped."""
        if clip["drop_reason"] is None:
            return self.unchanged
        credits = dict(clip["provenance"] or {})
        return frozenset(name for name in self.unchanged if any(column in credits for column in self.columns[name]))

    def _carried(self, row: Row, clip: Row, reused: frozenset[str]) -> Row:
        wanted = OWN.union(*(self.columns[name] for name in reused))
        kept = {column: value for column, value in clip.items() if column in wanted}
        credits = {column: by for column, by in dict(clip["provenance"] or {}).items() if column in wanted}
        return {**kept, **row, "provenance": credits | (row.get("provenance") or {}), "reused": reused}

    def _read(self, partition: int) -> dict[str, OldVideo]:
        # Verdicts of a later rejudge are left out: the old run's record describes the clips without them.
        generation = self.generations.get(partition)
        if generation is None:
            return {}
        clips: dict[str, dict[int, Row]] = defaultdict(dict)
        records: dict[str, Row] = {}
        for entry in read_marker(self.store, partition, generation).shards:
            if entry.kind == "clips":
                for row in read_shard(self.store, entry).to_pylist():
                    clips[row["video_id"]][row["clip_index"]] = row
            elif entry.kind == "videos":
                for row in read_shard(self.store, entry).to_pylist():
                    records[row["video_id"]] = row
        return {v: OldVideo(record=record, clips=clips[v]) for v, record in records.items()}


def reuse_of(store: ObjectStore, chain: Sequence[Operator]) -> tuple[Reuse, RunRecord]:
    """What the run in `store` can give to `chain`.

    Raises `RunMismatch` where `store` holds no run.
    """
    record = read_run(store)
    if record is None:
        raise RunMismatch(f"--reuse: {store.url} holds no run (no run.json)")
    before = {operator.name: operator.lineage for operator in record.operators}
    now = lineages(chain)
    unchanged = frozenset(name for name, lineage in now.items() if before.get(name) == lineage)
    changed = [operator for operator in chain if operator.name not in unchanged]
    needs_media = any(MEDIA & set(operator.reads) for operator in changed)
    judged = any("drop_reason" in operator.writes for operator in record.operators if operator.name not in unchanged)
    judges = judged or any("drop_reason" in operator.writes.names for operator in changed)
    return Reuse(
        store=store,
        generations=latest_generations(store),
        unchanged=unchanged,
        columns={operator.name: tuple(operator.writes.names) for operator in chain},
        replayable=not needs_media and not judges and chain[0].name in unchanged,
        for_kept=_for_kept(chain),
    ), record


def _for_kept(chain: Sequence[Operator]) -> frozenset[str]:
    """Columns of operators that see no clip that was dropped before them."""
    columns: set[str] = set()
    judged = False
    for operator in chain:
        if judged and isinstance(operator, ClipOperator) and not operator.on_dropped:
            columns.update(operator.writes.names)
        judged = judged or "drop_reason" in operator.writes.names
    return frozenset(columns)
