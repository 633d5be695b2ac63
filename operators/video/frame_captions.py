"""One caption for each keyframe, by a small captioner such as BLIP or GIT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from operators.columns import select
from operators.contract import Resources, Row, tuning
from operators.models.checkpoint import import_transformers, load_model, load_part
from operators.models.files import TOKENIZER, ModelFiles
from operators.video.pictures import GPUS, PICTURE_MODEL, PictureOperator, PictureSettings, shorter_side
from operators.video.stills import RGB

BLIP = "Salesforce/blip-image-captioning-base@82a37760796d32b1411fe092ab5d4e227313294b"
KEYFRAMES = 3


class FrameCaptionSettings(PictureSettings):
    """Which captioner, and how much it may say."""

    gpus: float | None = tuning(0.15, ge=0, le=8, description=GPUS)
    batch: int = tuning(16, ge=1, le=4096, description="clips that are gathered, three pictures each")
    model: str = Field(
        default=BLIP, description="image captioner in transformers' format; owner/name@commit, a folder or s3://…"
    )
    max_tokens: int = Field(default=30, ge=1, le=256, description="tokens of one caption at most")


class FrameCaptions(PictureOperator):
    """Captions every keyframe with a small image captioner, word by word the likeliest one.

    Any model that transformers loads as AutoModelForImageTextToText and that captions without a prompt will do.
    """

    name = "frames"
    writes = select("frame_caption")
    Settings = FrameCaptionSettings
    needs = Resources(memory_mb=3072, gpu_memory_mb=3500, concurrency=2)

    def files(self) -> tuple[ModelFiles, ...]:
        return (ModelFiles(setting="frames.model", reference=self.settings.model, needs=(*PICTURE_MODEL, TOKENIZER)),)

    def setup(self) -> None:
        super().setup()
        transformers = import_transformers()
        [wanted] = self.files()
        folder = self.located(wanted)
        self._processor: Any = load_part(transformers.AutoImageProcessor, folder, wanted.setting)
        self._tokenizer: Any = load_part(transformers.AutoTokenizer, folder, wanted.setting)
        model = load_model(transformers.AutoModelForImageTextToText, folder, wanted.setting, self.precision)
        self._model: Any = model.to(self.device)
        self.side = shorter_side(self._processor)
        # Words are decoded one after the other whatever the number of pictures: the more at once the better.
        self.portion = KEYFRAMES * self.settings.batch

    def look(self, pictures: Sequence[RGB]) -> list[str]:
        import torch

        with torch.inference_mode():
            pixels = self._processor(
                images=list(pictures), device=self.device, input_data_format="channels_last", return_tensors="pt"
            )["pixel_values"]
            tokens = self._model.generate(
                pixel_values=pixels.to(self.precision),
                max_new_tokens=self.settings.max_tokens,
                do_sample=False,
                num_beams=1,
            )
        texts = self._tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def results(self, seen: Sequence[list[str]]) -> list[str]:
        return [text for texts in seen for text in texts]

    def columns(self, found: Sequence[str]) -> Row:
        return {"frame_caption": list(found)}
