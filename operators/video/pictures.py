"""Models that look at keyframes: the pictures of many clips in full portions, decoded ahead in threads.

A clip whose keyframe cannot be decoded fails alone; the model never sees it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from operators.contract import Row, is_out_of_memory, tuning
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.models.files import WEIGHTS
from operators.models.operator import ModelOperator, ModelSettings
from operators.video.stills import RGB, decode_small, keyframes

CONFIG = ("config.json",)
PREPROCESSOR = ("preprocessor_config.json", "processor_config.json")
PICTURE_MODEL = (CONFIG, WEIGHTS, PREPROCESSOR)
"""What every checkpoint that sees pictures has, as transformers writes it."""

GPUS = ModelSettings.model_fields["gpus"].description
"""What the setting of that name says, for operators with another share."""

LONGEST = 6.0
"""Longer side over shorter side. A keyframe beyond it is cut to its middle: scaling the shorter side up to the
model's size would blow the longer one up without bound."""


class PictureSettings(ModelSettings):
    """What operators on keyframes have beside every model's settings."""

    threads: int = tuning(2, ge=1, le=64, description="threads that decode keyframes while the model works")


class PictureOperator(ModelOperator):
    """A model that gives one result per keyframe.

    Subclasses set `portion` (pictures per call of the model) and `side` (px, shorter side that the model
    sees) in `setup`, and write `look`, `results` and `columns`. With `needs.concurrency` of 2 one batch is
    decoded while the model has the other: `look` must not change the operator.
    """

    Settings = PictureSettings
    reads = ("keyframes",)

    portion: int
    side: int

    @abstractmethod
    def look(self, pictures: Sequence[RGB]) -> Any:
        """What the model finds in pictures (uint8 H×W×3, of any sizes), not waiting for the GPU if it can."""

    @abstractmethod
    def results(self, seen: Sequence[Any]) -> Sequence[Any]:
        """One result per picture from what `look` returned, call by call."""

    @abstractmethod
    def columns(self, found: Sequence[Any]) -> Row | RowFailure:
        """A clip's columns from the results of its keyframes."""

    def setup(self) -> None:
        super().setup()
        cv2.setNumThreads(1)
        self._threads = ThreadPoolExecutor(self.settings.threads, thread_name_prefix=f"{self.name}-decode")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        failures: dict[int, RowFailure] = {}
        owners: list[int] = []
        seen: list[Any] = []
        for numbers, pictures in self._decoded(clips, failures):
            if pictures:
                owners += numbers
                seen.append(self._looked(pictures))
        found: list[list[Any]] = [[] for _ in clips]
        for owner, result in zip(owners, self.results(seen) if seen else (), strict=True):
            found[owner].append(result)
        return [failures[n] if n in failures else self.columns(found[n]) for n in range(len(clips))]

    def _looked(self, pictures: Sequence[RGB]) -> Any:
        try:
            return self.look(pictures)
        except Exception as problem:
            if is_out_of_memory(problem):
                raise
            raise RowFailure(ErrorKind.MODEL, f"{type(problem).__name__}: {problem}") from problem

    def _decoded(self, clips: Sequence[Row], failures: dict[int, RowFailure]) -> Iterator[tuple[list[int], list[RGB]]]:
        """Portions of pictures with their clips' numbers; one portion is decoded ahead. Fills `failures`."""
        stored: list[tuple[int, bytes]] = []
        for number, clip in enumerate(clips):
            try:
                stored += [(number, jpeg) for jpeg in keyframes(clip)]
            except RowFailure as failure:
                failures[number] = failure
        waiting: deque[list[tuple[int, Future[RGB]]]] = deque()
        for part in self.portions(stored, self.portion):
            waiting.append([(number, self._threads.submit(self._decode, jpeg)) for number, jpeg in part])
            if len(waiting) > 1:
                yield _arrived(waiting.popleft(), failures)
        while waiting:
            yield _arrived(waiting.popleft(), failures)

    def _decode(self, jpeg: bytes) -> RGB:
        return _middle(decode_small(jpeg, self.side))


def _arrived(
    waiting: Sequence[tuple[int, Future[RGB]]], failures: dict[int, RowFailure]
) -> tuple[list[int], list[RGB]]:
    numbers, pictures = [], []
    for number, future in waiting:
        try:
            pictures.append(future.result())
        except RowFailure as failure:
            failures.setdefault(number, failure)
        else:
            numbers.append(number)
    return numbers, pictures


def _middle(rgb: RGB) -> RGB:
    height, width = rgb.shape[:2]
    longest = round(LONGEST * min(height, width))
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return np.ascontiguousarray(rgb[top : top + longest, left : left + longest])


def shorter_side(processor: Any) -> int:
    """The shorter side in px to which a transformers image processor brings every picture."""
    size: Mapping[str, int | None] = dict(processor.size)
    sides = [size.get(name) for name in ("shortest_edge", "height", "width")]
    known = [side for side in sides if side]
    if not known:
        raise ConfigurationError(f"the model's image processor names no size that is known here: {dict(size)}")
    return min(known)
