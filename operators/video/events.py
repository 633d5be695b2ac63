"""What one pass over a video tells, and how it is put on a pipe.

A message is a little-endian uint32 length, that many bytes of JSON, and the blobs whose lengths the
JSON lists. No pickle: the sender has read hostile files.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

from operators.video.motion import ClipMotion

_HEAD = struct.Struct("<I")

LARGEST = 1 << 29
"""Bytes of a message's blobs at most; more means a broken sender. A clip of an hour has 120 MB of sound."""

LARGEST_HEAD = 1 << 22
"""Bytes of a message's JSON at most."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """The video's facts: header duration in seconds or None, displayed [height, width], nominal frames/s."""

    duration: float | None
    resolution: tuple[int, int]
    fps: float
    codec: str
    has_audio: bool


class Sample(NamedTuple):
    """A frame of a clip on a regular clock: its position in the video, its presentation time, a small JPEG."""

    position: int
    time: float
    jpeg: bytes


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A finished clip: frames [first, end), seconds [start, stop) on the presentation clock.

    `keyframes`: three JPEGs in display orientation; `audio`: int16 LE mono at 16 kHz, or None;
    `samples`: at least one, in order, where the pass was asked for them.
    """

    index: int
    first: int
    end: int
    start: float
    stop: float
    motion: ClipMotion
    keyframe_times: tuple[float, ...]
    keyframes: tuple[bytes, ...]
    audio: bytes | None
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Frame `index` of a span on a regular clock: `rgb` holds height × width × 3 bytes as displayed.

    Without `rgb` the same picture as before is on display.
    """

    index: int
    height: int
    width: int
    rgb: bytes | memoryview | None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A sign of life: frames decoded and clips done so far."""

    frames: int
    clips: int


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Always last. `kind` and `message` say what stopped the pass, or are None; `duration` as decoded, in seconds.

    `restart`: a clip that was reported as stored has another span, so the video must be redone.
    """

    clips: int
    frames: int
    duration: float | None
    kind: str | None = None
    message: str | None = None
    restart: bool = False


Event = Opened | Clip | Shown | Progress | Ended

_KINDS: dict[str, type] = {kind.__name__: kind for kind in (Opened, Clip, Shown, Progress, Ended)}

_APART = ("keyframes", "audio", "motion", "samples")


def pack(event: Event) -> list[bytes | memoryview]:
    """The event as buffers to write one after another."""
    body: dict[str, Any] = {"event": type(event).__name__}
    blobs: list[bytes | memoryview] = []
    if isinstance(event, Shown):
        body |= {"index": event.index, "height": event.height, "width": event.width}
        blobs = [] if event.rgb is None else [event.rgb]
    elif isinstance(event, Clip):
        body |= {f.name: getattr(event, f.name) for f in fields(event) if f.name not in _APART}
        body["motion"] = asdict(event.motion)
        body["samples"] = [(sample.position, sample.time) for sample in event.samples]
        # Equal keyframes (a clip of one or two frames) are sent as often as they are shown.
        sound = [] if event.audio is None else [event.audio]
        blobs = [*event.keyframes, *(sample.jpeg for sample in event.samples), *sound]
        body["has_sound"] = event.audio is not None
    else:
        body |= asdict(event)
    body["blobs"] = [len(blob) for blob in blobs]
    head = json.dumps(body).encode()
    return [_HEAD.pack(len(head)), head, *blobs]


def unpack(buffer: bytearray) -> Iterator[Event]:
    """Take the whole messages off the front of `buffer`. Raises `ValueError` where they make no sense."""
    while True:
        if len(buffer) < _HEAD.size:
            return
        (length,) = _HEAD.unpack_from(buffer)
        if length > LARGEST_HEAD:
            raise ValueError(f"a message of {length} bytes")
        start = _HEAD.size + length
        if len(buffer) < start:
            return
        body = json.loads(bytes(buffer[_HEAD.size : start]))
        lengths = body.pop("blobs")
        if sum(lengths) > LARGEST or min(lengths, default=0) < 0:
            raise ValueError(f"a message of {sum(lengths)} bytes")
        if len(buffer) < start + sum(lengths):
            return
        blobs = []
        with memoryview(buffer) as view:
            for size in lengths:
                blobs.append(bytes(view[start : start + size]))
                start += size
        del buffer[:start]
        yield _build(body, blobs)


def _build(body: dict[str, Any], blobs: list[bytes]) -> Event:
    kind = _KINDS[body.pop("event")]
    if kind is Clip:
        body["audio"] = blobs.pop() if body.pop("has_sound") else None
        shown = len(blobs) - len(body["samples"])
        body["samples"] = tuple(
            Sample(position, time, jpeg) for (position, time), jpeg in zip(body["samples"], blobs[shown:], strict=True)
        )
        body["keyframes"] = tuple(blobs[:shown])
        body["keyframe_times"] = tuple(body["keyframe_times"])
        body["motion"] = ClipMotion(**body["motion"])
    if kind is Shown:
        body["rgb"] = blobs[0] if blobs else None
    if kind is Opened:
        body["resolution"] = tuple(body["resolution"])
    return kind(**body)
