"""Frame captions: what the model says word by word, the same whatever the batch, one for each keyframe."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from operators.errors import ConfigurationError
from operators.video.frame_captions import FrameCaptions, FrameCaptionSettings
from operators.video.stills import decode
from tests.drawn_clips import assorted
from tests.tiny.blip import WORDS, write_blip, write_git

torch = pytest.importorskip("torch", reason="torch is not installed (extra: models)")
transformers = pytest.importorskip("transformers", reason="transformers is not installed (extra: models)")

pytestmark = pytest.mark.usefixtures("one_thread")


def ready(folder: Path, **settings: Any) -> FrameCaptions:
    operator = FrameCaptions(
        FrameCaptionSettings.model_validate({"device": "cpu", "model": str(folder), "max_tokens": 12, **settings})
    )
    operator.check()
    operator.setup()
    return operator


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_blip(tmp_path_factory.mktemp("blip"), pickled=True)


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_git(tmp_path_factory.mktemp("git"))


@pytest.fixture(scope="module")
def frames(blip: Path) -> FrameCaptions:
    return ready(blip)


def captions(operator: FrameCaptions, clips: list[dict[str, Any]]) -> list[list[str]]:
    return [row["frame_caption"] for row in operator(clips)]


def test_captions_are_those_of_the_model_by_itself(frames: FrameCaptions, blip: Path):
    clips = [one for one in assorted(12) if max(decode(one["keyframes"][0]).shape) < 192]  # decoded whole
    model = transformers.BlipForConditionalGeneration.from_pretrained(blip).eval()
    processor = transformers.BlipImageProcessor.from_pretrained(blip)
    tokenizer = transformers.BertTokenizer.from_pretrained(blip)
    for source, found in zip(clips, captions(frames, clips), strict=True):
        for jpeg, caption in zip(source["keyframes"], found, strict=True):
            picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
            with torch.inference_mode():
                tokens = model.generate(
                    **processor(images=picture, return_tensors="pt"), max_new_tokens=12, do_sample=False, num_beams=1
                )
            assert caption == tokenizer.decode(tokens[0], skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_a_clip_has_the_same_captions_alone_and_among_others_in_any_order(kind: str, request: pytest.FixtureRequest):
    operator, clips = ready(request.getfixturevalue(kind)), assorted(12)
    together = captions(operator, clips)
    assert captions(operator, clips[::-1])[::-1] == together
    assert [found for one in clips for found in captions(operator, [one])] == together
    assert len({caption for found in together for caption in found}) > 12


def test_three_captions_of_known_words_and_bounded_length(frames: FrameCaptions):
    for found in captions(frames, assorted(8)):
        assert len(found) == 3
        assert all(set(caption.split()) <= set(WORDS.split()) for caption in found)
        assert all(0 < len(caption.split()) <= 12 for caption in found)


def test_no_more_tokens_than_asked_for(blip: Path):
    found = captions(ready(blip, max_tokens=3), assorted(4))
    assert max(len(caption.split()) for texts in found for caption in texts) == 3


def test_one_poisoned_clip_in_a_batch_of_32_fails_alone(blip: Path):
    operator, clips = ready(blip, batch=32), assorted(32)
    clips[7] = {**clips[7], "keyframes": [b"\xff\xd8\xff\xe0 poison"] * 3}
    rows = list(operator(clips))
    assert [number for number, row in enumerate(rows) if row["error"]] == [7]
    assert (rows[7]["error"]["operator"], rows[7]["error"]["kind"]) == ("frames", "decode")
    assert rows[8]["frame_caption"] == captions(operator, [clips[8]])[0]


def test_a_batch_that_is_out_of_memory_is_halved_and_tried_again(
    blip: Path, frames: FrameCaptions, monkeypatch: pytest.MonkeyPatch
):
    operator, sizes = ready(blip), []
    generate = operator._model.generate

    def small_gpu(pixel_values: Any, **options: Any) -> Any:
        sizes.append(len(pixel_values))
        if len(pixel_values) > 6:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(pixel_values=pixel_values, **options)

    monkeypatch.setattr(operator._model, "generate", small_gpu)
    clips = assorted(8)
    assert captions(operator, clips) == captions(frames, clips)
    assert sizes[0] == 24
    assert max(sizes[-2:]) <= 6


@pytest.mark.parametrize("kind", ["blip", "git"])
def test_half_precision_captions_too(kind: str, request: pytest.FixtureRequest):
    found = captions(ready(request.getfixturevalue(kind), precision="bfloat16"), assorted(3))
    assert all(0 < len(caption.split()) <= 12 for texts in found for caption in texts)


def test_two_batches_at_once_do_not_disturb_each_other(frames: FrameCaptions):
    assert frames.resources.concurrency > 1
    batches = [assorted(4, seed=seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(frames.annotate, batches))
    assert at_once == [frames.annotate(batch) for batch in batches]


def test_dropped_clips_are_not_captioned(frames: FrameCaptions):
    [dropped] = [{**one, "drop_reason": "text_over_ceiling"} for one in assorted(1)]
    assert list(frames([dropped])) == [dropped]


def test_a_folder_without_a_tokenizer_is_an_error_before_the_cluster_starts(tmp_path: Path):
    write_blip(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    operator = FrameCaptions(FrameCaptionSettings(device="cpu", model=str(tmp_path)))
    with pytest.raises(ConfigurationError, match=r"frames\.model.*tokenizer\.json or"):
        operator.check()


def test_length_and_model_are_in_the_fingerprint_and_the_batch_is_not(blip: Path, git: Path):
    def fingerprint(**settings: Any) -> str:
        return FrameCaptions(FrameCaptionSettings.model_validate({"model": str(blip), **settings})).fingerprint()

    assert len({fingerprint(), fingerprint(max_tokens=9), fingerprint(model=str(git))}) == 3
    assert fingerprint(batch=2, gpus=1, device="cpu") == fingerprint()
