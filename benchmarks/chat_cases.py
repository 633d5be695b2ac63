"""The operators that ask a chat model, and vLLM's own offline `chat` on the same prompts, which is their limit.

Both engines are up at the same time with the same share of the GPU, so that their rounds can take turns.
Random weights give no usable answer, and write until they are cut off. So every answer stands, as with a model
that does as it is told, and ends after as many tokens as such a model writes: one request a clip on both sides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import model_weights
from benchmarks.model_cases import Case
from benchmarks.model_weights import Size
from operators.contract import Row
from operators.errors import RowFailure, RushesError
from operators.language.fused import ModelFusion
from operators.language.prompts import data, fusion, scene
from operators.language.scene import SceneCaption
from operators.models.chat import ChatAnswer, ChatRequest
from operators.models.chat_operator import ChatOperator, Unusable
from operators.models.vllm_engine import SHUTDOWN_SECONDS, import_vllm

SHARE = 0.45
"""Of the GPU's memory, for each of the two engines."""

TOKENS: Mapping[Size, int] = {"tiny": 32, "real": 160}
"""Of an answer: about 110 words in the real case."""

TINY_SIDE = 224
"""Longer side in pixels of a picture that the tiny model is shown."""


class AskedOnce(ChatOperator):
    """Every answer is judged, and stands whatever the judge says. `asked` collects what was asked."""

    tokens: int
    asked: list[ChatRequest]

    def ask(
        self, requests: Sequence[ChatRequest], judge: Callable[[int, ChatAnswer], Any]
    ) -> list[Any | Unusable | RowFailure]:
        shorter = [replace(request, max_tokens=self.tokens) for request in requests]
        self.asked.extend(shorter)

        def lenient(place: int, answer: ChatAnswer) -> Row:
            with contextlib.suppress(Unusable):
                return judge(place, answer)
            return {}

        return super().ask(shorter, lenient)


class SceneOnce(AskedOnce, SceneCaption):
    """`SceneCaption` whose answers stand."""


class FusionOnce(AskedOnce, ModelFusion):
    """`ModelFusion` whose answers stand."""


class ChatCase(Case):
    """An engine of the operator's, and vLLM's offline engine with the same options."""

    limit_is = "vllm.LLM.chat on the same prompts at once"

    def __init__(self, folder: Path, size: Size, device: str, settings: Mapping[str, Any]) -> None:
        dummy = {"load_format": "dummy"} if size == "real" else {}
        shared = {"gpu_memory_utilization": SHARE, "compiled": device != "cpu", **dummy}
        super().__init__(folder, size, device, {**shared, **settings})
        self.operator.tokens, self.operator.asked = TOKENS[size], []
        self._llm: Any = None
        self._prompts: list[Any] = []

    def annotate(self, rows: Sequence[Row]) -> list[Row]:
        self.operator.asked.clear()
        found = super().annotate(rows)
        if len(self.operator.asked) != len(rows):
            raise RushesError(f"{len(self.operator.asked)} requests for {len(rows)} clips")
        return found

    def prepare(self, rows: Sequence[Row]) -> None:
        self._prompts = [_conversation(request) for request in self.operator.asked]
        self._sampling = [_sampling(request) for request in self.operator.asked]
        self._llm = import_vllm().LLM(**self._arguments())

    def limit(self) -> None:
        self._found = self._llm.chat(self._prompts, self._sampling, use_tqdm=False)

    def flops(self) -> float:
        """2 × parameters × tokens, prompt and answer; the vision tower's own for each of its patches."""
        language, vision, image_token, merged = self.parameters()
        read = [token for output in self._found for token in output.prompt_token_ids]
        written = sum(len(output.outputs[0].token_ids) for output in self._found)
        return 2.0 * (language * (len(read) + written) + vision * merged * read.count(image_token))

    def fresh(self) -> None:
        engine = self.operator._chat.engine
        asyncio.run_coroutine_threadsafe(engine._llm.reset_prefix_cache(), engine._loop).result()
        if self._llm is not None:
            self._llm.reset_prefix_cache()

    def close(self) -> None:
        self.operator.close()
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown(timeout=SHUTDOWN_SECONDS)

    def _arguments(self) -> dict[str, Any]:
        """What `operators.models.vllm_engine` starts its engine with."""
        from vllm.platforms import current_platform

        options = self.operator.options()
        arguments: dict[str, Any] = {
            "model": str(options.model), "dtype": options.dtype, "max_model_len": options.max_model_len,
            "gpu_memory_utilization": options.gpu_memory_utilization, "max_num_seqs": options.max_num_seqs,
            "tensor_parallel_size": options.tensor_parallel, "load_format": options.load_format,
            "enforce_eager": not options.compiled, "seed": 0, "generation_config": "vllm",
            "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
        }  # fmt: skip
        if current_platform.is_cpu():
            arguments["kv_cache_memory_bytes"] = options.cpu_cache_mb << 20
        if options.images:
            arguments["limit_mm_per_prompt"] = {"image": options.images, "video": 0}
            arguments["mm_processor_cache_gb"] = 0
        return arguments

    def parameters(self) -> tuple[int, int, int | None, int]:
        """Parameters of the language model and of the vision tower, its token, and patches to a token."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

        config: Any = AutoConfig.from_pretrained(self.operator.settings.model)
        kind: Any = AutoModelForImageTextToText if self.operator.shows_pictures else AutoModelForCausalLM
        with torch.device("meta"):
            model = kind.from_config(config)
        vision = sum(weight.numel() for name, weight in model.named_parameters() if "visual" in name)
        language = sum(weight.numel() for weight in model.parameters()) - vision
        if not self.operator.shows_pictures:
            return language, 0, None, 0
        return language, vision, config.image_token_id, config.vision_config.spatial_merge_size**2


class CaptionCase(ChatCase):
    """Three keyframes in one request to a vision-language model."""

    kind = SceneOnce
    column = "caption"

    def models(self, folder: Path) -> dict[str, Any]:
        texts = [scene.INSTRUCTIONS, data.NOTICE]
        small = {"image_side": TINY_SIDE} if self.size == "tiny" else {}
        return {"model": str(model_weights.qwen2_vl(folder / "qwen2-vl", self.size, texts)), **small}


class FusionCase(ChatCase):
    """Facts of picture, music and speech in one request to a language model."""

    kind = FusionOnce
    column = "merge_caption"
    spoken = True

    def models(self, folder: Path) -> dict[str, Any]:
        return {"model": str(model_weights.qwen3(folder / "qwen3", self.size, [fusion.INSTRUCTIONS, data.NOTICE]))}


def _conversation(request: ChatRequest) -> list[dict[str, Any]]:
    """Messages as `LLM.chat` takes them."""
    messages = []
    for message in request.messages:
        pictures = [{"type": "image_pil", "image_pil": Image.fromarray(picture)} for picture in message.images]
        content = [*pictures, {"type": "text", "text": message.text}] if pictures else message.text
        messages.append({"role": message.role, "content": content})
    return messages


def _sampling(request: ChatRequest) -> Any:
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

    guided = StructuredOutputsParams(json=dict(request.schema)) if request.schema is not None else None
    return SamplingParams(
        temperature=0.0, max_tokens=request.max_tokens, seed=request.seed, structured_outputs=guided,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )  # fmt: skip
