"""Running engines that several test files share: each takes half a minute to start."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from operators.models.vllm_chat import VllmChat

CONTEXT = 8192  # tokens, which are bytes here: the longest prompts have 4,000


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Llama with random weights."""
    pytest.importorskip("transformers", reason="the models extra is not installed")
    from tests.tiny.llama import write_llama

    return write_llama(tmp_path_factory.mktemp("llama"), context=CONTEXT)


@pytest.fixture(scope="session")
def tiny_qwen2_vl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Qwen2-VL with random weights."""
    pytest.importorskip("transformers", reason="the models extra is not installed")
    from tests.tiny.qwen2_vl import write_qwen2_vl

    return write_qwen2_vl(tmp_path_factory.mktemp("qwen2_vl"), context=CONTEXT, sight=128)


@pytest.fixture(scope="session")
def llama_chat(tiny_llama: Path) -> Iterator[VllmChat]:
    """The real vLLM engine with the tiny Llama."""
    yield from _running(tiny_llama, images=0)


@pytest.fixture(scope="session")
def qwen2_vl_chat(tiny_qwen2_vl: Path) -> Iterator[VllmChat]:
    """The real vLLM engine with the tiny Qwen2-VL."""
    yield from _running(tiny_qwen2_vl, images=3)


def _running(model: Path, images: int) -> Iterator[VllmChat]:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    from operators.models.vllm_chat import VllmChat
    from operators.models.vllm_engine import VllmOptions

    chat = VllmChat(
        VllmOptions(
            model=model,
            dtype="float32",
            max_model_len=CONTEXT,
            max_num_seqs=32,
            cpu_cache_mb=256,
            compiled=False,
            images=images,
        )
    )
    yield chat
    chat.close()
