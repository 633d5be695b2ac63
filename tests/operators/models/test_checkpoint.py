"""Checkpoints: what does not fit is an error that names the setting, and nothing is filled in."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from operators.errors import ConfigurationError, MissingExtra
from operators.models.checkpoint import import_transformers, load_model, load_part
from tests.tiny.clip import write_clip

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: models)")


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip")


def test_a_model_comes_ready_for_inference_in_the_precision_asked_for(clip_folder: Path):
    model = load_model(transformers.CLIPModel, clip_folder, "aesthetics.model", torch.bfloat16)
    assert not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert not any(weight.requires_grad for weight in model.parameters())


def test_missing_weights_are_an_error_where_transformers_would_invent_them(clip_folder: Path):
    from safetensors.torch import load_file, save_file

    weights = load_file(clip_folder / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, clip_folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigurationError, match=r"aesthetics\.model.*lacks 1 weights.*visual_projection"):
        load_model(transformers.CLIPModel, clip_folder, "aesthetics.model", torch.float32)


def test_weights_of_other_sizes_are_an_error(clip_folder: Path):
    config = json.loads((clip_folder / "config.json").read_text())
    config["vision_config"]["hidden_size"] = 64
    (clip_folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigurationError, match=r"aesthetics\.model: CLIPModel cannot load"):
        load_model(transformers.CLIPModel, clip_folder, "aesthetics.model", torch.float32)


def test_a_damaged_file_is_an_error(clip_folder: Path):
    (clip_folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(ConfigurationError, match=r"frames\.model: AutoImageProcessor cannot load"):
        load_part(transformers.AutoImageProcessor, clip_folder, "frames.model")


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"rushes\[models\]"):
        import_transformers()
