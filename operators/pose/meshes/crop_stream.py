"""Crops of many clips, decoded ahead in threads and handed out in order, clip by clip."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.contract import OpenMedia, Row
from operators.errors import ErrorKind, RowFailure
from operators.pose.meshes.person_crops import PersonCrops
from operators.video.span_frames import Limits, SpanFrames

WAIT = 0.2
"""Seconds between two looks at whether anybody still wants the crops."""


@dataclass(frozen=True)
class Wanted:
    """A clip to be read: its number, its row, and its crops."""

    number: int
    row: Row
    crops: PersonCrops


@dataclass(frozen=True)
class Failed:
    """In the place of a clip's further crops: why there are none."""

    number: int
    failure: RowFailure


@dataclass(frozen=True)
class Cut:
    """One crop, uint8 (H, W, 3), of frame `frame` of clip `number`."""

    number: int
    frame: int
    crop: NDArray[np.uint8]


class CropReaders:
    """`readers` threads, each with a decoding process of its own; they hold at most `ahead` crops each."""

    def __init__(self, open_media: OpenMedia, limits: Limits, readers: int, ahead: int) -> None:
        self._open_media = open_media
        self._ahead = ahead
        self._readers = readers
        self._free: queue.SimpleQueue[SpanFrames] = queue.SimpleQueue()
        for _ in range(readers):
            self._free.put(SpanFrames(limits))

    def close(self) -> None:
        """End the decoding processes."""
        while not self._free.empty():
            self._free.get().close()

    def read(self, clips: Sequence[Wanted], input_size: tuple[int, int]) -> Generator[Cut | Failed, None, None]:
        """The crops of all clips, in order; a clip that cannot be read ends in one `Failed`."""
        with self._running(clips, input_size) as feeds:
            for feed in feeds:
                while (item := feed.get()) is not None:
                    if isinstance(item, BaseException):
                        raise item
                    yield item

    @contextmanager
    def _running(
        self, clips: Sequence[Wanted], input_size: tuple[int, int]
    ) -> Iterator[list[queue.Queue[Cut | Failed | BaseException | None]]]:
        stop = threading.Event()
        feeds: list[queue.Queue[Cut | Failed | BaseException | None]] = [queue.Queue(self._ahead) for _ in clips]
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for place in range(len(clips)):
            waiting.put(place)

        def work() -> None:
            frames = self._free.get()
            try:
                while not stop.is_set():
                    try:
                        place = waiting.get_nowait()
                    except queue.Empty:
                        return
                    self._feed(frames, clips[place], input_size, feeds[place], stop)
            finally:
                self._free.put(frames)

        threads = [
            threading.Thread(target=work, name=f"crops-{n}", daemon=True)
            for n in range(min(self._readers, len(clips)))
        ]
        for thread in threads:
            thread.start()
        try:
            yield feeds
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _feed(
        self,
        frames: SpanFrames,
        clip: Wanted,
        input_size: tuple[int, int],
        feed: queue.Queue[Cut | Failed | BaseException | None],
        stop: threading.Event,
    ) -> None:
        last: Failed | BaseException | None = None
        try:
            for number, crop in enumerate(self._crops(frames, clip, input_size)):
                if not _put(feed, Cut(clip.number, number, crop), stop):
                    return
        except RowFailure as failure:
            last = Failed(clip.number, failure)
        except BaseException as problem:  # raised again in the thread that waits for it
            last = problem
        if last is not None:
            _put(feed, last, stop)
        _put(feed, None, stop)

    def _crops(self, frames: SpanFrames, clip: Wanted, input_size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
        row, crops = clip.row, clip.crops
        start, stop = row["clip_start_end_time"]
        index = row.get("clip_start_end_idx")
        opened: AbstractContextManager = self._open_media(row["video_path"])
        with opened as media:
            pictures = frames.read(
                media.path,
                (float(start), float(stop)),
                fps=float(row["fps"]),
                frames=None if index is None else (int(index[0]), int(index[1])),
                crop=crops.region,
                longest_side=crops.longest_side(input_size),
            )
            count = 0
            for crop in crops.cut(_within(pictures, len(crops)), input_size):
                count += 1
                yield crop
        if count != len(crops):
            text = f"{count} frames were decoded where frame_count says {len(crops)}; run the landmarks again"
            raise RowFailure(ErrorKind.BAD_OUTPUT, text)


def _within(pictures: Iterator[tuple[int, NDArray[np.uint8]]], frames: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for index, picture in pictures:
        if index >= frames:
            text = f"the clip has more frames than frame_count says, {frames}; run the landmarks again"
            raise RowFailure(ErrorKind.BAD_OUTPUT, text)
        yield index, picture


def _put(feed: queue.Queue, item: object, stop: threading.Event) -> bool:
    """Whether `item` was taken before `stop`."""
    while not stop.is_set():
        try:
            feed.put(item, timeout=WAIT)
        except queue.Full:
            continue
        return True
    return False
