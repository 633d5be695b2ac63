"""Tiny Whisper checkpoints in OpenAI's own format: random weights, or weights that recite one text."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

SEED = 11
VOCABULARY = {True: 51865, False: 51864}  # with and without languages
RELEASED = {"tiny": (384, 6, 4), "base": (512, 8, 6), "small": (768, 12, 12), "medium": (1024, 16, 24)}
"""State, heads and layers of the releases, for benchmarks."""


def write_whisper(
    path: Path, *, state: int = 32, heads: int = 2, layers: int = 1, words: int = 48, multilingual: bool = True,
    seed: int = SEED,
) -> Path:  # fmt: skip
    """A checkpoint of this size at `path` (a .pt file); `words` tokens of context, half of them decoded at most."""
    import torch

    torch.manual_seed(seed)
    model = _whisper(state, heads, layers, words, multilingual)
    with torch.no_grad():
        model.decoder.positional_embedding.normal_()
    return _save(path, model)


def write_reciting_whisper(
    path: Path, text: str, *, language: str = "en", sure: float = 3.0, silence: float = 0.0, multilingual: bool = True
) -> Path:
    """A checkpoint that hears `text` in `language` in every window.

    Attention and feed-forward add nothing to the decoder, so that its output is known by the position alone,
    a direction of its own for each; a token's row of the embedding holds the directions where it is due.
    `sure` scales these: at 3 the tokens are as good as certain, at 0 all are alike. `silence` does the same
    for the mark of no speech.
    """
    import torch

    torch.manual_seed(SEED)
    tokenizer = whisper_tokenizer(language, multilingual=multilingual)
    opening = list(tokenizer.sot_sequence_including_notimestamps)
    due = [*opening[1:], *tokenizer.encode(" " + text), tokenizer.eot]
    words = max(64, 2 * len(due))
    model = _whisper(words, 2, 1, words, multilingual)
    with torch.no_grad():
        for block in model.decoder.blocks:
            for part in (block.attn.out, block.cross_attn.out, block.mlp[2]):
                part.weight.zero_()
                part.bias.zero_()
        model.decoder.positional_embedding.copy_(1000 * torch.eye(words))
        model.decoder.ln.bias.fill_((words - 1) ** -0.5)  # what the norm takes off the other directions
        tokens = model.decoder.token_embedding.weight
        tokens.zero_()
        for position in range(words):
            token = due[min(position, len(due) - 1)]
            tokens[token, position] += sure
        tokens[tokenizer.no_speech, 0] += silence
    return _save(path, model)


def whisper_tokenizer(language: str, *, multilingual: bool = True) -> Any:
    """The package's tokenizer; it leaves the file of its vocabulary open, without a warning here."""
    from whisper.tokenizer import get_tokenizer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        return get_tokenizer(multilingual, num_languages=99, language=language, task="transcribe")


def _whisper(state: int, heads: int, layers: int, words: int, multilingual: bool) -> Any:
    from whisper.model import ModelDimensions, Whisper

    dims = ModelDimensions(
        n_mels=80, n_audio_ctx=1500, n_audio_state=state, n_audio_head=heads, n_audio_layer=layers,
        n_vocab=VOCABULARY[multilingual], n_text_ctx=words, n_text_state=state, n_text_head=heads, n_text_layer=layers,
    )  # fmt: skip
    return Whisper(dims)


def _save(path: Path, model: Any) -> Path:
    import torch

    torch.save({"dims": vars(model.dims), "model_state_dict": model.state_dict()}, path)
    return path
