"""Reuse of an earlier run: columns whose operator and whose inputs did not change are taken over.

Where no changed operator needs the picture or the sound, nor any that follows a verdict which can change,
the clips are replayed from the old run's rows and nothing is decoded. Otherwise the video is split again, and the
unchanged operators' columns are restored clip by clip.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from operators.columns import IDENTITY, TRANSIENT
from operators.contract import ClipOperator, Operator, Row
from operators.errors import RunMismatch
from pipeline.chain import DROPS, lineages
from store.markers import latest_generations, read_marker
from store.objects import ObjectStore
from store.run_record import RunRecord, read_run
from store.shards import read_shard
from store.tensors import to_rows

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

    `columns` names what each operator of the chain writes, in its order, and `unchanged` the operators
    whose columns stand; `for_kept` gives, for each operator that drops clips, columns that these lack.
    """

    store: ObjectStore
    generations: dict[int, int]
    unchanged: frozenset[str]
    columns: dict[str, tuple[str, ...]]
    replayable: bool
    for_kept: dict[str, frozenset[str]]
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
            yield self._carried({"record": "clip", "error": None}, clip, self._made(clip))
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
            lacks = self.for_kept.get(_dropper(row) or "", frozenset())
            credits = {column: by for column, by in row["provenance"].items() if column not in lacks}
            yield {**{c: value for c, value in row.items() if c not in lacks}, "provenance": credits}

    def _made(self, clip: Row) -> frozenset[str]:
        """Unchanged operators that ran on the old clip: those after the one that dropped it never saw it."""
        if clip[DROPS] is None:
            return self.unchanged
        chain, dropper = list(self.columns), _dropper(clip)
        before = chain[: chain.index(dropper) + 1] if dropper in chain else []
        credits = dict(clip["provenance"] or {})
        made = (name for name in chain if any(column in credits for column in self.columns[name] if column != DROPS))
        return self.unchanged & {*before, *made}

    def _carried(self, row: Row, clip: Row, reused: frozenset[str]) -> Row:
        wanted = OWN.union(*(self.columns[name] for name in reused)) - {DROPS}
        if _dropper(clip) in reused and row.get(DROPS) is None:
            wanted, row = wanted | {DROPS}, {name: value for name, value in row.items() if name != DROPS}
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
                for row in to_rows(read_shard(self.store, entry)):
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
    droppers = {operator.name for operator in record.operators if DROPS in operator.writes}
    droppers |= {operator.name for operator in chain if DROPS in operator.writes.names}
    revived = _from_first(chain, droppers - unchanged)
    needs_media = any(MEDIA & set(operator.reads) for operator in {*changed, *revived})
    return Reuse(
        store=store,
        generations=latest_generations(store),
        unchanged=unchanged,
        columns={operator.name: tuple(operator.writes.names) for operator in chain},
        replayable=not needs_media and chain[0].name in unchanged,
        for_kept=_for_kept(chain),
    ), record


def _dropper(clip: Row) -> str | None:
    """The operator that dropped the clip, by the credit for its reason; None where it is kept or not known."""
    if clip.get(DROPS) is None:
        return None
    author = dict(clip["provenance"] or {}).get(DROPS)
    return author.partition("/")[0] if author is not None else None


def _from_first(chain: Sequence[Operator], names: Collection[str]) -> Sequence[Operator]:
    """The first operator of these names and all after it; the whole chain where one of them is not in it."""
    order = [operator.name for operator in chain]
    if not set(names) <= set(order):
        return chain
    return chain[min(map(order.index, names)) :] if names else ()


def _for_kept(chain: Sequence[Operator]) -> dict[str, frozenset[str]]:
    """For each operator that may drop a clip: the columns of later ones, which do not see that clip then."""
    lacks: dict[str, set[str]] = {}
    for operator in chain:
        if isinstance(operator, ClipOperator) and not operator.on_dropped:
            for columns in lacks.values():
                columns.update(set(operator.writes.names) - {DROPS})
        if DROPS in operator.writes.names:
            lacks[operator.name] = set()
    return {name: frozenset(columns) for name, columns in lacks.items()}
