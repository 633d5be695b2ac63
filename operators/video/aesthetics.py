"""How pictures look: aesthetic score, image quality and embedding, all from one pass of CLIP over the keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from operators.columns import select
from operators.contract import Resources, Row, tuning
from operators.errors import ErrorKind, RowFailure
from operators.models.checkpoint import import_transformers, load_model, load_part
from operators.models.files import TOKENIZER, ModelFiles
from operators.video.aesthetic_head import HEAD_FILES, aesthetic_score, load_head
from operators.video.clip_iqa import PROMPTS, PromptPair, prompt_embeddings, quality
from operators.video.pictures import GPUS, PICTURE_MODEL, PictureOperator, PictureSettings, shorter_side
from operators.video.stills import RGB

if TYPE_CHECKING:
    import torch

CLIP = "openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41"
HEAD = "ttj/sac-logos-ava1-l14-linearMSE@1e77fa05081323d99725fc40a9bf9f88180490e7"


class AestheticSettings(PictureSettings):
    """Which CLIP looks at the keyframes, and what is asked of it."""

    gpus: float | None = tuning(0.1, ge=0, le=8, description=GPUS)
    model: str = Field(default=CLIP, description="CLIP in transformers' format; owner/name@commit, a folder or s3://…")
    head: str = Field(
        default=HEAD,
        description="LAION's aesthetic head, sac+logos+ava1-l14-linearMSE; owner/name@commit, a folder or s3://…",
    )
    prompts: tuple[PromptPair, ...] = Field(
        default=PROMPTS,
        min_length=1,
        description="image quality: what a good picture is called, and its opposite",
    )


class Aesthetics(PictureOperator):
    """Scores the keyframes with CLIP: LAION's aesthetic score, CLIP-IQA's quality, and the embedding itself.

    `image_quality` is the probability that CLIP calls the picture good and not bad, times 100, mean over the
    keyframes. It is not the MUSIQ score of MMTrail and not on its scale: under a threshold of 30 fall pictures
    that CLIP finds more than twice as likely bad as good. Look at your own data's quantiles and set the
    thresholds by `jobs.rejudge`. Clips that were dropped are scored too, so that other thresholds can be tried.
    """

    name = "aesthetics"
    writes = select("image_quality", "imaging_quality", "image_embedding", "aesthetic_score")
    Settings = AestheticSettings
    on_dropped = True
    needs = Resources(memory_mb=4096, gpu_memory_mb=2000, concurrency=2)

    def files(self) -> tuple[ModelFiles, ...]:
        return self._clip, self._head

    @property
    def _clip(self) -> ModelFiles:
        return ModelFiles(setting="aesthetics.model", reference=self.settings.model, needs=(*PICTURE_MODEL, TOKENIZER))

    @property
    def _head(self) -> ModelFiles:
        return ModelFiles(setting="aesthetics.head", reference=self.settings.head, needs=(HEAD_FILES,), patterns=())

    def setup(self) -> None:
        super().setup()
        import torch

        transformers = import_transformers()
        folder, setting = self.located(self._clip), self._clip.setting
        self._processor: Any = load_part(transformers.AutoImageProcessor, folder, setting)
        tokenizer = load_part(transformers.CLIPTokenizer, folder, setting)
        model = load_model(transformers.CLIPModel, folder, setting, torch.float32)
        self._prompts = prompt_embeddings(model, tokenizer, self.settings.prompts).to(self.device)
        self._temperature = float(model.logit_scale.exp())
        self._vision: Any = model.vision_model.to(self.device, self.precision)
        self._projection: Any = model.visual_projection.to(self.device, self.precision)
        layers = load_head(self.located(self._head), model.config.projection_dim)
        self._layers = [(weight.to(self.device), bias.to(self.device)) for weight, bias in layers]
        self.side = shorter_side(self._processor)
        self.portion = self.settings.batch

    def look(self, pictures: Sequence[RGB]) -> torch.Tensor:
        """Embedding, aesthetic score and quality side by side, float32 [n, dimensions + 2], on the device."""
        import torch

        with torch.inference_mode():
            pixels = self._processor(
                images=list(pictures), device=self.device, input_data_format="channels_last", return_tensors="pt"
            )["pixel_values"]
            pooled = self._vision(pixel_values=pixels.to(self.precision)).pooler_output
            embeddings = torch.nn.functional.normalize(self._projection(pooled).float(), dim=-1)
            scores = aesthetic_score(embeddings, self._layers)
            return torch.column_stack([embeddings, scores, quality(embeddings, self._prompts, self._temperature)])

    def results(self, seen: Sequence[torch.Tensor]) -> np.ndarray:
        import torch

        return torch.cat(list(seen)).cpu().numpy()

    def columns(self, found: Sequence[np.ndarray]) -> Row | RowFailure:
        table = np.stack(found)
        if not np.isfinite(table).all():
            return RowFailure(ErrorKind.MODEL, "the model's numbers overflowed; set aesthetics.precision=float32")
        mean = table[:, :-2].mean(axis=0)
        image_quality = float(table[:, -1].mean())
        return {
            "image_quality": image_quality,
            "imaging_quality": image_quality,
            "image_embedding": (mean / max(float(np.linalg.norm(mean)), 1e-12)).tolist(),
            "aesthetic_score": table[:, -2].tolist(),
        }
