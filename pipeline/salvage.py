"""What an interrupted run left behind: shards that no marker names, taken over where they fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping

from operators.errors import StorageError
from pipeline.ledger import Ledger
from pipeline.receipt import TAKES, VIDEO_LEVEL, Contents, describe_table, described
from store.layout import parse_shard_key
from store.markers import Marker
from store.objects import ObjectInfo, ObjectStore
from store.shards import adopt_shard, list_shards, read_footer, read_shard
from store.threads import ahead

CHAIN, PACKAGE, SCHEMA = "chain", "package_version", "schema_version"
"""Footer facts that must be those of the present run for a shard to be taken over."""

Redo = Callable[[str], bool]
"""Says whether a video's failures are to be done again."""


def salvage(store: ObjectStore, ledger: Ledger, footer: Mapping[str, str], redo: Redo = lambda _: False) -> int:
    """Add a partition's leftover shards to `ledger`; return how many were taken over.

    Shards of another chain, package version or schema, and files that are not whole, are left alone.
    """
    taken = 0
    unknown = [info for info in list_shards(store, ledger.partition) if not ledger.knows(info.key)]
    for contents in ahead(lambda info: _leftover(store, info, footer), unknown):
        if contents is not None:
            ledger.add(contents, keep=_to_keep(contents, redo))
            taken += 1
    return taken


def committed(store: ObjectStore, ledger: Ledger, marker: Marker, redo: Redo) -> None:
    """Add what a marker names to `ledger`, but the failures of those videos that `redo` says to do again."""
    ledger.settled = marker.epoch
    for entry in marker.shards:
        if entry.kind == "verdicts":
            continue
        plain = entry.model_copy(update={"exclude": ()})
        takes = _takes(read_footer(store, entry.key, entry.bytes))
        contents = describe_table(plain, read_shard(store, plain, described(entry.kind)), takes)
        ledger.add(contents, keep=_to_keep(contents, redo) - set(entry.exclude))


def _leftover(store: ObjectStore, info: ObjectInfo, footer: Mapping[str, str]) -> Contents | None:
    parts = parse_shard_key(info.key)
    if parts is None or parts.kind == "verdicts":
        return None
    try:
        facts = read_footer(store, info.key, info.size)
        if any(facts.get(name) != footer[name] for name in (CHAIN, PACKAGE, SCHEMA)):
            return None
        entry, table = adopt_shard(store, info.key, described(parts.kind))
        takes = _takes(facts)
    except (StorageError, ValueError, TypeError, AttributeError):
        return None
    return describe_table(entry, table, takes)


def _takes(facts: Mapping[str, str]) -> dict[str, int]:
    return {str(video_id): int(take) for video_id, take in json.loads(facts.get(TAKES, "{}")).items()}


def _to_keep(contents: Contents, redo: Redo) -> frozenset[int]:
    return frozenset(range(contents.entry.rows)) - frozenset(_to_redo(contents, redo))


def _to_redo(contents: Contents, redo: Redo) -> Iterable[int]:
    for number, line in enumerate(contents.clips):
        if redo(line.video_id) and (line.outcome.state == "failed" or line.index == VIDEO_LEVEL):
            yield number
    for number, line in enumerate(contents.videos):
        if redo(line.video_id):
            yield number
