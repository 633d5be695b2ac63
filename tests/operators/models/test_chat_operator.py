"""Operators that ask chat models: their share of a GPU, their files, and where they run."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from operators.errors import ConfigurationError
from operators.language.fused import ModelFusion, ModelFusionSettings
from operators.language.scene import SceneCaption, SceneCaptionSettings
from operators.models.chat_operator import OF_A_SHARE, WHOLE_GPU

pytest.importorskip("torch", reason="the models extra is not installed")


def fusion(**settings: Any) -> ModelFusion:
    return ModelFusion(ModelFusionSettings(**settings))


def test_an_engine_asks_for_what_the_others_leave_unless_told():
    assert fusion().resources.gpus is None
    assert fusion(gpus=0.4).resources.gpus == 0.4
    assert fusion(device="cpu").resources.gpus == 0.0
    assert fusion(endpoint="http://127.0.0.1:1/v1").resources.gpus == 0.0
    assert fusion(tensor_parallel=2).resources.gpus == 2.0
    with pytest.raises(ConfigurationError, match="tensor_parallel=4 needs as many GPUs"):
        fusion(tensor_parallel=4, gpus=2)


@pytest.mark.parametrize(
    ("share", "filled"),
    [(None, WHOLE_GPU), (1.0, WHOLE_GPU), (2.0, WHOLE_GPU), (0.5, 0.5 * OF_A_SHARE), (0.0, WHOLE_GPU)],
)
def test_vllm_fills_the_share_that_the_pipeline_gives(share: float | None, filled: float):
    operator = fusion()
    operator.resources = replace(operator.resources, gpus=share)
    assert operator.gpu_memory_utilization == pytest.approx(filled)
    operator = fusion(gpu_memory_utilization=0.3)
    operator.resources = replace(operator.resources, gpus=share)
    assert operator.gpu_memory_utilization == 0.3


def test_memory_is_declared_for_the_usual_model_only():
    assert fusion().resources.gpu_memory_mb == ModelFusion.needs.gpu_memory_mb > 0
    assert fusion(model="owner/larger").resources.gpu_memory_mb == 0


def test_several_batches_at_once_keep_the_engine_full():
    for operator in (fusion(), SceneCaption()):
        resources = operator.resources
        assert resources.concurrency * resources.batch >= 2 * operator.settings.max_num_seqs


def test_missing_files_are_named_before_anything_starts(tmp_path: Path, tiny_llama: Path):
    fusion(model=str(tiny_llama)).check()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match=r"fusion\.model.*model\.safetensors.*tokenizer\.json") as raised:
        fusion(model=str(tmp_path)).check()
    assert "chat_template.jinja" in str(raised.value)
    with pytest.raises(ConfigurationError, match=r"caption\.model.*preprocessor_config\.json"):
        SceneCaption(SceneCaptionSettings(model=str(tiny_llama))).check()


def test_random_weights_need_no_weights(tiny_llama: Path, tmp_path: Path):
    for file in tiny_llama.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    fusion(model=str(tmp_path), load_format="dummy").check()
    with pytest.raises(ConfigurationError, match="lacks"):
        fusion(model=str(tmp_path)).check()


def test_the_revision_names_the_files_or_the_server(tiny_llama: Path):
    assert fusion(model=str(tiny_llama)).revision().startswith("llama0@")
    served = fusion(model="owner/name@" + "0" * 40, endpoint="http://127.0.0.1:1/v1")
    assert served.revision() == "owner/name@endpoint"
    elsewhere = fusion(model="owner/name@" + "0" * 40, endpoint="https://other.example/v1")
    assert served.fingerprint() == elsewhere.fingerprint()


def test_options_follow_from_the_settings(tiny_llama: Path):
    operator = fusion(
        model=str(tiny_llama), device="cpu", max_model_len=512, max_num_seqs=7, cpu_cache_mb=99, compiled=False
    )
    options = operator.options()
    assert (options.model, options.dtype, options.images) == (tiny_llama, "float32", 0)
    assert (options.max_model_len, options.max_num_seqs, options.cpu_cache_mb) == (512, 7, 99)
    assert not options.compiled


def test_an_operator_travels_before_its_setup_only():
    operator = fusion(endpoint="http://127.0.0.1:1/v1", model="m")
    again = pickle.loads(pickle.dumps(operator))
    assert again.settings == operator.settings
    operator.setup()
    with pytest.raises(TypeError, match="running engine"):
        pickle.dumps(operator)
    operator.close()
    pickle.dumps(operator)
