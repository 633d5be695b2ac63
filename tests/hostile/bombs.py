"""Small files that unpack to very much: pictures of 16,384 pixels a side, the same frame without end, slow sound."""

from __future__ import annotations

import io
import struct
import zlib
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

import av
import cv2
import numpy as np

from tests.hostile.boxes import box

BITEXACT = {"fflags": "+bitexact"}
"""Muxers write random identifiers otherwise."""

SIDES = (16_384, 16_383, 12_000, 32_767)


def huge_png(data: bytes, rng: Random) -> bytes:
    """One frame of black or white pixels, 16 k by 16 k, as PNG in a container."""
    return muxed("png", rng, [_png(rng.choice(SIDES[:3]), rng.choice((1, 8)))], formats=("mov", "avi"))


def huge_jpeg(data: bytes, rng: Random) -> bytes:
    """A JPEG that says it is larger than it is."""
    side = rng.choice(SIDES).to_bytes(2, "big")
    whole = cv2.imencode(".jpg", np.full((64, 64, 3), 128, np.uint8))[1].tobytes()
    at = whole.index(b"\xff\xc0") + 5
    return muxed("mjpeg", rng, [whole[:at] + side * 2 + whole[at + 4 :]] * rng.choice((1, 20)))


def huge_vp8(data: bytes, rng: Random) -> bytes:
    """VP8 key frames of 16,383 pixels a side and no content."""
    side = (16_383).to_bytes(2, "little")
    frame = b"\x10\x02\x00\x9d\x01\x2a" + side * 2 + rng.randbytes(rng.choice((16, 600)))
    return muxed("libvpx", rng, [frame] * rng.choice((1, 12)), formats=("webm", "matroska", "ivf"))


def huge_gif(data: bytes, rng: Random) -> bytes:
    """An animation on a canvas of 65,535 pixels a side, each frame one pixel of it."""
    side = rng.choice((65_535, 20_000)).to_bytes(2, "little")
    frame = b"\x21\xf9\x04\x04\x01\0\0\0\x2c\0\0\0\0\1\0\1\0\0\x02\x02\x44\x01\0"
    return b"GIF89a" + side * 2 + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + frame * rng.choice((1, 100)) + b"\x3b"


def raw_without_end(data: bytes, rng: Random) -> bytes:
    """Raw pictures whose header makes each of them larger than the file."""
    width, height = (rng.choice((65_535, 30_000)) for _ in range(2))
    head = f"YUV4MPEG2 W{width} H{height} F25:1 C444\n".encode()
    return head + b"FRAME\n" + data


def same_frame(data: bytes, rng: Random) -> bytes:
    """An MP4 of which every sample is the same few bytes: frames for four bytes each."""
    count = rng.choice((500, 2000))
    picture = _jpeg(rng.choice(((64, 48), (640, 480))))
    offset = len(_one_sample(picture, count, 0)) - len(picture)
    return _one_sample(picture, count, offset)


def growing_frames(data: bytes, rng: Random) -> bytes:
    """Frames that double in size: what is kept of each must not add up."""
    sides = [64 << step for step in range(7)] * rng.choice((1, 6))
    return muxed("mjpeg", rng, [_jpeg((side, side)) for side in sides])


def slow_sound(data: bytes, rng: Random) -> bytes:
    """Sound at one sample a second: resampled, each byte is 32 kB."""
    rate, samples = rng.choice((1, 7, 50)), rng.randbytes(rng.choice((2000, 200_000)))
    form = struct.pack("<HHIIHH", 1, 1, rate, rate, 1, 8)
    wave = b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", 16) + form
    if rng.random() < 0.3:
        return wave + b"data" + struct.pack("<I", len(samples)) + samples
    sink = io.BytesIO()
    with av.open(sink, "w", format="matroska", options=BITEXACT) as container:
        video: Any = container.add_stream("mjpeg", 25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        audio: Any = container.add_stream("pcm_u8", rate, layout="mono")
        for stream, payloads in ((audio, [samples]), (video, [_jpeg((64, 48))] * 3)):
            for number, payload in enumerate(payloads):
                packet = av.Packet(payload)
                packet.stream, packet.time_base = stream, Fraction(1, 25)
                packet.pts = packet.dts = number
                packet.is_keyframe = True
                container.mux(packet)
    return sink.getvalue()


def muxed(
    codec: str, rng: Random, payloads: list[bytes], formats: tuple[str, ...] = ("mov", "avi", "matroska")
) -> bytes:
    """Payloads as the packets of a stream, under a header that names small pictures."""
    sink = io.BytesIO()
    with av.open(sink, "w", format=rng.choice(formats), options=BITEXACT) as container:
        video: Any = container.add_stream(codec, 25)
        video.width, video.height = 64, 48
        video.codec_context.thread_count = 1
        video.pix_fmt = {"mjpeg": "yuvj420p", "png": "gray"}.get(codec, "yuv420p")
        for number, payload in enumerate(payloads):
            packet = av.Packet(payload)
            packet.stream, packet.time_base = video, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = True
            container.mux(packet)
    return sink.getvalue()


@cache
def _png(side: int, bits: int) -> bytes:
    row = b"\0" + bytes(side * bits // 8)
    packer = zlib.compressobj(1)
    squeezed = b"".join(packer.compress(row * 256) for _ in range(side // 256)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side // 256 * 256, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", squeezed) + chunk(b"IEND", b"")


@cache
def _jpeg(size: tuple[int, int]) -> bytes:
    return cv2.imencode(".jpg", np.full((size[1], size[0], 3), 90, np.uint8))[1].tobytes()


def _one_sample(picture: bytes, count: int, offset: int) -> bytes:
    """A QuickTime file with `count` chunks of one sample each, all at `offset`, and the picture at its end."""

    def full(kind: bytes, *numbers: int, head: int = 0) -> bytes:
        return box(kind, head.to_bytes(4, "big") + b"".join(number.to_bytes(4, "big") for number in numbers))

    entry = box(b"jpeg", bytes(6) + b"\0\1" + bytes(16) + b"\0\x40\0\x30" + b"\0\x48\0\0" * 2 + bytes(4) + b"\0\1")
    entry = entry[:-2] + bytes(32) + b"\0\x18\xff\xff"
    entry = len(entry).to_bytes(4, "big") + entry[4:]
    tables = box(b"stsd", bytes(4) + b"\0\0\0\1" + entry) + full(b"stts", 1, count, 40) + full(b"stsc", 1, 1, 1, 1)
    tables += full(b"stsz", len(picture), count) + full(b"stco", count, *[offset] * count)
    media = full(b"mdhd", 0, 0, 1000, 40 * count, 0) + box(b"hdlr", bytes(8) + b"vide" + bytes(13))
    info = box(b"vmhd", bytes(12)) + box(b"dinf", full(b"dref", 1) + b"") + box(b"stbl", tables)
    track = full(b"tkhd", 0, 0, 1, 0, 40 * count, *[0] * 13, 64 << 16, 48 << 16, head=3)
    movie = full(b"mvhd", 0, 0, 1000, 40 * count, 0x10000, *[0] * 19, 2)
    moov = box(b"moov", movie + box(b"trak", track + box(b"mdia", media + box(b"minf", info))))
    return box(b"ftyp", b"qt  \0\0\2\0qt  ") + moov + box(b"mdat", picture)


BUILDERS = (
    huge_png,
    huge_jpeg,
    huge_vp8,
    huge_gif,
    raw_without_end,
    same_frame,
    growing_frames,
    slow_sound,
)
