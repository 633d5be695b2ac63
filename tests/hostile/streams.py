"""Streams by the hundred thousand, streams that are something else, streams that change on the way."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import av
from av.error import FFmpegError

from tests.hostile import boxes, ebml
from tests.hostile.sources import CLIPS, clip

CROWD = (300, 5000, 1_000_000)
"""Streams that a file may claim to have."""


def empty_tracks(data: bytes, rng: Random) -> bytes:
    """MP4: tracks without anything in them, up to a million."""
    crowd = boxes.box(b"trak", b"") * rng.choice(CROWD)
    moov = next((each for each in boxes.boxes(data) if each.type == b"moov"), None)
    if moov is None:
        return boxes.box(b"moov", crowd)
    inside = data[moov.body : moov.start + moov.size]
    return data[: moov.start] + boxes.box(b"moov", inside + crowd) + data[moov.start + moov.size :]


def same_tracks(data: bytes, rng: Random) -> bytes:
    """MP4: the same track again and again."""
    tracks = [data[each.start : each.start + each.size] for each in boxes.boxes(data) if each.type == b"trak"]
    moov = next((each for each in boxes.boxes(data) if each.type == b"moov"), None)
    if moov is None or not tracks:
        return data[::-1]
    inside = data[moov.body : moov.start + moov.size] + rng.choice(tracks) * rng.choice((40, 400, 1500))
    return data[: moov.start] + boxes.box(b"moov", inside) + data[moov.start + moov.size :]


def many_tracks(data: bytes, rng: Random) -> bytes:
    """Matroska: tracks of all kinds, up to a hundred thousand."""
    tracks = next((each for each in ebml.elements(data) if each.id == ebml.TRACKS), None)
    if tracks is None:
        return data[::-1]
    crowd = b"".join(
        ebml.element(
            ebml.TRACK,
            ebml.element(0xD7, bytes((number,))) + ebml.element(0x83, kind) + ebml.element(ebml.CODEC, codec),
        )
        for number, (kind, codec) in enumerate(_TRACKS, start=9)
    ) * rng.choice((40, 400, 12_500))
    inside = data[tracks.body : tracks.body + tracks.size] + crowd
    whole = data[: tracks.start] + ebml.element(ebml.TRACKS, inside) + data[tracks.body + tracks.size :]
    segment = next(each for each in ebml.elements(whole) if each.id == ebml.SEGMENT)
    return whole[: segment.start] + ebml.element(ebml.SEGMENT, whole[segment.body :])


_TRACKS = (
    (b"\x01", b"V_VP8"),
    (b"\x02", b"A_PCM/INT/LIT"),
    (b"\x11", b"S_TEXT/ASS"),
    (b"\x12", b"S_VOBSUB"),
    (b"\x20", b"B_VOBBTN"),
    (b"\x01", b"V_MPEG4/ISO/AVC"),
    (b"\x02", b"A_OPUS"),
    (b"\x21", b"D_WEBVTT/METADATA"),
)


def programs(data: bytes, rng: Random) -> bytes:
    """Transport stream: tables that promise hundreds of programs with hundreds of streams each."""
    tables = [_section(0, 0, b"".join(n.to_bytes(2, "big") + (0xE100 + n).to_bytes(2, "big") for n in range(1, 40)))]
    for program in range(1, 40):
        kinds = bytes(rng.choice((0x1B, 0x02, 0x0F, 0x24, 0x06)) for _ in range(30))
        streams = b"".join(
            bytes((kind,)) + (0xE000 + rng.randrange(512, 8000)).to_bytes(2, "big") + b"\xf0\0" for kind in kinds
        )
        tables.append(_section(0x100 + program, 2, b"\xe2\0\xf0\0" + streams, program))
    return b"".join(tables) * rng.choice((1, 20)) + data


def _section(pid: int, table: int, body: bytes, number: int = 1) -> bytes:
    """A table of a transport stream (ISO/IEC 13818-1) in one packet, with its CRC."""
    head = number.to_bytes(2, "big") + b"\xc1\0\0"
    section = bytes((table,)) + (0xB000 | len(head) + len(body) + 4).to_bytes(2, "big") + head + body
    section += _crc(section).to_bytes(4, "big")
    return (b"\x47" + (0x4000 | pid).to_bytes(2, "big") + b"\x10\0" + section).ljust(188, b"\xff")[:188]


def _crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def two_films(data: bytes, rng: Random) -> bytes:
    """A file after another, of another kind or size, as if it were one."""
    _, muxer, codec, sound = rng.choice(CLIPS)
    other = _clip(muxer, codec, sound)
    return data + other if rng.random() < 0.5 else other + data


def wrong_packets(data: bytes, rng: Random) -> bytes:
    """A well-made file whose packets are those of another codec."""
    names = ("libx264", "mpeg4", "mjpeg", "libvpx", "ffv1", "huffyuv", "mpeg2video")
    sink = io.BytesIO()
    muxer = rng.choice(("matroska", "nut", "mpegts"))
    with suppress(FFmpegError), av.open(sink, "w", format=muxer, options={"fflags": "+bitexact"}) as container:
        video: Any = container.add_stream(rng.choice(names), 25)
        video.width, video.height = rng.choice((64, 4096)), 48
        video.codec_context.thread_count = 1
        for number in range(30):
            start = rng.randrange(max(1, len(data) - 2000))
            packet = av.Packet(data[start : start + rng.randrange(1, 2000)])
            packet.stream, packet.time_base = video, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)
    return sink.getvalue() or data[::-1]


@cache
def _clip(muxer: str, codec: str, sound: str | None) -> bytes:
    return clip(muxer, codec, sound)


MP4 = (empty_tracks, same_tracks)
MATROSKA = (many_tracks,)
TS = (programs,)
ANY = (two_films, wrong_packets)
