"""Chat requests answered by a server that speaks OpenAI's protocol: vLLM's, SGLang's, a hosted one.

Answers are guided by `response_format` with a JSON schema. The server's key comes from the environment
and stays there: it is in no setting, no row and no message.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from operators.errors import ConfigurationError, EngineError, ErrorKind, MissingExtra, RowFailure
from operators.models.chat import ChatAnswer, ChatEngine, ChatMessage, ChatRequest, ChatResult, Picture

RETRIES = 8  # about 40 s of waiting that doubles from 0.5 s to 8 s; for lost connections, 408, 409, 429, 5xx
TIMEOUT = 600.0  # s for one answer
PROBE_TIMEOUT = 10.0
NO_KEY = "none"  # the protocol wants a key; servers without one ignore it
JPEG_QUALITY = 95
MOST_TOKENS = 1 << 30  # of one answer that are believed


def checked_endpoint(url: str) -> str:
    """The URL, if a request may go there. Raises `ConfigurationError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"endpoint={url!r:.200}: write http://host:port/v1 or https://…")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"endpoint of {parts.hostname}: give no user, password or query in the URL; name the environment variable "
            "that holds the key in api_key_env"
        )
    return url.rstrip("/")


def key_from(variable: str) -> str:
    """The key in the environment variable; a stand-in where none is named. Raises `ConfigurationError`."""
    if not variable:
        return NO_KEY
    key = os.environ.get(variable, "")
    if not key:
        raise ConfigurationError(f"api_key_env={variable}: the environment has no such variable, or it is empty")
    return key


class OpenAIChat(ChatEngine):
    """Asks `model` at `endpoint`, with at most `in_flight` requests of one batch at once."""

    def __init__(self, endpoint: str, model: str, *, api_key_env: str = "", in_flight: int = 32) -> None:
        try:
            import openai
        except ImportError as problem:
            raise MissingExtra("openai", "models") from problem
        self._openai: Any = openai
        self._key = key_from(api_key_env)
        self._where = checked_endpoint(endpoint)
        self._model = model
        self._client: Any = openai.OpenAI(
            base_url=self._where, api_key=self._key, max_retries=RETRIES, timeout=TIMEOUT
        )
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix="openai")

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        return list(self._threads.map(self._one, requests))

    def check(self) -> None:
        """Raise `ConfigurationError` unless the server answers and serves the model."""
        try:
            listed = self._client.with_options(max_retries=1, timeout=PROBE_TIMEOUT).models.list()
        except self._openai.NotFoundError:
            return  # not every server lists its models
        except self._openai.OpenAIError as problem:
            raise ConfigurationError(f"endpoint {self._where} does not answer: {self._told(problem)}") from problem
        names = [model.id for model in listed.data]
        if names and self._model not in names:
            raise ConfigurationError(
                f"endpoint {self._where} serves {', '.join(sorted(names)[:8])} and not {self._model}; "
                "give one of these names as model"
            )

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _one(self, request: ChatRequest) -> ChatResult:
        openai = self._openai
        try:
            messages = [_message(message) for message in request.messages]
            return self._asked(request, messages)
        except RowFailure as problem:
            return problem
        except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as problem:
            raise EngineError(f"{self._where} refuses {self._model}: {self._told(problem)}") from None
        except (openai.APIConnectionError, openai.RateLimitError, openai.InternalServerError) as problem:
            self._probe(problem)
            return RowFailure(ErrorKind.MODEL, f"{self._where} failed on this request alone: {self._told(problem)}")
        except openai.APIStatusError as problem:
            return RowFailure(ErrorKind.REFUSED, f"{self._where} refused the request: {self._told(problem)}")
        except openai.OpenAIError as problem:
            return RowFailure(ErrorKind.BAD_OUTPUT, f"{self._where}: {self._told(problem)}")

    def _asked(self, request: ChatRequest, messages: list[Any]) -> ChatResult:
        beside: dict[str, Any] = {}
        if request.schema is not None:
            schema = {"name": "answer", "schema": dict(request.schema), "strict": True}
            beside["response_format"] = {"type": "json_schema", "json_schema": schema}
        reply = self._client.chat.completions.create(
            model=self._model,
            messages=messages,
            max_tokens=request.max_tokens,
            temperature=0.0,
            seed=request.seed,
            **beside,
        )
        if not reply.choices or reply.choices[0].message.content is None:
            return RowFailure(ErrorKind.BAD_OUTPUT, f"{self._where} answered without a text")
        [choice] = reply.choices[:1]
        usage = reply.usage
        return ChatAnswer(
            text=choice.message.content,
            whole=choice.finish_reason == "stop",
            tokens_in=_tokens(usage and usage.prompt_tokens),
            tokens_out=_tokens(usage and usage.completion_tokens),
        )

    def _probe(self, problem: Exception) -> None:
        """Raise `EngineError` where the server is down, rather than blame one request."""
        try:
            self._client.with_options(max_retries=1, timeout=PROBE_TIMEOUT).models.list()
        except (self._openai.APIConnectionError, self._openai.InternalServerError, self._openai.RateLimitError):
            raise EngineError(f"{self._where} is down or overloaded: {self._told(problem)}") from None
        except self._openai.OpenAIError:
            return  # it answers, if only to say that it lists no models

    def _told(self, problem: Exception) -> str:
        """What the server said, on one line and without the key."""
        words = " ".join(str(problem).split())[:300] or type(problem).__name__
        return words.replace(self._key, "…") if self._key != NO_KEY else words


def _tokens(told: object) -> int:
    """A server's count; 0 where it tells none, or nonsense."""
    return told if isinstance(told, int) and 0 < told <= MOST_TOKENS else 0


def _message(message: ChatMessage) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    pictures = [{"type": "image_url", "image_url": {"url": _data_url(picture)}} for picture in message.images]
    return {"role": message.role, "content": [*pictures, {"type": "text", "text": message.text}]}


def _data_url(picture: Picture) -> str:
    shown = io.BytesIO()
    Image.fromarray(picture).save(shown, "JPEG", quality=JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(shown.getvalue()).decode("ascii")
