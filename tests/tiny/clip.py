"""CLIP with random weights, in the files of openai/clip-vit-large-patch14."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATCH = 16
CLIP_PREPROCESSOR = {
    "crop_size": 224,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 224,
}
"""The keys that OpenAI's checkpoints have, older than today's image processors."""


def write_clip(
    folder: Path,
    *,
    side: int = 64,
    patch: int = PATCH,
    width: int = 32,
    layers: int = 2,
    heads: int = 2,
    projection: int = 24,
    seed: int = 0,
) -> Path:
    """Writes config, weights, image processor and tokenizer; `side` and `patch` in px. Gives the folder."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    tokenizer = CLIPTokenizer(vocab=_vocabulary(), merges=[])
    shape: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    shape |= {"num_attention_heads": heads, "projection_dim": projection}
    words: dict[str, Any] = {"vocab_size": len(tokenizer), "max_position_embeddings": 77}
    special: dict[str, Any] = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(seed)
    config = CLIPConfig(
        text_config={**shape, **words, **special, "pad_token_id": tokenizer.pad_token_id},
        vision_config={**shape, "image_size": side, "patch_size": patch},
        projection_dim=projection,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    preprocessor = {**CLIP_PREPROCESSOR, "size": side, "crop_size": side}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def _vocabulary() -> dict[str, int]:
    """CLIP's byte-level alphabet without merges: every byte, every byte at a word's end, and the two marks."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    spare = [chr(256 + n) for n in range(256 - len(printable))]
    letters = [*map(chr, printable), *spare]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}
