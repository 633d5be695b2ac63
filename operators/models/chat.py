"""The seam between operators that ask a chat model and whatever runs it.

An operator hands over a batch of requests and gets as many results back in the same order: an answer,
or the failure of that request alone. Both engines, `vllm_chat` in this process and `openai_chat` over
HTTP, are safe to call from several threads at once, and are the faster the more requests they hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from operators.errors import RowFailure

Picture = NDArray[np.uint8]
"""Shape (height, width, 3), RGB."""


@dataclass(frozen=True, kw_only=True)
class ChatMessage:
    """One turn: pictures, shown in order as large as they are, then a text."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What one clip asks. Always answered greedily (temperature 0).

    `schema` is a JSON schema that the answer is made to fit, token by token (guided decoding).
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ChatAnswer:
    """The model's text. `whole` is False where it was cut off at `max_tokens`.

    `tokens_in` and `tokens_out` are the tokens of the prompt and of the answer, 0 where the engine does not count.
    """

    text: str
    whole: bool
    tokens_in: int = 0
    tokens_out: int = 0


ChatResult = ChatAnswer | RowFailure


class ChatEngine(ABC):
    """Answers chat requests, from any thread."""

    @abstractmethod
    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        """One result per request, in order.

        A request that cannot be answered (a prompt over the model's length, a refusal by the server) gives
        a `RowFailure` in its place. Raises `EngineError` where nothing can be answered any more.
        """

    def close(self) -> None:
        """Free what the engine holds; it cannot be used afterwards."""
