"""MP4 and MOV: boxes of absurd sizes, nested without end, counts and offsets that lie (ISO/IEC 14496-12)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts", b"udta")

COUNTED = (b"stts", b"ctts", b"stsc", b"stco", b"stss", b"elst", b"dref", b"stsd", b"stsz", b"sbgp", b"co64")
"""Boxes with a number of entries after version and flags (`stsz` after one more word)."""

CODES = (b"avc1", b"hvc1", b"mp4v", b"jpeg", b"png ", b"raw ", b"tiff", b"apcn", b"AVdn", b"SVQ3", b"cvid", b"av01")

NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 100_000_000, 65_536)


class Box(NamedTuple):
    """Where a box lies: `start` of its header, `size` with it."""

    start: int
    size: int
    type: bytes

    @property
    def body(self) -> int:
        """Where its content starts."""
        return self.start + 8


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """All boxes in file order, parents before their children."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8 or start + size > end:
            return
        box = Box(start, size, data[start + 4 : start + 8])
        yield box
        if box.type in PARENTS:
            yield from boxes(data, start + 8, start + size)
        start += size


def _written(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _number(value: int, size: int = 4) -> bytes:
    return (value % (1 << 8 * size)).to_bytes(size, "big")


def box(type_: bytes, content: bytes) -> bytes:
    """A box around `content`."""
    return _number(8 + len(content)) + type_ + content


def _one(data: bytes, rng: Random, *types: bytes) -> Box:
    found = [box for box in boxes(data) if not types or box.type in types]
    return rng.choice(found or [Box(0, len(data), b"none")])


def absurd_size(data: bytes, rng: Random) -> bytes:
    """A box that is nothing, everything, or longer than the file."""
    chosen = _one(data, rng)
    return _written(data, chosen.start, _number(rng.choice((*NUMBERS, 7, 8, chosen.size + 100_000, chosen.size - 1))))


def absurd_wide_size(data: bytes, rng: Random) -> bytes:
    """The same in 64 bits."""
    chosen = _one(data, rng)
    wide = _number(rng.choice((0, 15, 16, 1 << 63, (1 << 64) - 1, (1 << 63) - 1)), 8)
    return _written(_written(data, chosen.start, _number(1)), chosen.body, wide)


def endless_nesting(data: bytes, rng: Random) -> bytes:
    """Ten thousand boxes each in the one before."""
    kinds = rng.choice(((b"moov",), (b"moov", b"trak"), (b"udta", b"meta"), (b"moof", b"traf"), (b"edts",)))
    depth = rng.choice((300, 10_000))
    heads = [_number(8 * (depth - level)) + kinds[level % len(kinds)] for level in range(depth)]
    nest = b"".join(heads)
    return data[: _one(data, rng, b"moov").start] + nest if rng.random() < 0.5 else data + nest


def renamed_box(data: bytes, rng: Random) -> bytes:
    """A box that says it is another, among them its own parent."""
    chosen = _one(data, rng)
    return _written(data, chosen.start + 4, rng.choice((*PARENTS, *COUNTED, b"mdat", b"ftyp", b"moof", b"sidx")))


def absurd_count(data: bytes, rng: Random) -> bytes:
    """A table of more entries than bytes."""
    chosen = _one(data, rng, *COUNTED)
    at = chosen.body + (8 if chosen.type == b"stsz" else 4)
    return _written(data, at, _number(rng.choice(NUMBERS)))


def absurd_entries(data: bytes, rng: Random) -> bytes:
    """Entries of a table overwritten: durations, sizes, offsets."""
    chosen = _one(data, rng, *COUNTED)
    for _ in range(rng.choice((1, 8))):
        at = rng.randrange(chosen.body, max(chosen.body + 1, chosen.start + chosen.size - 4))
        data = _written(data, at, _number(rng.choice(NUMBERS)))
    return data


def constant_sizes(data: bytes, rng: Random) -> bytes:
    """Samples of one size, as many as fit into 32 bits."""
    chosen = _one(data, rng, b"stsz")
    return _written(data, chosen.body + 4, _number(rng.choice((1, 8, 4096))) + _number(rng.choice(NUMBERS)))


def dimensions(data: bytes, rng: Random) -> bytes:
    """No pixel, or four thousand million, in the sample entry."""
    sides = [_number(rng.choice((0, 1, 2, 16_384, 32_768, 65_535)), 2) for _ in range(2)]
    return _written(data, _one(data, rng, b"stsd").body + 8 + 32, b"".join(sides))


def durations(data: bytes, rng: Random) -> bytes:
    """Clocks that do not run, and durations of centuries."""
    chosen = _one(data, rng, b"mvhd", b"mdhd")
    return _written(data, chosen.body + 12, _number(rng.choice(NUMBERS)) + _number(rng.choice(NUMBERS)))


def another_codec(data: bytes, rng: Random) -> bytes:
    """A sample entry that names another codec."""
    return _written(data, _one(data, rng, b"stsd").body + 12, rng.choice(CODES))


def edits(data: bytes, rng: Random) -> bytes:
    """An edit list of absurd times."""
    chosen = _one(data, rng, b"elst")
    times = _number(rng.choice(NUMBERS)) + _number(rng.choice((-1, -(1 << 31), *NUMBERS))) + _number(1 << 16)
    return _written(data, chosen.body + 8, times)


def compressed_header(data: bytes, rng: Random) -> bytes:
    """QuickTime's compressed `moov`: honest, a bomb of zeros, or compressed again and again."""
    moov = next((data[box.start : box.start + box.size] for box in boxes(data) if box.type == b"moov"), b"\0" * 64)
    claimed = rng.choice((None, 0xFFFFFFFF, 0x7FFFFFFF, 1, 0))
    if rng.random() < 0.5:
        moov = bytes(rng.choice((1, 16)) << 20)
    for _ in range(rng.choice((1, 1, 30))):
        length = len(moov) if claimed is None else claimed
        moov = box(
            b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", _number(length) + zlib.compress(moov, 1)))
        )
    return box(b"ftyp", b"qt  \0\0\2\0qt  ") + moov + box(b"mdat", data)


def sample_elsewhere(data: bytes, rng: Random) -> bytes:
    """A data reference to another file, as QuickTime's alias and as a URL."""
    chosen = _one(data, rng, b"dref")
    place = rng.choice((b"file:///etc/passwd", b"/etc/passwd", b"http://127.0.0.1:9/x", b"concat:/etc/passwd"))
    entry = box(rng.choice((b"url ", b"alis", b"rsrc")), bytes(4) + place + b"\0")
    new = box(b"dref", bytes(4) + _number(1) + entry)
    pad = chosen.size - len(new)
    return _written(
        data, chosen.start, (new if pad == 0 else new + box(b"free", bytes(max(0, pad - 8))))[: chosen.size]
    )


def index_of_itself(data: bytes, rng: Random) -> bytes:
    """A segment index whose only entry is the index."""
    entry = _number(0x80000000 | rng.choice((0, 52, 0x7FFFFFFF))) + _number(1) + _number(0)
    index = box(b"sidx", bytes(4) + _number(1) + _number(1000) + bytes(8) + _number(1) + entry)
    fragment = box(b"moof", box(b"mfhd", bytes(8)) + box(b"traf", box(b"tfhd", bytes(4) + _number(1))))
    return data + (index + fragment) * rng.choice((1, 500))


MUTATORS = (
    absurd_size,
    absurd_wide_size,
    endless_nesting,
    renamed_box,
    absurd_count,
    absurd_entries,
    constant_sizes,
    dimensions,
    durations,
    another_codec,
    edits,
    compressed_header,
    sample_elsewhere,
    index_of_itself,
)
