"""Attempts: each try of a video is written down before it starts, so that a killer is found out.

A video that takes its process down is tried three times in fresh processes, the last time alone,
before that becomes its verdict. Three kinds of evidence are told apart:

- a death that was witnessed: the actor saw its decoding process die, or the driver saw a worker's
  result never arrive. Each is a strike;
- a driver that died while the video ran alone. These count by themselves, since a driver can also be
  stopped by people;
- a driver that died while several videos ran, or a node of the cluster. Nobody can say which was guilty: after
  three of those a video runs alone from then on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from operators.errors import ErrorKind
from store.layout import attempt_key, partition_prefix
from store.objects import ObjectMissing, ObjectStore
from store.threads import in_threads

STRIKES = 3
"""Witnessed deaths, or deaths of drivers in the video's company alone, that make a verdict."""

RESTARTED = "restarted"
"""How a try ended that met a clip with another span than the stored one: no death."""

UNEXPLAINED = 3
"""Dead drivers in whose company a video was seen, after which it runs alone."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try. `session` and `epoch` are the lease's; `ended` is "" while it runs, `RESTARTED`, or how it died."""

    video_id: str
    session: str
    number: str
    alone: bool
    epoch: int = 0
    ended: str = ""
    message: str = ""


def write_attempt(store: ObjectStore, partition: int, attempt: Attempt) -> None:
    """Record a try before it starts, or its death once that was seen."""
    video = hashlib.sha256(attempt.video_id.encode()).hexdigest()[:16]
    name = f"{video}-{attempt.session[:16]}-{attempt.number}"
    store.put(attempt_key(partition, name), json.dumps(asdict(attempt)).encode())


def read_attempts(store: ObjectStore, partition: int, settled: int = -1) -> list[Attempt]:
    """The tries of a partition's videos; records that are not whole are no evidence and are left out.

    `settled` is the epoch of the driver that committed the partition, where that is done anew: a video
    whose failure is retried starts with a clean slate, so tries up to that epoch are left out.
    """
    keys = [info.key for info in store.list(partition_prefix("attempts", partition))]
    found = in_threads(lambda key: _read(store, key), keys)
    return [attempt for attempt in found if attempt is not None and attempt.epoch > settled]


def _read(store: ObjectStore, key: str) -> Attempt | None:
    try:
        attempt = Attempt(**json.loads(store.get(key)))
    except (ValueError, TypeError, ObjectMissing):
        return None
    return attempt if isinstance(attempt.epoch, int) else None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the tries of one video that has no record yet say about it.

    `strikes` are witnessed deaths, `alone_too` whether one of them was with nothing beside it; `lonely`
    are drivers or nodes that died with the video alone, `unexplained` those that died with it among others.
    `last_death` is an error kind, `message` its text.
    """

    strikes: int = 0
    alone_too: bool = False
    lonely: int = 0
    unexplained: int = 0
    last_death: str = ErrorKind.WORKER_DIED.value
    message: str = ""

    @property
    def alone(self) -> bool:
        """Whether the next try must run with nothing beside it."""
        return self.strikes >= STRIKES - 1 or self.unexplained >= UNEXPLAINED

    @property
    def convicted(self) -> bool:
        """Whether the deaths have become a verdict."""
        return (self.strikes >= STRIKES and self.alone_too) or self.lonely >= STRIKES


def weigh(
    attempts: Iterable[Attempt], session: str, vanished: bool, lost: Mapping[str, str] | None = None
) -> Evidence:
    """Judge one video's tries.

    `session` is the present driver's. `vanished` says that the present driver waited for its tries to
    end and they never did, so that its unfinished ones are witnessed deaths; but not those of `lost`, which maps
    a try's number to the nodes that were lost meanwhile.
    """
    evidence = Evidence()
    companies: set[str] = set()
    for attempt in attempts:
        mine = attempt.session == session
        node = (lost or {}).get(attempt.number, "") if mine else ""
        mine = mine and not node
        if attempt.ended == RESTARTED:
            continue
        if attempt.ended or (mine and vanished):
            evidence = replace(evidence, strikes=evidence.strikes + 1, alone_too=evidence.alone_too or attempt.alone)
        if attempt.ended:
            evidence = replace(evidence, last_death=attempt.ended, message=attempt.message)
        elif mine:
            continue
        elif attempt.alone:
            evidence = replace(evidence, lonely=evidence.lonely + 1)
        else:
            companies.add(node or attempt.session)
    return replace(evidence, unexplained=len(companies))
