"""Image captioners with random weights: BLIP in the files of Salesforce/blip-image-captioning-base, and GIT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = """a an the of in on with and man woman child dog car street house tree sea sky night day red blue green
white black old young small large standing sitting running holding looking room table city water light"""
MEAN, DEVIATION = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


def write_blip(
    folder: Path,
    *,
    side: int = 64,
    width: int = 32,
    layers: int = 2,
    heads: int = 2,
    seed: int = 0,
    pickled: bool = False,
) -> Path:
    """Writes config, weights, image processor and tokenizer; `side` in px. Gives the folder.

    `pickled` stores the weights as pytorch_model.bin, as the real repository does.
    """
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    tokenizer = _tokenizer(folder, ("[DEC]", "[ENC]"))
    tokenizer.save_pretrained(folder)
    shape: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
    shape |= {"num_attention_heads": heads}
    marks = {
        "bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"),
        "eos_token_id": tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    model = BlipForConditionalGeneration(
        BlipConfig(
            text_config={**shape, **marks, "vocab_size": len(tokenizer), "encoder_hidden_size": width},
            vision_config={**shape, "image_size": side, "patch_size": 16, "initializer_range": 0.02},
        )
    )
    _speak_freely(model)
    model.save_pretrained(folder)
    if pickled:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    processor = {"image_processor_type": "BlipImageProcessor", "size": {"height": side, "width": side}}
    return _with_processor(folder, processor)


def write_git(folder: Path, *, side: int = 64, width: int = 32, seed: int = 0) -> Path:
    """A GIT captioner, in the files of microsoft/git-base-coco."""
    import torch
    from transformers import GitConfig, GitForCausalLM

    tokenizer = _tokenizer(folder, ())
    tokenizer.save_pretrained(folder)
    shape: dict[str, Any] = {"hidden_size": width, "intermediate_size": 4 * width}
    shape |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    marks: dict[str, Any] = {"bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id}
    marks["pad_token_id"] = tokenizer.pad_token_id
    torch.manual_seed(seed)
    config = GitConfig(
        vision_config={**shape, "image_size": side, "patch_size": 16},
        **shape,
        **marks,
        vocab_size=len(tokenizer),
    )
    model = GitForCausalLM(config)
    _speak_freely(model)
    model.save_pretrained(folder)
    processor = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": side}}
    return _with_processor(folder, {**processor, "do_center_crop": True, "crop_size": {"height": side, "width": side}})


def _tokenizer(folder: Path, more: tuple[str, ...]):
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()]
    tokenizer = BertTokenizer(vocab={token: number for number, token in enumerate(tokens)})
    if more:
        tokenizer.add_special_tokens({"additional_special_tokens": list(more)})
    return tokenizer


def _with_processor(folder: Path, settings: dict[str, object]) -> Path:
    common = {"do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255, "resample": 3}
    common |= {"image_mean": MEAN, "image_std": DEVIATION}
    (folder / "preprocessor_config.json").write_text(json.dumps({**common, **settings}))
    return folder


def _speak_freely(model: Any) -> None:
    """Larger weights, so that words depend on the picture and no two words are nearly as likely."""
    import torch

    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim >= 2 and "embed" not in name:
                weight.mul_(8)
