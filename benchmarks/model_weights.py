"""Checkpoints with random weights, tiny or with the numbers of the published architectures.

Tiny ones are those of the tests. Real ones differ from the released in three ways: the weights are random, the
tokenizers know few words (the models keep their vocabulary's size), and Whisper's context is 128 tokens
and not 448, so that a window's text ends after 64 tokens, more than people say in 15 s: random weights never end one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tests.tiny.blip import write_blip
from tests.tiny.chat_tokenizer import END, END_TURN, START_TURN, TEMPLATE, VISION
from tests.tiny.clap import roberta_tokenizer, write_clap, write_full_clap
from tests.tiny.clip import write_clip
from tests.tiny.llama import write_llama
from tests.tiny.qwen2_vl import write_qwen2_vl
from tests.tiny.whisper import write_whisper

Size = Literal["tiny", "real"]

QWEN_VOCABULARY = 151_936
BLIP_VOCABULARY = 30_524
BLIP_SIDE = 384  # px
MERGES = 2000  # of the chat tokenizer: about four characters a token in English, as Qwen's own

CLIP_L14 = {"side": 224, "patch": 14, "width": 1024, "layers": 24, "heads": 16, "projection": 768}
"""The vision tower of openai/clip-vit-large-patch14; the text tower, which reads the prompts once, is as large."""

WHISPER_SMALL: dict[str, Any] = {"state": 768, "heads": 12, "layers": 12, "words": 128}

MUSIC_TOWER = {"patch_embeds_hidden_size": 128, "hidden_size": 1024, "depths": [2, 2, 12, 2]}
"""The audio tower of laion/larger_clap_music_and_speech."""

QWEN2_VL_2B: dict[str, Any] = {
    "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
    "num_key_value_heads": 2, "max_position_embeddings": 32_768, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    "rope_scaling": {"type": "mrope", "rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
    "vocab_size": QWEN_VOCABULARY, "use_sliding_window": False, "tie_word_embeddings": True,
}  # fmt: skip
QWEN2_VL_VISION: dict[str, Any] = {
    "depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4, "hidden_size": 1536, "patch_size": 14,
    "spatial_merge_size": 2, "temporal_patch_size": 2,
}  # fmt: skip
QWEN3_4B: dict[str, Any] = {
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262_144, "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e6}, "vocab_size": QWEN_VOCABULARY,
    "tie_word_embeddings": True, "attention_bias": False,
}  # fmt: skip


def clip(folder: Path, size: Size) -> Path:
    """CLIP ViT-L/14."""
    return write_clip(folder, **(CLIP_L14 if size == "real" else {}))


def blip(folder: Path, size: Size) -> Path:
    """BLIP base for captions."""
    write_blip(folder)
    if size == "tiny":
        return folder
    import torch
    from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration

    known = BertTokenizer.from_pretrained(folder)
    vocabulary = known.get_vocab()
    vocabulary |= {f"[unused{number}]": number for number in range(len(vocabulary), BLIP_VOCABULARY)}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    marks = {name: getattr(BlipConfig.from_pretrained(folder).text_config, name) for name in _MARKS}
    torch.manual_seed(0)
    config = BlipConfig(
        text_config={"vocab_size": BLIP_VOCABULARY, "num_attention_heads": 12, "encoder_hidden_size": 768, **marks},
        vision_config={"image_size": BLIP_SIDE, "patch_size": 16},
    )
    BlipForConditionalGeneration(config).save_pretrained(folder)
    path = folder / "preprocessor_config.json"
    processor = json.loads(path.read_text())
    path.write_text(json.dumps({**processor, "size": {"height": BLIP_SIDE, "width": BLIP_SIDE}}))
    return folder


_MARKS = ("bos_token_id", "eos_token_id", "sep_token_id", "pad_token_id")


def clap(folder: Path, size: Size) -> Path:
    """CLAP htsat-unfused."""
    return write_full_clap(folder) if size == "real" else write_clap(folder)


def music_clap(folder: Path, size: Size) -> Path:
    """The larger CLAP for music and speech."""
    if size == "tiny":
        return write_clap(folder)
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    torch.manual_seed(1)
    ClapModel(ClapConfig(audio_config=MUSIC_TOWER)).eval().save_pretrained(folder)
    roberta_tokenizer().save_pretrained(folder)
    ClapFeatureExtractor(truncation="rand_trunc").save_pretrained(folder)
    return folder


def whisper(folder: Path, size: Size) -> Path:
    """Whisper small."""
    folder.mkdir(parents=True, exist_ok=True)
    if size == "tiny":
        return write_whisper(folder / "whisper.pt")
    return write_whisper(folder / "whisper.pt", **WHISPER_SMALL)


def qwen2_vl(folder: Path, size: Size, texts: Sequence[str]) -> Path:
    """Qwen2-VL-2B: configuration and processor where it is real, for vLLM's dummy weights."""
    if size == "tiny":
        return write_qwen2_vl(folder, context=8192)
    from transformers import Qwen2VLConfig, Qwen2VLImageProcessor, Qwen2VLProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    tokenizer = trained_tokenizer(texts)
    number = tokenizer.convert_tokens_to_ids
    config = Qwen2VLConfig(
        text_config={**QWEN2_VL_2B, **_ends(tokenizer)}, vision_config=QWEN2_VL_VISION, tie_word_embeddings=True,
        image_token_id=number("<|image_pad|>"), video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"), vision_end_token_id=number("<|vision_end|>"),
        architectures=["Qwen2VLForConditionalGeneration"], dtype="bfloat16",
    )  # fmt: skip
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(), video_processor=Qwen2VLVideoProcessor(), tokenizer=tokenizer,
        chat_template=TEMPLATE,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def qwen3(folder: Path, size: Size, texts: Sequence[str]) -> Path:
    """Qwen3-4B; the tiny one is a Llama."""
    if size == "tiny":
        return write_llama(folder, context=8192)
    from transformers import Qwen3Config

    tokenizer = trained_tokenizer(texts)
    config = Qwen3Config(**QWEN3_4B, **_ends(tokenizer), architectures=["Qwen3ForCausalLM"], dtype="bfloat16")
    config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def trained_tokenizer(texts: Sequence[str]) -> Any:
    """A byte-level tokenizer with Qwen's marks and template, its merges learned from `texts`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    plain.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=MERGES, initial_alphabet=alphabet, show_progress=False)
    )
    plain.add_special_tokens([END, START_TURN, END_TURN, *VISION])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, eos_token=END_TURN, pad_token=END)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _ends(tokenizer: Any) -> dict[str, Any]:
    return {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
