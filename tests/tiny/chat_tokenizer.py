"""A small byte-level tokenizer in the format of chat models, with its template."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A fast tokenizer: 256 bytes, turn and vision marks, the template.

    The texts `whole` are tokens too, from number 256 on; only a model writes them, prompts are read by bytes.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    written = [byte_level.pre_tokenize_str(text)[0][0] for text in whole]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *written]
    plain = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=[]))
    plain.pre_tokenizer = byte_level
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens([END, START_TURN, END_TURN, *VISION])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token=END_TURN, pad_token=END)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def recited_numbers(tokenizer: Any, whole: Sequence[str]) -> list[int]:
    """The numbers of the line break before an answer, of the texts `whole`, and of the turn's end."""
    first = 256
    line_break, end = tokenizer.convert_tokens_to_ids(["Ċ", END_TURN])
    return [line_break, *range(first, first + len(whole)), end]
