"""What disks, networks and careless tools do to files of any kind, and to their headers on purpose."""

from __future__ import annotations

from random import Random

HEADER = 512
"""Bytes at the start in which most formats keep what they say of themselves."""


def truncated(data: bytes, rng: Random) -> bytes:
    """Cut anywhere."""
    return data[: rng.randrange(1, len(data))]


def beheaded(data: bytes, rng: Random) -> bytes:
    """Without its beginning."""
    return data[rng.randrange(1, len(data)) :]


def header_bits(data: bytes, rng: Random) -> bytes:
    """One to 32 bits of the header flipped."""
    return _flipped(data, rng, range(min(HEADER, len(data))), rng.choice((1, 4, 32)))


def tail_bits(data: bytes, rng: Random) -> bytes:
    """Bits of the end flipped, where indexes lie."""
    return _flipped(data, rng, range(max(0, len(data) - 2 * HEADER), len(data)), rng.choice((4, 32)))


def payload_bits(data: bytes, rng: Random) -> bytes:
    """Bits flipped everywhere."""
    return _flipped(data, rng, range(len(data)), rng.choice((16, 128, 1024)))


def _flipped(data: bytes, rng: Random, where: range, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[rng.choice(where)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def filled(data: bytes, rng: Random) -> bytes:
    """A stretch of zeros, ones or noise over what was there."""
    start, length = _stretch(data, rng)
    fill = rng.choice((b"\0" * length, b"\xff" * length, rng.randbytes(length)))
    return data[:start] + fill + data[start + length :]


def removed(data: bytes, rng: Random) -> bytes:
    """Without a stretch."""
    start, length = _stretch(data, rng)
    return data[:start] + data[start + length :]


def doubled(data: bytes, rng: Random) -> bytes:
    """With a stretch repeated up to sixteen times."""
    start, length = _stretch(data, rng)
    return data[: start + length] + data[start : start + length] * rng.randrange(1, 16) + data[start + length :]


def swapped(data: bytes, rng: Random) -> bytes:
    """Two stretches of the same length in each other's place."""
    length = max(1, min(len(data) // 4, rng.choice((16, 512, 4096))))
    first, second = sorted(rng.randrange(len(data) - length) for _ in range(2))
    if second < first + length:
        return data[::-1]
    return (
        data[:first]
        + data[second : second + length]
        + data[first + length : second]
        + data[first : first + length]
        + data[second + length :]
    )


def large_numbers(data: bytes, rng: Random) -> bytes:
    """Numbers that are absurd for most fields, over whatever was there in the header."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 3, 9))):
        number = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x10000))
        at = rng.randrange(min(2 * HEADER, len(data) - 4))
        changed[at : at + 4] = number.to_bytes(4, rng.choice(("big", "little")))
    return bytes(changed)


def _stretch(data: bytes, rng: Random) -> tuple[int, int]:
    length = max(1, min(len(data) // 2, rng.choice((1, 64, 1024, 16_384))))
    return rng.randrange(len(data) - length), length


MUTATORS = (
    truncated,
    beheaded,
    header_bits,
    tail_bits,
    payload_bits,
    filled,
    removed,
    doubled,
    swapped,
    large_numbers,
)
