"""A tiny Qwen2-VL: a vision-language model in the real format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tiny.chat_tokenizer import TEMPLATE, chat_tokenizer, recited_numbers
from tests.tiny.llama import SPREAD, recite, recited_tokens

SEED = 21


def write_qwen2_vl(
    folder: Path,
    *,
    hidden: int = 64,
    layers: int = 2,
    context: int = 4096,
    sight: int = 64,
    recited: str | None = None,
) -> Path:
    """A Qwen2-VL with random weights, its processor, tokenizer and template, in `folder`; heads of 32.

    `sight` is the width of the vision tower. With `recited` it answers every prompt with that text, whatever it is
    shown.
    """
    import torch

    torch.manual_seed(SEED)
    words = recited_tokens(recited) if recited else []
    tokenizer = chat_tokenizer(words)
    model = _model(tokenizer, 512 if recited else hidden, layers, context, sight)
    if recited:
        recite(model, recited_numbers(tokenizer, words))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _processor(tokenizer).save_pretrained(folder)
    return folder


def _model(tokenizer: Any, hidden: int, layers: int, context: int, sight: int) -> Any:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    head = 32
    number = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": -(-len(tokenizer) // 64) * 64, "hidden_size": hidden, "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers, "num_attention_heads": hidden // head, "num_key_value_heads": hidden // head,
        "max_position_embeddings": context, "tie_word_embeddings": False, "use_sliding_window": False,
        "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [4, 6, 6]},
        "bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "initializer_range": SPREAD,
    }  # fmt: skip
    vision = {
        "depth": 1, "embed_dim": sight, "num_heads": sight // head, "mlp_ratio": 2, "hidden_size": hidden,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    }  # fmt: skip
    config = Qwen2VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False,
        image_token_id=number("<|image_pad|>"), video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"),
    )  # fmt: skip
    return Qwen2VLForConditionalGeneration(config).eval()


def _processor(tokenizer: Any) -> Any:
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(), video_processor=Qwen2VLVideoProcessor(), tokenizer=tokenizer,
        chat_template=TEMPLATE,
    )  # fmt: skip
