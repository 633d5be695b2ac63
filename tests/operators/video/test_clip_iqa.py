"""CLIP-IQA: the probability of the better of two prompts, as CLIP itself would give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.video.clip_iqa import PROMPTS, prompt_embeddings, quality
from tests.tiny.clip import write_clip

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: models)")


def unit(*rows: list[float]):
    return torch.nn.functional.normalize(torch.tensor(rows), dim=-1)


def test_a_picture_at_the_good_prompt_has_100_at_the_bad_one_0_and_between_them_50():
    prompts = unit([1.0, 0.0], [0.0, 1.0])[None]
    found = quality(unit([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]), prompts, 100.0)
    assert found.tolist() == pytest.approx([100, 0, 50], abs=1e-3)


def test_thirty_is_where_bad_is_seven_thirds_as_likely():
    angle = torch.tensor([0.0, 0.1])  # similarity to good and bad
    ratio = torch.log(torch.tensor(7 / 3)) / 0.1
    prompts = torch.stack([torch.tensor([angle[0], 1.0]), torch.tensor([angle[1], 1.0])])[None]
    assert quality(torch.tensor([[1.0, 0.0]]), prompts, float(ratio)).item() == pytest.approx(30, abs=1e-3)


def test_pairs_count_alike():
    better, worse = [1.0, 0.0], [0.0, 1.0]
    prompts = torch.stack([unit(better, worse), unit(worse, better)])
    assert quality(unit([1.0, 0.2]), prompts, 10.0).item() == pytest.approx(50, abs=1e-4)


def test_prompts_and_quality_agree_with_clip_itself(tmp_path: Path):
    folder = write_clip(tmp_path)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    pairs = (*PROMPTS, ("A sharp picture of a great many things.", "Blurry."))
    prompts = prompt_embeddings(model, tokenizer, pairs)
    pixels = torch.randn(3, 3, 64, 64, generator=torch.manual_seed(5))
    with torch.inference_mode():
        tokens = tokenizer([text for pair in pairs for text in pair], padding=True, return_tensors="pt")
        whole = model(pixel_values=pixels, **tokens)
        expected = 100 * whole.logits_per_image.reshape(3, 2, 2).softmax(-1)[..., 0].mean(-1)
        found = quality(whole.image_embeds, prompts, float(model.logit_scale.exp()))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
