"""Where everything lies in a run directory: key builders, and parsers that refuse what they did not build.

    run.json                         job, configuration, fingerprints, versions
    appended/00001.json              an input whose new videos were added to the run, and their partitions
    lease.json                       who is writing
    manifest/00017.parquet           the videos of partition 17
    clips/00017/<name>.parquet       clip rows, kept and dropped
    videos/00017/<name>.parquet      video records
    failed/00017/<name>.parquet      rows with an error
    verdicts/00017/<name>.parquet    tiers decided anew from stored scores
    attempts/00017/<name>.json       tries of videos that killed something
    parked/00017.json                how often partition 17 failed, and why
    commits/00017/000001.json        the marker of generation 1
    sessions/00003-<nonce>.json      one run of the command: its stages, its machines, its time
    report.json                      what everything cost; derived from the above, and written anew
    _SUCCESS                         the generation of every partition

Partitions are padded to five digits and generations to six; larger numbers grow in width, so order
by the parsed numbers, never by the text.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, cast

from operators.errors import ConfigurationError

RUN = "run.json"
LEASE = "lease.json"
SUCCESS = "_SUCCESS"
REPORT = "report.json"

ShardKind = Literal["clips", "videos", "failed", "verdicts"]
SHARD_KINDS: tuple[ShardKind, ...] = ("clips", "videos", "failed", "verdicts")

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NUMBER = r"[0-9]{5}|[1-9][0-9]{5,8}"
_SHARD = re.compile(rf"({'|'.join(SHARD_KINDS)})/({_NUMBER})/({_NAME})\.parquet")
_MARKER = re.compile(rf"commits/({_NUMBER})/([0-9]{{6}}|[1-9][0-9]{{6,8}})\.json")
_MANIFEST = re.compile(rf"manifest/({_NUMBER})\.parquet")
_ATTEMPT = re.compile(rf"attempts/({_NUMBER})/({_NAME})\.json")
_APPEND = re.compile(rf"appended/({_NUMBER})\.json")
_PARKED = re.compile(rf"parked/({_NUMBER})\.json")
_SESSION = re.compile(rf"sessions/({_NUMBER})-({_NAME})\.json")


class ShardKey(NamedTuple):
    """The parts of a shard's key."""

    kind: ShardKind
    partition: int
    name: str


class MarkerKey(NamedTuple):
    """The parts of a marker's key."""

    partition: int
    generation: int


class AttemptKey(NamedTuple):
    """The parts of an attempt's key."""

    partition: int
    name: str


class SessionKey(NamedTuple):
    """The parts of a session's key: the epoch of its lease, and the beginning of its nonce."""

    epoch: int
    nonce: str


def manifest_key(partition: int) -> str:
    """Key of the Parquet file with the videos of `partition`."""
    return _checked(f"manifest/{partition:05d}.parquet", _MANIFEST)


def shard_key(kind: str, partition: int, name: str) -> str:
    """Key of a shard. `name`: letters, digits, '.', '_' and '-', at most 128 characters.

    Raises `ConfigurationError` for a kind, number or name that has no place in the layout.
    """
    return _checked(f"{kind}/{partition:05d}/{name}.parquet", _SHARD)


def clips_key(partition: int, name: str) -> str:
    """Key of a shard of clip rows."""
    return shard_key("clips", partition, name)


def videos_key(partition: int, name: str) -> str:
    """Key of a shard of video records."""
    return shard_key("videos", partition, name)


def failed_key(partition: int, name: str) -> str:
    """Key of a shard of rows with an error."""
    return shard_key("failed", partition, name)


def verdicts_key(partition: int, name: str) -> str:
    """Key of a shard of verdicts."""
    return shard_key("verdicts", partition, name)


def attempt_key(partition: int, name: str) -> str:
    """Key of the note that a video of `partition` is about to be tried."""
    return _checked(f"attempts/{partition:05d}/{name}.json", _ATTEMPT)


def session_key(epoch: int, nonce: str) -> str:
    """Key of what is known of the driver that held the lease of this epoch."""
    return _checked(f"sessions/{epoch:05d}-{nonce[:16]}.json", _SESSION)


def marker_key(partition: int, generation: int) -> str:
    """Key of the marker that commits `generation` of `partition`. Generations count from 1."""
    return _checked(f"commits/{partition:05d}/{generation:06d}.json", _MARKER)


def append_key(number: int) -> str:
    """Key of the record of a run's append. Appends count from 1."""
    return _checked(f"appended/{number:05d}.json", _APPEND)


def parked_key(partition: int) -> str:
    """Key of the record of a partition's failures."""
    return _checked(f"parked/{partition:05d}.json", _PARKED)


def partition_prefix(kind: str, partition: int) -> str:
    """Prefix of everything of `kind` ("clips", "attempts", "commits", …) in `partition`, '/' at its end."""
    return f"{kind}/{partition:05d}/"


def parse_partition(name: str) -> int | None:
    """The partition that a folder of shards, attempts or markers is named after, or None for any other name."""
    return int(name) if re.fullmatch(_NUMBER, name) else None


def parse_shard_key(key: str) -> ShardKey | None:
    """The parts of a shard's key, or None for any other key."""
    found = _SHARD.fullmatch(key)
    return ShardKey(cast(ShardKind, found[1]), int(found[2]), found[3]) if found else None


def parse_marker_key(key: str) -> MarkerKey | None:
    """The parts of a marker's key, or None for any other key."""
    found = _MARKER.fullmatch(key)
    return MarkerKey(int(found[1]), int(found[2])) if found else None


def parse_manifest_key(key: str) -> int | None:
    """The partition of a manifest file's key, or None for any other key."""
    found = _MANIFEST.fullmatch(key)
    return int(found[1]) if found else None


def parse_attempt_key(key: str) -> AttemptKey | None:
    """The parts of an attempt's key, or None for any other key."""
    found = _ATTEMPT.fullmatch(key)
    return AttemptKey(int(found[1]), found[2]) if found else None


def parse_append_key(key: str) -> int | None:
    """The number of an append's key, or None for any other key."""
    found = _APPEND.fullmatch(key)
    return int(found[1]) if found else None


def parse_parked_key(key: str) -> int | None:
    """The partition of a parking record's key, or None for any other key."""
    found = _PARKED.fullmatch(key)
    return int(found[1]) if found else None


def parse_session_key(key: str) -> SessionKey | None:
    """The parts of a session's key, or None for any other key."""
    found = _SESSION.fullmatch(key)
    return SessionKey(int(found[1]), found[2]) if found else None


def _checked(key: str, pattern: re.Pattern[str]) -> str:
    if not pattern.fullmatch(key):
        raise ConfigurationError(f"not a key of the run layout: {key!r:.200}")
    return key
