"""Matroska and WebM: elements of absurd sizes, in circles and in each other (RFC 8794, RFC 9559)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import NamedTuple

HEADER, SEGMENT, CLUSTER, TRACKS, TRACK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
INFO, SEEK_HEAD, SEEK, SEEK_POSITION, VIDEO, CUES = 0x1549A966, 0x114D9B74, 0x4DBB, 0x53AC, 0xE0, 0x1C53BB6B
WIDTH, HEIGHT, DURATION, SCALE, CODEC, TAGS = 0xB0, 0xBA, 0x4489, 0x2AD7B1, 0x86, 0x1254C367
ATTACHMENTS, CHAPTERS, SIMPLE_BLOCK = 0x1941A469, 0x1043A770, 0xA3

MASTERS = (SEGMENT, CLUSTER, TRACKS, TRACK, INFO, SEEK_HEAD, SEEK, VIDEO, CUES)

CODECS = (b"V_MPEG4/ISO/AVC", b"V_UNCOMPRESSED", b"V_VP8", b"V_VP9", b"V_MJPEG", b"V_QUICKTIME", b"V_REAL/RV40")


class Element(NamedTuple):
    """Where an element lies: `start` of its id, `body` of its content, which has `size` bytes."""

    id: int
    start: int
    body: int
    size: int


def elements(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    """All elements in file order, masters before what they hold."""
    end = len(data) if end is None else end
    while start < end:
        id_, at = _vint(data, start, keep_marker=True)
        size, body = _vint(data, at, keep_marker=False)
        if id_ < 0 or size < 0:
            return
        size = min(size, end - body)
        yield Element(id_, start, body, size)
        if id_ in MASTERS:
            yield from elements(data, body, body + size)
        start = body + size


def _vint(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length and where it ends; -1 where there is none."""
    if at >= len(data) or data[at] == 0:
        return -1, at
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    return (value if keep_marker else value & ((1 << 7 * length) - 1)), at + length


def element(id_: int, content: bytes) -> bytes:
    """An element with an 8-byte size."""
    return id_.to_bytes((id_.bit_length() + 7) // 8, "big") + b"\x01" + len(content).to_bytes(7, "big") + content


def _unknown(id_: int) -> bytes:
    return id_.to_bytes((id_.bit_length() + 7) // 8, "big") + b"\x01" + b"\xff" * 7


def _one(data: bytes, rng: Random, *ids: int) -> Element:
    found = [each for each in elements(data) if not ids or each.id in ids]
    return rng.choice(found or [Element(0, 0, 8, max(8, len(data) - 8))])


def _written(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def absurd_size(data: bytes, rng: Random) -> bytes:
    """An element of no, unknown or enormous length."""
    chosen = _one(data, rng)
    length = max(1, chosen.body - chosen.start - (chosen.id.bit_length() + 7) // 8)
    marker = 1 << 7 * length
    value = rng.choice((0, 1, marker - 1, marker - 2, chosen.size + 1000, marker // 2)) % marker
    return _written(data, chosen.body - length, (marker | value).to_bytes(length, "big"))


def dimensions(data: bytes, rng: Random) -> bytes:
    """No pixel or very many."""
    for id_ in (WIDTH, HEIGHT):
        chosen = _one(data, rng, id_)
        side = rng.choice((0, 1, 255, 65_535, (1 << 31) - 1)) % (1 << 8 * chosen.size)
        data = _written(data, chosen.body, side.to_bytes(chosen.size, "big"))
    return data


def circle(data: bytes, rng: Random) -> bytes:
    """Seek entries that lead back to themselves, to the segment's start or past the end."""
    for each in [each for each in elements(data) if each.id == SEEK_POSITION]:
        place = rng.choice((0, 5, len(data), (1 << 8 * each.size) - 1)) % (1 << 8 * each.size)
        data = _written(data, each.body, place.to_bytes(each.size, "big"))
    return data


def durations(data: bytes, rng: Random) -> bytes:
    """Durations that are no numbers, and clocks that stand or race."""
    if rng.random() < 0.5:
        chosen = _one(data, rng, DURATION)
        time = rng.choice((float("inf"), float("nan"), -1.0, 1e300, 0.0))
        packed = struct.pack(">d", time) if chosen.size == 8 else struct.pack(">f", min(time, 1e38))
        return _written(data, chosen.body, packed)
    chosen = _one(data, rng, SCALE)
    return _written(data, chosen.body, rng.choice((0, 1, (1 << 8 * chosen.size) - 1)).to_bytes(chosen.size, "big"))


def another_codec(data: bytes, rng: Random) -> bytes:
    """A track that names another codec."""
    chosen = _one(data, rng, CODEC)
    return _written(data, chosen.body, rng.choice(CODECS)[: chosen.size].ljust(chosen.size, b"\0"))


def endless_nesting(data: bytes, rng: Random) -> bytes:
    """Thousands of masters of unknown length, each in the one before."""
    ids = rng.choice(((SEGMENT,), (CLUSTER,), (0x67C8,), (0xB6,), (TRACK, VIDEO), (SEGMENT, TAGS, 0x7373)))
    nest = b"".join(_unknown(ids[level % len(ids)]) for level in range(rng.choice((100, 5000))))
    head = next(each for each in [*elements(data), Element(0, 0, 0, 0)] if each.id in (SEGMENT, 0))
    outer = {0x67C8: _unknown(TAGS) + _unknown(0x7373), 0xB6: _unknown(CHAPTERS) + _unknown(0x45B9)}.get(ids[0], b"")
    return data[: head.body] + outer + nest + data[head.body :]


def attachments(data: bytes, rng: Random) -> bytes:
    """Attached files: with names that climb, of absurd size, and thousands of them."""
    names = (b"../../../../etc/cron.d/x", b"/etc/passwd", b"font.ttf", b"\x1b]0;owned\x07.png")
    attached = b"".join(
        element(
            0x61A7,
            element(0x466E, rng.choice(names)) + element(0x4660, b"font/ttf") + element(0x465C, rng.randbytes(64)),
        )
        for _ in range(rng.choice((1, 64, 3000)))
    )
    head = _one(data, rng, SEGMENT)
    return data[: head.body] + element(ATTACHMENTS, attached) + data[head.body :]


def squeezed_frames(data: bytes, rng: Random) -> bytes:
    """A track whose frames are compressed zeros: a kilobyte that unpacks to a megabyte or more."""
    frame = _squeezed(rng.choice((1, 8, 64)))
    side = rng.choice((16, 4096)).to_bytes(2, "big")
    compression = element(0x6D80, element(0x6240, element(0x5034, element(0x4254, b"\0"))))
    track = element(0xD7, b"\1") + element(0x73C5, b"\1") + element(0x83, b"\1")
    track += element(CODEC, rng.choice((b"V_UNCOMPRESSED", b"V_MJPEG"))) + compression
    track += element(VIDEO, element(WIDTH, side) + element(HEIGHT, side) + element(0x2EB524, b"I420"))
    blocks = b"".join(element(SIMPLE_BLOCK, b"\x81" + n.to_bytes(2, "big") + b"\x80" + frame) for n in range(5))
    head = element(HEADER, element(0x4282, b"matroska"))
    cluster = element(CLUSTER, element(0xE7, b"\0") + blocks)
    return head + element(SEGMENT, element(TRACKS, element(TRACK, track)) + cluster)


@cache
def _squeezed(mib: int) -> bytes:
    return zlib.compress(bytes(mib << 20), 1)


MUTATORS = (
    absurd_size,
    dimensions,
    circle,
    durations,
    another_codec,
    endless_nesting,
    attachments,
    squeezed_frames,
)
