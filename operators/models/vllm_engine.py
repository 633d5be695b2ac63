"""One vLLM engine: its processes, and an event loop in a thread that many threads hand requests to.

vLLM 0.29 (V1). Its asynchronous engine batches whatever requests it holds, token by token, so that it
stays full as long as enough threads ask.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from operators.errors import EngineError, ErrorKind, MissingExtra, RowFailure
from operators.models.chat import ChatAnswer, ChatRequest, ChatResult
from operators.models.leash import Leash

ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # or it reports to its makers
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # forks of a process with threads may hang, and carry no leash
}
DEFAULTS = {
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # bound threads of two engines fight for the same cores
    "TOKENIZERS_PARALLELISM": "false",
}
LOOK = 1.0  # s between two looks at whether the engine still answers
SHUTDOWN_SECONDS = 5.0  # that the processes have to end by themselves
DEATH_SECONDS = 30.0  # from the kill of an engine to its last error


@dataclass(frozen=True, kw_only=True)
class VllmOptions:
    """How vLLM is started.

    `gpu_memory_utilization` is the share of a GPU's memory that it fills, weights and cache together;
    `cpu_cache_mb` the size of the cache on a CPU. `images` is the most pictures in one prompt.
    `load_format="dummy"` gives random weights of the real size. Without `compiled` the model starts sooner
    and runs slower. `patience` is the time in seconds
    without any answer after which the engine counts as dead.
    """

    model: Path
    dtype: str = "auto"
    gpu_memory_utilization: float = 0.9
    cpu_cache_mb: int = 1024
    max_model_len: int | None = None
    max_num_seqs: int = 128
    tensor_parallel: int = 1
    load_format: str = "auto"
    compiled: bool = True
    images: int = 0
    patience: float = 600.0


def import_vllm() -> Any:
    """vLLM, or `MissingExtra`."""
    os.environ.update(ENVIRONMENT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    with _no_warnings():
        try:
            import vllm
            import vllm.v1.engine.async_llm
        except ImportError as problem:
            raise MissingExtra("vllm", "vllm") from problem
    return vllm


@contextmanager
def _no_warnings() -> Iterator[None]:
    """vLLM and what it imports use what they deprecate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class VllmEngine:
    """A running engine. Raises `EngineError` where it does not start."""

    def __init__(self, options: VllmOptions) -> None:
        import_vllm()
        self.options = options
        self._numbers = itertools.count()
        self._answered = time.monotonic()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True)
        self._thread.start()
        try:
            with _no_warnings():
                self._llm: Any = asyncio.run_coroutine_threadsafe(_started(options), self._loop).result()
        except Exception as problem:
            self._end_loop()
            raise EngineError(
                f"vLLM did not start with {options.model.name} ({_first_line(problem)}); its own lines above name the "
                "cause. Most often memory is short: lower gpu_memory_utilization, max_model_len or max_num_seqs"
            ) from problem

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult | None]:
        """One result per request, in order; None for those without an answer when the engine died."""
        self._answered = max(self._answered, time.monotonic())
        waiting = asyncio.run_coroutine_threadsafe(self._all(requests), self._loop)
        while not waiting.done():
            wait([waiting], timeout=LOOK)
            if time.monotonic() - self._answered > self.options.patience:
                self._kill()
                wait([waiting], timeout=DEATH_SECONDS)
                if not waiting.done():
                    waiting.cancel()
                    return [None] * len(requests)
        return waiting.result()

    @property
    def dead(self) -> bool:
        """Whether it can answer no more."""
        return self._closed or bool(self._llm.errored)

    def close(self) -> None:
        """Stop the engine's processes and the thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self._llm.shutdown(timeout=SHUTDOWN_SECONDS)
        finally:
            self._end_loop()
            self._llm.engine_core.resources.ctx.destroy(linger=0)  # vLLM leaves it to the garbage collector

    def processes(self) -> list[int]:
        """Process ids of the engine's direct children."""
        manager = self._llm.engine_core.resources.engine_manager
        return [process.pid for process in manager.processes] if manager else []

    async def _all(self, requests: Sequence[ChatRequest]) -> list[ChatResult | None]:
        return list(await asyncio.gather(*map(self._one, requests)))

    async def _one(self, request: ChatRequest) -> ChatResult | None:
        try:
            result: ChatResult | None = await self._asked(request)
        except RowFailure as problem:
            result = problem
        except Exception as problem:
            result = self._failure(problem)
        if result is not None:
            self._answered = time.monotonic()
        return result

    async def _asked(self, request: ChatRequest) -> ChatAnswer:
        number = str(next(self._numbers))
        prompt = await self._rendered(request)
        final = None
        async for output in self._llm.generate(prompt, _sampling(request), number):
            final = output
        if final is None or final.request_id != number or list(final.prompt_token_ids) != prompt["prompt_token_ids"]:
            raise RowFailure(ErrorKind.BAD_OUTPUT, "vLLM gave the answer to another prompt")
        [answer] = final.outputs
        return ChatAnswer(
            text=answer.text,
            whole=answer.finish_reason == "stop",
            tokens_in=len(final.prompt_token_ids),
            tokens_out=len(answer.token_ids),
        )

    async def _rendered(self, request: ChatRequest) -> Any:
        """The prompt through the model's own chat template, tokenized, with its pictures prepared."""
        from vllm.renderers.params import ChatParams

        _, [prompt] = await self._llm.renderer.render_chat_async(
            [_conversation(request)],
            ChatParams(chat_template_kwargs={"add_generation_prompt": True, "tokenize": False}),
        )
        return prompt

    def _failure(self, problem: Exception) -> RowFailure | None:
        """What an exception means for its request; None where the engine is dead."""
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        if isinstance(problem, EngineDeadError) or self.dead:
            return None
        if isinstance(problem, VLLMClientError | ValueError):
            return RowFailure(ErrorKind.REFUSED, f"vLLM refused the request: {_first_line(problem)}")
        return RowFailure(ErrorKind.MODEL, f"vLLM: {type(problem).__name__}: {_first_line(problem)}")

    def _kill(self) -> None:
        manager = self._llm.engine_core.resources.engine_manager
        for process in manager.processes if manager else ():
            process.kill()

    def _end_loop(self) -> None:
        asyncio.run_coroutine_threadsafe(_drained(), self._loop).result(DEATH_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEATH_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()


async def _started(options: VllmOptions) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.platforms import current_platform
    from vllm.v1.engine.async_llm import AsyncLLM
    from vllm.v1.executor import Executor
    from vllm.v1.executor.uniproc_executor import UniProcExecutor

    beside: dict[str, Any] = {}
    if current_platform.is_cpu():
        beside["kv_cache_memory_bytes"] = options.cpu_cache_mb << 20
    if options.images:
        beside["limit_mm_per_prompt"] = {"image": options.images, "video": 0}
        beside["mm_processor_cache_gb"] = 0  # every clip's pictures come once
    arguments = AsyncEngineArgs(
        model=str(options.model),
        dtype=options.dtype,  # type: ignore[arg-type]
        gpu_memory_utilization=options.gpu_memory_utilization,
        max_model_len=options.max_model_len,  # type: ignore[arg-type]
        max_num_seqs=options.max_num_seqs,
        tensor_parallel_size=options.tensor_parallel,
        load_format=options.load_format,
        enforce_eager=not options.compiled,
        seed=0,
        generation_config="vllm",  # sampling is this project's, not the checkpoint's
        structured_outputs_config={"backend": "xgrammar", "disable_any_whitespace": True},  # type: ignore[arg-type]
        trust_remote_code=False,
        enable_log_requests=False,
        disable_log_stats=True,
        **beside,
    )
    config = arguments.create_engine_config()
    config.additional_config = Leash()
    if current_platform.is_cpu() and options.tensor_parallel == 1:
        executor: Any = UniProcExecutor  # as on a GPU; vLLM's choice is one more process, to bind threads in
    else:
        executor = Executor.get_class(config)
    return AsyncLLM(config, executor, log_stats=False, log_requests=False)


async def _drained() -> None:
    """Let the tasks that vLLM cancelled come to their end."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _sampling(request: ChatRequest) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    guided = StructuredOutputsParams(json=dict(request.schema)) if request.schema is not None else None
    return SamplingParams(
        temperature=0.0,
        max_tokens=request.max_tokens,
        seed=request.seed,
        structured_outputs=guided,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _conversation(request: ChatRequest) -> list[Any]:
    return [
        {
            "role": message.role,
            "content": [
                *({"type": "image_pil", "image_pil": Image.fromarray(picture)} for picture in message.images),
                {"type": "text", "text": message.text},
            ]
            if message.images
            else message.text,
        }
        for message in request.messages
    ]


def _first_line(problem: BaseException) -> str:
    return (str(problem).strip().split("\n")[0] or type(problem).__name__)[:300]
