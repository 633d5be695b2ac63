"""A small byte-level tokenizer in the format of chat models, with its template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

END, START_TURN, END_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' or part['type'] == 'image_pil' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Turns as Qwen's models mark them."""


def chat_tokenizer(whole: Sequence[str] = ()) -> Any:
    """A fast tokenizer: 256 bytes, the tokens `whole`, the turn and vision marks, and the template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    plain = Tokenizer(models.BPE(vocab={char: number for number, char in enumerate(alphabet)}, merges=[]))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_tokens(list(whole))
    plain.add_special_tokens([END, START_TURN, END_TURN, *VISION])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token=END_TURN, pad_token=END)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """The tokenizer's files as `save_pretrained` writes them."""
    tokenizer.save_pretrained(folder)
