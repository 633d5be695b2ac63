"""A job whose operators need models and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from jobs.command import Job, Preset
from operators import networks
from operators.contract import Operator, Row, Settings
from operators.models.files import TOKENIZER, WEIGHTS, ModelFiles
from operators.models.operator import ModelOperator, ModelSettings

NAME = "openai/clip-vit-large-patch14"  # in the catalogue; the hub of the tests serves a tiny one


class LooksSettings(ModelSettings):
    """A model by name."""

    model: str = NAME


class Looks(ModelOperator):
    """An operator with a model."""

    name = "looks"
    writes = pa.schema([])
    Settings = LooksSettings

    def files(self) -> tuple[ModelFiles, ...]:
        needs = (("config.json",), WEIGHTS, TOKENIZER)
        return (ModelFiles(setting="looks.model", reference=self.settings.model, needs=needs),)

    def annotate(self, clips):
        return [{} for _ in clips]


class Faces(Operator):
    """An operator with networks from a wheel."""

    name = "faces"
    Settings = Settings
    NETWORKS = (networks.FACES_NEAR,)

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        yield from rows


class Plain(Operator):
    """An operator without any model."""

    name = "plain"
    Settings = Settings

    def __call__(self, rows: Iterable[Row]) -> Iterator[Row]:
        yield from rows


SMALL = Job(
    name="small",
    summary="A job with two models.",
    presets={
        "base": Preset(summary="two models", operators=lambda: [Plain, Faces, Looks]),
        "other": Preset(summary="another", operators=lambda: [Looks], settings={"looks": {"model": "owner/other"}}),
        "none": Preset(summary="no model", operators=lambda: [Plain]),
    },
)
