"""Base of the operators that ask a chat model: vLLM in this process, or a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from operators.contract import Settings, tuning
from operators.errors import ConfigurationError, RowFailure
from operators.models.chat import ChatAnswer, ChatEngine, ChatMessage, ChatRequest, ChatResult
from operators.models.device import choose_device, choose_precision
from operators.models.files import TOKENIZER, ModelFiles
from operators.models.openai_chat import OpenAIChat
from operators.models.operator import ModelOperator, ModelSettings
from operators.models.vllm_chat import VllmChat
from operators.models.vllm_engine import VllmOptions
from operators.spending import charge

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
TEMPLATE = ("chat_template.jinja", "chat_template.json", "tokenizer_config.json")
PICTURES = ("preprocessor_config.json", "processor_config.json")

WHOLE_GPU = 0.92
"""Share of a GPU's memory that vLLM fills where it has the GPU to itself."""

OF_A_SHARE = 0.97
"""The same of a share of it: what is measured outside of vLLM's own account stays free."""

Value = TypeVar("Value")


class ChatSettings(ModelSettings):
    """Which model answers, what it is told, where it runs, and how much at once."""

    gpus: float | None = tuning(
        None, ge=0, le=64, description="GPUs of one engine; null is what the other models leave of one; none on a CPU"
    )
    batch: int = tuning(32, ge=1, le=4096, description="clips that are asked about at once by one thread")
    concurrency: int = tuning(
        8, ge=1, le=64, description="batches in flight in one engine; times batch, best twice max_num_seqs"
    )
    gpu_memory_utilization: float | None = tuning(
        None, gt=0, le=1, description="share of the GPU's memory that vLLM fills; null follows from gpus"
    )
    cpu_cache_mb: int = tuning(2048, ge=64, description="MiB of vLLM's cache where it runs on a CPU")
    max_model_len: int | None = Field(
        default=8192, ge=256, description="tokens of the longest prompt with its answer; null is the model's own limit"
    )
    max_num_seqs: int = tuning(128, ge=1, le=4096, description="requests that vLLM works on at the same time")
    tensor_parallel: int = tuning(1, ge=1, le=64, description="GPUs that one model is split over")
    compiled: bool = tuning(True, description="compile the model at the start: a minute longer, then faster")
    load_format: Literal["auto", "dummy"] = Field(
        default="auto", description="dummy takes random weights of the real size, for benchmarks"
    )
    instructions: str = Field(
        default="",
        max_length=8000,
        description="what the model is told, in place of the built-in instructions; checks stay",
    )
    endpoint: str | None = tuning(
        None, description="URL of a server with OpenAI's protocol that runs the model, such as http://host:8000/v1"
    )
    api_key_env: str = tuning("", description="environment variable that holds the endpoint's key; empty for none")


class Unusable(Exception):
    """Raised by a judge of answers: why one cannot be used, in words that the model is told."""


