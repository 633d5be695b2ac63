"""Times that stand still, run back, jump over centuries or are missing."""

from __future__ import annotations

from random import Random

from tests.hostile import boxes, ebml

TS_PACKET = 188


def box_times(data: bytes, rng: Random) -> bytes:
    """MP4 and MOV: the durations of samples and their offsets, one by one."""
    for kind in (b"stts", b"ctts"):
        for chosen in [each for each in boxes.boxes(data) if each.type == kind]:
            for at in range(chosen.body + 12, chosen.start + chosen.size - 3, 8):
                if rng.random() < 0.6:
                    time = rng.choice((0, -1, -1000, 1 << 31, (1 << 31) - 1, 1 << 20, 90_000 * 3600))
                    data = _patched(data, at, (time % (1 << 32)).to_bytes(4, "big"))
    return data


def one_duration(data: bytes, rng: Random) -> bytes:
    """MP4 and MOV: every frame stands for as long as the clock can say."""
    for chosen in [each for each in boxes.boxes(data) if each.type == b"stts"]:
        entry = (24).to_bytes(4, "big") + rng.choice((0x7FFFFFFF, 61 * 12_800, 0)).to_bytes(4, "big")
        data = _patched(data, chosen.body + 4, (1).to_bytes(4, "big") + entry)
    return data


def block_times(data: bytes, rng: Random) -> bytes:
    """Matroska: times of blocks at random, so that they run back and forth."""
    for each in [each for each in ebml.elements(data) if each.id in (ebml.SIMPLE_BLOCK, 0xA1)]:
        data = _patched(data, each.body + 1, rng.randrange(1 << 16).to_bytes(2, "big"))
    return data


def cluster_times(data: bytes, rng: Random) -> bytes:
    """Matroska: clusters in the far future, or at the end of the clock."""
    for each in [each for each in ebml.elements(data) if each.id == 0xE7]:
        time = rng.choice(((1 << 8 * each.size) - 1, rng.randrange(1 << 8 * each.size)))
        data = _patched(data, each.body, time.to_bytes(each.size, "big"))
    return data


def tag_times(data: bytes, rng: Random) -> bytes:
    """FLV: times of tags, of which the highest byte is set at random."""
    at = 13
    while at + 11 < len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if rng.random() < 0.5:
            data = _patched(data, at + 4, rng.randbytes(4))
        at += 11 + size + 4
    return data


def packet_times(data: bytes, rng: Random) -> bytes:
    """Transport streams: presentation times at random, and clock references that jump."""
    for at in range(0, len(data) - TS_PACKET, TS_PACKET):
        start = data.find(b"\0\0\1", at, at + TS_PACKET)
        if start < 0 or start + 14 > len(data) or not data[start + 7] & 0x80 or rng.random() < 0.3:
            continue
        time = rng.randrange(1 << 33)
        stamp = bytes(
            (
                0x21 | (time >> 30 & 7) << 1,
                time >> 22 & 255,
                time >> 14 & 254 | 1,
                time >> 7 & 255,
                time << 1 & 254 | 1,
            )
        )
        data = _patched(data, start + 9, stamp)
    return data


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


MP4 = (box_times, one_duration)
MATROSKA = (block_times, cluster_times)
FLV = (tag_times,)
TS = (packet_times,)
