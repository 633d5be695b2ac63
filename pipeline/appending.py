"""Growing a run: the videos of an input that it does not have yet become new partitions of it.

The manifests come first, then one create-only record that names them (`store.run_record`): a kill between the two
leaves files that nothing names, and the same command writes them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from pipeline.opening import Run
from store.lease import Lease
from store.manifest import read_input, read_partition, write_manifest
from store.objects import ObjectStore
from store.run_record import Append, RunRecord, create_append, span_of
from store.threads import ahead
from store.video_entry import ManifestError, VideoEntry, shown

EXAMPLES = 3
"""Videos that a message names."""


@dataclass(frozen=True)
class Appended:
    """The grown run, and what happened, in sentences for people."""

    record: RunRecord
    notes: tuple[str, ...]


def append(run: Run, store: ObjectStore, record: RunRecord, lease: Lease) -> Appended:
    """Add the videos of `run.input` to the run `record` whose `video_id` is not in it yet.

    Reads the manifests of the run, and nothing that was made of its videos. The new partitions have the run's
    own size. Raises `ManifestError` where the input is wrong, or names another video by a `video_id` that is in
    the run; `LeaseLost` where another writer has taken over.
    """
    entries = read_input(run.input, limit=run.limit)
    known = _known(store, record)
    _refuse_namesakes(run.input, entries, known)
    new = [entry for entry in entries if entry.video_id not in known]
    notes = _notes(run, record, entries, known)
    if not new:
        return Appended(
            record, (f"none of the {len(entries):,} videos of the input is new: nothing was added", *notes)
        )
    first = record.n_partitions
    count = write_manifest(store, new, record.partition_size, first=first, still_ours=lease.check)
    lease.check()
    grown = create_append(
        store,
        record,
        Append(
            input=run.input,
            limit=run.limit,
            first_partition=first,
            n_partitions=count,
            n_videos=len(new),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            nonce=uuid4().hex,
        ),
    )
    are = "is" if len(new) == 1 else "are"
    return Appended(
        grown, (f"{len(new):,} of {len(entries):,} videos {are} new; {span_of(first, count)} added", *notes)
    )


def _known(store: ObjectStore, record: RunRecord) -> dict[str, VideoEntry]:
    partitions = ahead(lambda partition: read_partition(store, partition), range(record.n_partitions))
    return {entry.video_id: replace(entry, extra=None) for entries in partitions for entry in entries}


def _refuse_namesakes(input: str, entries: Sequence[VideoEntry], known: Mapping[str, VideoEntry]) -> None:
    """Raise where a `video_id` of the run names another file here: its video would be left out without a word."""
    namesakes = [
        entry
        for entry in entries
        if (old := known.get(entry.video_id)) is not None and old.uri != entry.uri and _differ(old.size, entry.size)
    ]
    if namesakes:
        listed = "".join(
            f"\n  {entry.video_id}: {shown(entry.uri, 200)} is not {shown(known[entry.video_id].uri, 200)}"
            for entry in namesakes[:EXAMPLES]
        )
        raise ManifestError(
            f"--append: {len(namesakes):,} videos of {input} have the video_id of another video of the run:{listed}\n"
            "Give them a video_id of their own, in a manifest with the columns uri and video_id"
        )


def _notes(
    run: Run, record: RunRecord, entries: Sequence[VideoEntry], known: Mapping[str, VideoEntry]
) -> tuple[str, ...]:
    notes = []
    if run.partition_size != record.partition_size:
        notes.append(f"the run's own partition size applies: {record.partition_size}")
    changed = [
        entry.video_id
        for entry in entries
        if (old := known.get(entry.video_id)) is not None
        and old.uri == entry.uri
        and (_differ(old.size, entry.size) or _differ(old.etag, entry.etag))
    ]
    if changed:
        notes.append(
            f"{len(changed):,} videos changed since they were added, such as {', '.join(changed[:EXAMPLES])}: "
            "what the run holds of them stays"
        )
    return tuple(notes)


def _differ(old: object, new: object) -> bool:
    return old is not None and new is not None and old != new