class ChatOperator(ModelOperator):
    """A clip operator that asks a chat model, through the seam of `operators.models.chat`.

    Subclasses build one request per clip and give them to `ask`. Thread-safe once set up.
    """

    Settings = ChatSettings
    shows_pictures: ClassVar[int] = 0
    """Most pictures in one request."""

    def __init__(self, settings: Settings | None = None, **given: Any) -> None:
        super().__init__(settings, **given)
        set_to = self.settings
        gpus = 0.0 if set_to.device == "cpu" or set_to.endpoint else set_to.gpus
        if gpus is None and set_to.tensor_parallel > 1:
            gpus = float(set_to.tensor_parallel)
        if gpus and set_to.tensor_parallel > max(1, gpus):
            raise ConfigurationError(
                f"{self.name}.tensor_parallel={set_to.tensor_parallel} needs as many GPUs; set {self.name}.gpus to it"
            )
        usual = set_to.model == type(set_to).model_fields["model"].default and not set_to.endpoint
        self.resources = replace(
            self.resources,
            gpus=gpus,
            gpu_memory_mb=self.needs.gpu_memory_mb if usual else 0,
            concurrency=set_to.concurrency,
        )
        self._chat: ChatEngine | None = None

    @property
    def gpu_memory_utilization(self) -> float:
        """Share of each GPU's memory that vLLM fills: the setting, else what `resources.gpus` gives it."""
        if self.settings.gpu_memory_utilization is not None:
            return self.settings.gpu_memory_utilization
        share = self.resources.gpus
        return WHOLE_GPU if share is None or share >= 1 or share == 0 else round(OF_A_SHARE * share, 4)

    def files(self) -> tuple[ModelFiles, ...]:
        if self.settings.endpoint:
            return ()
        weights = () if self.settings.load_format == "dummy" else (SAFETENSORS,)
        pictures = (PICTURES,) if self.shows_pictures else ()
        needs = (("config.json",), *weights, TOKENIZER, TEMPLATE, *pictures)
        return (ModelFiles(setting=f"{self.name}.model", reference=self.settings.model, needs=needs),)

    def check(self) -> None:
        if self.settings.endpoint:
            server = self._server()
            try:
                server.check()
            finally:
                server.close()
        super().check()

    def revision(self) -> str:
        """The model's; of a server only the name is known."""
        return f"{self._served}@endpoint" if self.settings.endpoint else super().revision()

    def setup(self) -> None:
        if self._chat is None:
            self._chat = self._server() if self.settings.endpoint else VllmChat(self.options())

    def options(self) -> VllmOptions:
        """How vLLM is started here. Raises `ConfigurationError` where the model's files are not to be had."""
        set_to = self.settings
        device = choose_device(set_to.device)
        [wanted] = self.files()
        return VllmOptions(
            model=self.located(wanted),
            dtype=str(choose_precision(set_to.precision, device)).removeprefix("torch."),
            gpu_memory_utilization=self.gpu_memory_utilization,
            cpu_cache_mb=set_to.cpu_cache_mb,
            max_model_len=set_to.max_model_len,
            max_num_seqs=set_to.max_num_seqs,
            tensor_parallel=set_to.tensor_parallel,
            load_format=set_to.load_format,
            compiled=set_to.compiled,
            images=self.shows_pictures,
        )

    def close(self) -> None:
        """Stop the engine."""
        if self._chat is not None:
            self._chat.close()
            self._chat = None

    def ask(
        self, requests: Sequence[ChatRequest], judge: Callable[[int, ChatAnswer], Value]
    ) -> list[Value | Unusable | RowFailure]:
        """What `judge` makes of each answer, in order.

        `judge` gets the request's place and its answer, and raises `Unusable` for one that cannot stand;
        such a request is asked once more, with the complaint, and gives the second `Unusable` if there is one.
        """
        if self._chat is None:
            raise ConfigurationError(f"{self.name} was not set up")
        results: list[Value | Unusable | RowFailure] = []
        for place, answer in enumerate(self._answers(self._chat, requests)):
            results.append(_judged(judge, place, answer))
        refused = [place for place, result in enumerate(results) if isinstance(result, Unusable)]
        if refused:
            again = [_with_complaint(requests[place], str(results[place])) for place in refused]
            for place, answer in zip(refused, self._answers(self._chat, again), strict=True):
                results[place] = _judged(judge, place, answer)
        return results

    @staticmethod
    def _answers(chat: ChatEngine, requests: Sequence[ChatRequest]) -> list[ChatResult]:
        results = chat.complete(requests)
        for answer in results:
            if isinstance(answer, ChatAnswer):
                charge("tokens_in", answer.tokens_in)
                charge("tokens_out", answer.tokens_out)
        return results

    def recover(self, problem: Exception, clips: int) -> None:
        """vLLM keeps its own memory; nothing is held between batches."""

    def __getstate__(self) -> dict[str, Any]:
        if self._chat is None:
            return dict(self.__dict__)
        raise TypeError(f"{self.name} holds a running engine and cannot be sent to another process")

    @property
    def _served(self) -> str:
        return self.settings.model.partition("@")[0]

    def _server(self) -> OpenAIChat:
        set_to = self.settings
        return OpenAIChat(
            set_to.endpoint,
            self._served,
            api_key_env=set_to.api_key_env,
            in_flight=max(1, set_to.max_num_seqs),
        )


def _judged(
    judge: Callable[[int, ChatAnswer], Value], place: int, answer: ChatAnswer | RowFailure
) -> Value | Unusable | RowFailure:
    if isinstance(answer, RowFailure):
        return answer
    try:
        return judge(place, answer)
    except Unusable as complaint:
        return complaint


def _with_complaint(request: ChatRequest, complaint: str) -> ChatRequest:
    *before, last = request.messages
    text = f"{last.text}\n\nAn earlier answer to this was refused: {complaint}. Answer again without that fault."
    return replace(request, messages=(*before, ChatMessage(role=last.role, text=text, images=last.images)))
