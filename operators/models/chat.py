"""The seam between operators that ask a chat model and whatever runs it.

An operator hands over a batch of requests and gets as many results back in the same order: an answer,
or the failure of that request alone. Both engines, `vllm_chat` in this process and `openai_chat` over
HTTP, are safe to call from several threads at once, and are the faster the more requests they hold.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image

from operators.errors import ErrorKind, RowFailure

MOST_PIXELS = 8192 * 8192  # of a picture, before it is shrunk


@dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """One turn: JPEG pictures, shown in order, then a text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What one clip asks. Always answered greedily (temperature 0).

    `schema` is a JSON schema that the answer is made to fit, token by token (guided decoding).
    `image_side` is the longer side in pixels at which pictures are shown; smaller ones are not enlarged.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    image_side: int = 768
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """The model's text. `whole` is False where it was cut off at `max_tokens`."""

    text: str
    whole: bool


ChatResult = ChatAnswer | RowFailure


class ChatEngine(ABC):
    """Answers chat requests, from any thread."""

    @abstractmethod
    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        """One result per request, in order.

        A request that cannot be answered (a broken picture, a prompt over the model's length, a refusal
        by the server) gives a `RowFailure` in its place. Raises `EngineError` where nothing can be
        answered any more.
        """

    def close(self) -> None:
        """Free what the engine holds; it cannot be used afterwards."""


def picture(jpeg: bytes, side: int) -> Image.Image:
    """A JPEG as an RGB picture whose longer side has at most `side` pixels. Raises `RowFailure` (decode, refused)."""
    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as stored:
            if stored.width * stored.height > MOST_PIXELS:
                raise RowFailure(ErrorKind.REFUSED, f"a picture of {stored.width}×{stored.height} px is too large")
            stored.draft("RGB", (min(side, stored.width), min(side, stored.height)))
            shown = stored.convert("RGB")
    except RowFailure:
        raise
    except Exception as problem:  # Pillow raises OSError, SyntaxError, ValueError and its own for bad bytes
        raise RowFailure(ErrorKind.DECODE, f"keyframe is not a whole JPEG: {problem}") from problem
    shown.thumbnail((side, side), Image.Resampling.BICUBIC)
    return shown
