"""Image quality by CLIP-IQA: is the picture nearer to "Good photo." or to "Bad photo."?

Wang, Chan and Loy, "Exploring CLIP for Assessing the Look and Feel of Images" (AAAI 2023). Of each pair of
opposite prompts the softmax over the two similarities, at CLIP's own temperature, is the probability of
the first; pairs count alike. The paper's network is a ResNet-50 without position embeddings that sees the picture at
its own size. Here it is the CLIP that the aesthetic score needs anyway, on its square input, as
torchmetrics offers it: noise and compression that vanish at that size are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PromptPair = tuple[str, str]
"""What a good picture would be called, and its opposite."""

PROMPTS: tuple[PromptPair, ...] = (("Good photo.", "Bad photo."),)
"""The paper's pair for overall quality."""


def prompt_embeddings(model: Any, tokenizer: Any, pairs: Sequence[PromptPair]) -> torch.Tensor:
    """Unit embeddings of the prompts, float32 [pairs, 2, dimensions], from a transformers `CLIPModel`."""
    import torch

    texts = [text for pair in pairs for text in pair]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        found = model.get_text_features(**tokens.to(model.device)).pooler_output.float()
    return torch.nn.functional.normalize(found, dim=-1).reshape(len(pairs), 2, -1)


def quality(pictures: torch.Tensor, prompts: torch.Tensor, temperature: float) -> torch.Tensor:
    """Quality from 0 to 100, float32 [n], of unit picture embeddings [n, dimensions].

    `temperature` is what the similarities are multiplied with: exp(`logit_scale`), 100 in OpenAI's models.
    """
    import torch

    similarity = torch.einsum("nd,pkd->npk", pictures, prompts)
    return 100 * (temperature * similarity).softmax(dim=-1)[..., 0].mean(dim=-1)
