"""Broken inputs by number and seed: which mutator breaks which source, and the bytes that come out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.hostile import bombs, boxes, damage, disguises, ebml, riff, streams, timestamps
from tests.hostile.sources import Source

Mutator = Callable[[bytes, Random], bytes]
"""A whole file and the only source of chance → a broken file."""

MOV, MATROSKA = ("mp4", "mov"), ("mkv", "webm")

FAMILIES: tuple[tuple[str, tuple[Mutator, ...], tuple[str, ...]], ...] = (
    ("damage", damage.MUTATORS, ()),
    ("boxes", boxes.MUTATORS, MOV),
    ("ebml", ebml.MUTATORS, MATROSKA),
    ("riff", riff.MUTATORS, ("avi",)),
    ("timestamps", timestamps.MP4, MOV),
    ("timestamps", timestamps.MATROSKA, MATROSKA),
    ("timestamps", timestamps.FLV, ("flv",)),
    ("timestamps", timestamps.TS, ("ts",)),
    ("streams", streams.MP4, MOV),
    ("streams", streams.MATROSKA, MATROSKA),
    ("streams", streams.TS, ("ts",)),
    ("streams", streams.ANY, ()),
    ("bombs", bombs.BUILDERS, ()),
    ("disguises", disguises.LONE, ()),
    ("disguises", disguises.AROUND, ()),
    ("disguises", disguises.MP4, MOV),
)
"""(family, its mutators, the kinds of source that they break; none: all)."""

NEVER_WHOLE = (*disguises.LONE,)
"""Mutators whose files hold no film at all."""


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """A broken file. `harmless`: it may still hold a film that plays."""

    name: str
    family: str
    data: bytes
    harmless: bool


def hostile(sources: Sequence[Source], seed: int, number: int) -> Hostile:
    """Input `number` of the corpus `seed`; it depends on the three arguments alone.

    Mutators take turns; the source is drawn among those of their kind.
    """
    steps = [(family, mutate, kinds) for family, mutators, kinds in FAMILIES for mutate in mutators]
    family, mutate, kinds = steps[number % len(steps)]
    rng = Random(f"{seed}/{number}")
    source = rng.choice([source for source in sources if not kinds or source.kind in kinds])
    data = mutate(source.data, rng)
    suffix = rng.choice((source.kind, "mp4"))
    name = f"{number:05d}-{family}-{mutate.__name__}-{source.name}.{suffix}"
    return Hostile(name=name, family=family, data=data, harmless=mutate not in NEVER_WHOLE)


def corpus(sources: Sequence[Source], seed: int, count: int) -> Iterator[Hostile]:
    """The first `count` inputs."""
    for number in range(count):
        yield hostile(sources, seed, number)
