"""AVI: chunks of absurd sizes, indexes that point to themselves, headers without a clock."""

from __future__ import annotations

from random import Random

NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8)

CHUNKS = (b"RIFF", b"LIST", b"avih", b"strh", b"strf", b"idx1", b"00dc", b"01wb", b"JUNK")

CODES = (b"MJPG", b"H264", b"XVID", b"HFYU", b"cvid", b"IV50", b"DIB ", b"ZMBV", b"VP80", b"TSCC")


def _place(data: bytes, name: bytes, rng: Random) -> int:
    """Where a chunk of that name begins, one of them; 0 where there is none."""
    places = []
    at = data.find(name)
    while at >= 0:
        places.append(at)
        at = data.find(name, at + 4)
    return rng.choice(places or [0])


def _written(data: bytes, at: int, *numbers: int) -> bytes:
    new = b"".join(number.to_bytes(4, "little") for number in numbers)
    return data[:at] + new + data[at + len(new) :]


def absurd_size(data: bytes, rng: Random) -> bytes:
    """A chunk of no or enormous length."""
    return _written(data, _place(data, rng.choice(CHUNKS), rng) + 4, rng.choice(NUMBERS))


def dimensions(data: bytes, rng: Random) -> bytes:
    """No pixel, negative or very many."""
    sides = [rng.choice((0, 1, 16_384, 65_535, 0x7FFFFFFF, 0xFFFFFFFF)) for _ in range(2)]
    return _written(data, _place(data, b"strf", rng) + 12, *sides)


def clock(data: bytes, rng: Random) -> bytes:
    """A rate of nothing, or of thousands of millions."""
    return _written(data, _place(data, b"strh", rng) + 8 + 20, rng.choice(NUMBERS), rng.choice(NUMBERS))


def streams(data: bytes, rng: Random) -> bytes:
    """Headers that promise streams and frames without number."""
    at = _place(data, b"avih", rng) + 8
    return _written(_written(data, at + 16, rng.choice(NUMBERS)), at + 24, rng.choice(NUMBERS))


def index(data: bytes, rng: Random) -> bytes:
    """An index whose entries are one place: itself, the file's start, or past its end."""
    at = _place(data, b"idx1", rng) + 8
    place = rng.choice((0, 4, at, len(data), 0xFFFFFFF0))
    for entry in range(at, len(data) - 16, 16):
        data = _written(data, entry + 8, place)
    return data


def another_codec(data: bytes, rng: Random) -> bytes:
    """A stream that names another codec."""
    code, at = rng.choice(CODES), _place(data, b"strf", rng) + 24
    return data[:at] + code + data[at + 4 :]


def endless_nesting(data: bytes, rng: Random) -> bytes:
    """Thousands of lists, each in the one before."""
    depth = rng.choice((100, 10_000))
    nest = b"".join(b"LIST" + (12 * (depth - level)).to_bytes(4, "little") + b"movi" for level in range(depth))
    return data[:12] + nest + data[12:]


MUTATORS = (absurd_size, dimensions, clock, streams, index, another_codec, endless_nesting)
