"""Tiny CLAP models with random weights: as transformers saves them, and as the laion-clap package's training does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SEED = 7
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def write_clap(folder: Path, *, width: int = 8, seed: int = SEED, fused: bool = False) -> Path:
    """A CLAP model, its feature extractor and its tokenizer in `folder`; the audio encoder `width` wide at its start.

    `width` 96 with `depths` as in the configuration's default is the size of laion/clap-htsat-unfused.
    """
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    torch.manual_seed(seed)
    tokenizer = roberta_tokenizer()
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 64, "max_position_embeddings": 130, "projection_dim": 16,
    }  # fmt: skip
    audio = {
        "patch_embeds_hidden_size": width, "hidden_size": 8 * width, "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2], "projection_dim": 16, "enable_fusion": fused,
        "fusion_type": "aff_2d" if fused else None, "aff_block_r": 2,
    }  # fmt: skip
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    model = ClapModel(config).eval()
    _spread(model)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder


def write_full_clap(folder: Path, *, seed: int = SEED) -> Path:
    """The architecture of laion/clap-htsat-unfused at its real size with random weights and a tokenizer of bytes."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    torch.manual_seed(seed)
    ClapModel(ClapConfig()).eval().save_pretrained(folder)
    roberta_tokenizer().save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder


def write_text_encoder(folder: Path) -> Path:
    """RoBERTa's configuration and tokenizer without weights: one thin layer, 768 wide as the package wants it."""
    from transformers import RobertaConfig

    tokenizer = roberta_tokenizer()
    config = RobertaConfig(
        vocab_size=len(tokenizer), num_hidden_layers=1, intermediate_size=32, max_position_embeddings=80
    )
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_checkpoint(path: Path, model: Any) -> Path:
    """A training checkpoint of the package's `model`: with a prefix, an optimizer and numpy's numbers."""
    import numpy as np
    import torch

    weights = {f"module.{name}": value for name, value in model.state_dict().items()}
    weights["module.text_branch.embeddings.position_ids"] = torch.arange(80)[None]
    torch.save({"epoch": 1, "name": "tiny", "best": np.float64(0.5), "state_dict": weights, "optimizer": {}}, path)
    return path


def roberta_tokenizer() -> Any:
    """RoBERTa's byte-level tokenizer with a vocabulary of the bytes alone."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import RobertaTokenizer

    letters = sorted(ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIALS, *letters])}
    return RobertaTokenizer(vocab=vocabulary, merges=[])


def _spread(model: Any) -> None:
    """Larger weights than at the start of training, or every sound and sentence would get the same embedding."""
    import torch

    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(4)
