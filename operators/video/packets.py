"""Packets and frames of a file that may be damaged: single failures are passed over, a long run of them is the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from av.error import EOFError as EndOfStream
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from operators.errors import ErrorKind, RowFailure
from operators.video.stream import OpenVideo

CORRUPT_IN_A_ROW = 50
"""Packets in a row that may fail to decode before the rest of the video is given up."""


class Packets:
    """The packets of some streams from where the container stands, in file order.

    `reached` tells the time in seconds for messages. Iteration and `decode` raise `RowFailure` (decode)
    after too many failures in a row.
    """

    def __init__(self, video: OpenVideo, streams: Sequence[Stream], reached: Callable[[], float]) -> None:
        self._video = video
        self._streams = streams
        self._reached = reached
        self._in_a_row = 0
        self.failures = 0

    def __iter__(self) -> Iterator[Packet]:
        while True:
            try:
                yield from self._video.container.demux(list(self._streams))
                return
            except EndOfStream:
                return
            except MemoryError:
                self._failed("a packet of absurd size")  # reading one needs no memory to speak of
            except FFmpegError as problem:
                self._failed(problem.strerror)
            except IndexError:
                self._failed("a stream that appears in mid-file")  # PyAV cannot name its packets

    def decode(self, packet: Packet) -> list[Any]:
        """The frames of a packet of the picture; none where it is damaged. Raises `MemoryError`."""
        try:
            frames = packet.decode()
        except EndOfStream:
            return []
        except MemoryError:
            raise
        except FFmpegError as problem:
            self._failed(problem.strerror)
            return []
        if frames:
            self._in_a_row = 0
        return frames

    def _failed(self, reason: str | None) -> None:
        self.failures += 1
        self._in_a_row += 1
        if self._in_a_row > CORRUPT_IN_A_ROW:
            raise RowFailure(
                ErrorKind.DECODE, f"damaged after {self._reached():.2f} s ({reason}); fetch the file again"
            )
