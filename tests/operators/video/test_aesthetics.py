"""Aesthetics: the numbers of CLIP, the head and CLIP-IQA, whatever the batch; wrong files are errors before a row."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import process_time, thread_time
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from operators.errors import ConfigurationError
from operators.video.aesthetic_head import aesthetic_score, load_head
from operators.video.aesthetics import Aesthetics, AestheticSettings
from operators.video.stills import stills
from tests.drawn_clips import assorted, clip
from tests.tiny.aesthetic_head import write_aesthetic_head
from tests.tiny.clip import write_clip

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: models)")

pytestmark = pytest.mark.usefixtures("one_thread")
COLUMNS = ("aesthetic_score", "image_quality", "imaging_quality", "image_embedding")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("aesthetics")
    return {"model": str(write_clip(folder / "clip")), "head": str(write_aesthetic_head(folder / "head"))}


def ready(models: dict[str, str], **settings: Any) -> Aesthetics:
    operator = Aesthetics(AestheticSettings.model_validate({"device": "cpu", **models, **settings}))
    operator.check()
    operator.setup()
    return operator


@pytest.fixture(scope="module")
def aesthetics(models: dict[str, str]) -> Aesthetics:
    return ready(models)


def numbers(row: dict[str, Any]) -> np.ndarray:
    return np.concatenate([np.atleast_1d(row[column]) for column in COLUMNS])


def test_scores_are_those_of_the_models_by_themselves(aesthetics: Aesthetics, models: dict[str, str]):
    [source] = assorted(1)
    [row] = aesthetics([source])
    model = transformers.CLIPModel.from_pretrained(models["model"]).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(models["model"])
    processor = transformers.CLIPImageProcessor.from_pretrained(models["model"])
    pictures = [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in source["keyframes"]]
    tokens = tokenizer(["Good photo.", "Bad photo."], padding=True, return_tensors="pt")
    with torch.inference_mode():
        whole = model(**processor(images=pictures, return_tensors="pt"), **tokens)
    good = whole.logits_per_image.softmax(dim=-1)[:, 0]
    scores = aesthetic_score(whole.image_embeds, load_head(Path(models["head"]), whole.image_embeds.shape[1]))
    mean = whole.image_embeds.mean(dim=0)
    assert row["image_quality"] == row["imaging_quality"] == pytest.approx(100 * good.mean().item(), abs=0.01)
    assert row["aesthetic_score"] == pytest.approx(scores.tolist(), abs=1e-5)
    assert row["image_embedding"] == pytest.approx((mean / mean.norm()).tolist(), abs=1e-5)
    assert np.linalg.norm(row["image_embedding"]) == pytest.approx(1, abs=1e-6)


def test_a_clip_has_the_same_numbers_alone_and_among_others_in_any_order(aesthetics: Aesthetics):
    clips = assorted(12)
    together = [numbers(row) for row in aesthetics(clips)]
    backwards = [numbers(row) for row in aesthetics(clips[::-1])][::-1]
    alone = [numbers(row) for one in clips for row in aesthetics([one])]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together, backwards, rtol=1e-5, atol=1e-6)
    assert np.ptp([row[0] for row in together]) > 1e-3


def test_one_poisoned_clip_in_a_batch_of_32_fails_alone(aesthetics: Aesthetics):
    clips = assorted(32)
    clips[20] = {**clips[20], "keyframes": [b"\xff\xd8\xff\xe0 poison"] * 3}
    rows = list(aesthetics(clips))
    assert [number for number, row in enumerate(rows) if row["error"]] == [20]
    assert rows[20]["error"]["operator"] == "aesthetics"
    assert rows[20]["error"]["kind"] == "decode"


def test_a_batch_that_is_out_of_memory_is_halved_and_tried_again(
    models: dict[str, str], aesthetics: Aesthetics, monkeypatch: pytest.MonkeyPatch
):
    operator, sizes = ready(models), []
    inner = operator._vision.forward

    def small_gpu(pixel_values: Any, **options: Any) -> Any:
        sizes.append(len(pixel_values))
        if len(pixel_values) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(pixel_values=pixel_values, **options)

    monkeypatch.setattr(operator._vision, "forward", small_gpu)
    clips = assorted(16)
    rows = list(operator(clips))
    np.testing.assert_allclose(
        [numbers(row) for row in rows], [numbers(row) for row in aesthetics(clips)], rtol=1e-5, atol=1e-6
    )
    assert sizes[0] == 32
    assert max(sizes[-4:]) <= 10


def test_numbers_that_overflow_are_an_error_that_says_what_to_set(
    models: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    operator = ready(models)
    monkeypatch.setattr(operator._projection, "weight", torch.nn.Parameter(torch.full((24, 32), float("inf"))))
    [row] = operator(assorted(1))
    assert row["error"]["kind"] == "model"
    assert "precision=float32" in row["error"]["message"]


def test_half_precision_gives_nearly_the_same(models: dict[str, str], aesthetics: Aesthetics):
    clips = assorted(4)
    for half, full in zip(ready(models, precision="bfloat16")(clips), aesthetics(clips), strict=True):
        assert half["aesthetic_score"] == pytest.approx(full["aesthetic_score"], abs=0.02)
        assert float(np.dot(half["image_embedding"], full["image_embedding"])) > 0.999


def test_two_batches_at_once_do_not_disturb_each_other(aesthetics: Aesthetics):
    assert aesthetics.resources.concurrency > 1
    batches = [assorted(5, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(aesthetics.annotate, batches))
    assert at_once == [aesthetics.annotate(batch) for batch in batches]


def test_dropped_clips_are_scored_and_rows_credit_both_models(aesthetics: Aesthetics):
    dropped = clip(np.zeros((64, 64, 3), np.uint8), drop_reason="shorter_than_min_duration")
    video = {"record": "video", "video_id": "v"}
    scored, passed = aesthetics([dropped, video])
    assert len(scored["aesthetic_score"]) == 3
    assert passed is video
    author = scored["provenance"]["aesthetic_score"]
    assert author.startswith("aesthetics/1@clip@")
    assert "+head@" in author


def test_prompts_and_models_are_in_the_fingerprint(models: dict[str, str], tmp_path: Path):
    def fingerprint(**settings: Any) -> str:
        return Aesthetics(AestheticSettings.model_validate({"device": "cpu", **models, **settings})).fingerprint()

    other = str(write_aesthetic_head(tmp_path / "head", seed=1))
    found = [fingerprint(), fingerprint(prompts=[["Sharp.", "Blurry."]]), fingerprint(head=other)]
    assert len(set(found)) == 3
    assert fingerprint(batch=3, threads=1) == fingerprint()


@pytest.mark.parametrize(
    ("setting", "lacking"), [("model", "config.json"), ("head", r"sac\+logos\+ava1-l14-linearMSE")]
)
def test_missing_files_are_an_error_before_the_cluster_starts(
    models: dict[str, str], tmp_path: Path, setting: str, lacking: str
):
    (tmp_path / "README.md").write_text("an empty model")
    operator = Aesthetics(AestheticSettings.model_validate({"device": "cpu", **models, setting: str(tmp_path)}))
    with pytest.raises(ConfigurationError, match=rf"aesthetics\.{setting}.*{lacking}"):
        operator.check()


def test_a_head_for_another_clip_is_an_error(models: dict[str, str], tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"aesthetics\.head"):
        ready({**models, "head": str(write_aesthetic_head(tmp_path, embedding=768))})


def test_decoding_and_all_else_cost_little_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_clip(tmp_path / "clip", side=224, patch=32, width=512, layers=12, heads=8, projection=64)
    head = write_aesthetic_head(tmp_path / "head", embedding=64)
    operator = ready({"model": str(folder), "head": str(head)}, threads=1)
    clips = [clip(*(cv2.resize(picture, (640, 360)) for picture in stills(source))) for source in assorted(8)]
    forward, spent = operator._vision.forward, [0.0]

    def timed(**inputs: Any) -> Any:
        began = thread_time()
        found = forward(**inputs)
        spent[0] += thread_time() - began
        return found

    monkeypatch.setattr(operator._vision, "forward", timed)
    operator.annotate(clips)
    ratios = []
    for _ in range(3):
        began, spent[0] = process_time(), 0.0
        operator.annotate(clips)
        ratios.append((process_time() - began) / spent[0])
    assert median(ratios) < 1.10, ratios
