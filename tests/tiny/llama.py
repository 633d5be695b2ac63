"""A tiny Llama: random weights, or weights that recite one text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.tiny.chat_tokenizer import chat_tokenizer, recited_numbers

SEED = 20
SPREAD = 0.3  # of random weights, wide enough for answers to hang on every word of the prompt


def write_llama(folder: Path, *, hidden: int = 64, layers: int = 2, context: int = 2048, seed: int = SEED) -> Path:
    """A Llama with random weights, its tokenizer and chat template, in `folder`; heads of 32."""
    import torch

    torch.manual_seed(seed)
    tokenizer = chat_tokenizer()
    _save(folder, _llama(tokenizer, hidden, layers, context), tokenizer)
    return folder


def write_reciting_llama(folder: Path, text: str, *, context: int = 4096) -> Path:
    """A Llama that answers every prompt with `text` and then ends its turn.

    Each token of the text occurs once; attention and feed-forward add nothing, and the output layer
    holds, in the row of each token, the embedding of the one before.
    """
    import torch

    words = recited_tokens(text)
    tokenizer = chat_tokenizer(words)
    model = _llama(tokenizer, hidden=512, layers=1, context=context)
    torch.manual_seed(SEED)
    recite(model, recited_numbers(tokenizer, words))
    _save(folder, model, tokenizer)
    return folder


def recited_tokens(text: str) -> list[str]:
    """The text in pieces of a few words, all different, that a tokenizer keeps whole."""
    words = text.split(" ")
    size = next(
        size for size in range(2, len(words) + 1) if len(set(_pieces(words, size))) == len(_pieces(words, size))
    )
    return _pieces(words, size)


def recite(model: Any, numbers: list[int]) -> None:
    """Make a causal language model follow each token of `numbers` by the next."""
    import torch

    state = model.state_dict()
    with torch.no_grad():
        for name, weight in state.items():
            if name.endswith(("o_proj.weight", "down_proj.weight")) and "visual" not in name:
                weight.zero_()
        embedding = model.get_input_embeddings().weight
        output = model.get_output_embeddings().weight
        embedding.normal_()
        output.zero_()
        for before, after in pairwise(numbers):
            output[after] = embedding[before]


def _pieces(words: list[str], size: int) -> list[str]:
    cut = [" ".join(words[start : start + size]) for start in range(0, len(words), size)]
    return [piece if number == 0 else " " + piece for number, piece in enumerate(cut)]


def _llama(tokenizer: Any, hidden: int, layers: int, context: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=-(-len(tokenizer) // 64) * 64, hidden_size=hidden, intermediate_size=2 * hidden,
        num_hidden_layers=layers, num_attention_heads=hidden // 32, num_key_value_heads=hidden // 32,
        max_position_embeddings=context, tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, bos_token_id=None, initializer_range=SPREAD,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def _save(folder: Path, model: Any, tokenizer: Any) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
