from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from operators.columns import select
from operators.contract import Resources, Row
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.models.files import ModelFiles
from operators.models.operator import ModelOperator, ModelSettings
from tests.pipeline.small_chain import clip_row

torch = pytest.importorskip("torch", reason="torch is not installed (make install)")


class Scorer(ModelOperator):
    """Scores clips by their index, and runs out of memory over `fits` at once."""

    name = "scorer"
    writes = select("sharpness")
    needs = Resources(cpus=0.5, memory_mb=100, gpu_memory_mb=500)

    class Settings(ModelSettings):
        model: str = "./missing"

    fits = 4
    poison: tuple[int, ...] = ()

    def files(self) -> tuple[ModelFiles, ...]:
        return (ModelFiles(setting="scorer.model", reference=self.settings.model, needs=(("config.json",),)),)

    def setup(self) -> None:
        super().setup()
        self.sizes: list[int] = []
        self.text = (self.located(self.files()[0]) / "config.json").read_text()

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        scores: list[float] = []
        for portion in self.portions(clips, 8):
            self.sizes.append(len(portion))
            if len(portion) > self.fits:
                raise torch.OutOfMemoryError("out of memory")
            scores += [float(clip["clip_index"]) for clip in portion]
        return [
            RowFailure(ErrorKind.MODEL, "poison") if clip["clip_index"] in self.poison else {"sharpness": score}
            for clip, score in zip(clips, scores, strict=True)
        ]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def scorer(model: Path, **settings: Any) -> Scorer:
    return Scorer(Scorer.Settings(model=str(model), **settings))


def test_settings_decide_what_an_instance_occupies(model: Path):
    assert scorer(model, gpus=0.1, batch=7, actors=(2, 5)).resources == Resources(
        cpus=0.5, gpus=0.1, memory_mb=100, gpu_memory_mb=500, batch=7, actors=(2, 5)
    )
    assert scorer(model, device="cpu").resources.gpus == 0
    assert scorer(model, gpus=None).resources.gpus is None


def test_how_it_runs_is_no_part_of_the_fingerprint_but_the_numbers_are(model: Path):
    plain = scorer(model).fingerprint()
    assert scorer(model, device="cpu", gpus=1.0, batch=3, actors=(1, 1)).fingerprint() == plain
    assert scorer(model, precision="float32").fingerprint() != plain


def test_other_bytes_are_another_revision(model: Path):
    before = scorer(model).revision()
    (model / "config.json").write_text('{"layers": 2}')
    after = scorer(model)
    assert before != after.revision()
    assert before.startswith(f"{model.name}@")
    (row,) = _ready(after)([clip_row("v", 3)])
    assert row["provenance"]["sharpness"] == f"scorer/1@{after.revision()}"


def test_a_missing_model_is_told_before_anything_starts(model: Path):
    scorer(model).check()
    (model / "config.json").unlink()
    with pytest.raises(ConfigurationError, match=r"scorer\.model: .* has no file; complete it"):
        scorer(model).check()
    with pytest.raises(ConfigurationError, match="there is no folder"):
        scorer(model / "none").check()


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_start_smaller(model: Path):
    operator = _ready(scorer(model, batch=32))
    rows = list(operator([clip_row("v", index) for index in range(32)]))
    assert [row["sharpness"] for row in rows] == [float(index) for index in range(32)]
    assert all(row["error"] is None for row in rows)
    assert max(operator.sizes[-4:]) <= operator.fits
    before = len(operator.sizes)
    list(operator([clip_row("w", index) for index in range(32)]))
    assert max(operator.sizes[before:]) <= operator.fits


def test_a_clip_that_never_fits_fails_alone_as_out_of_memory(model: Path):
    operator = _ready(scorer(model, batch=2))
    operator.fits = 0
    (row, other) = operator([clip_row("v", 0), clip_row("v", 1)])
    assert (row["error"]["kind"], other["error"]["kind"]) == ("out_of_memory", "out_of_memory")


def test_one_poisoned_clip_of_a_batch_fails_alone(model: Path):
    operator = _ready(scorer(model, batch=32))
    operator.poison = (17,)
    rows = list(operator([clip_row("v", index) for index in range(32)]))
    assert [row["clip_index"] for row in rows if row["error"]] == [17]


def test_an_operator_travels_before_it_is_set_up_and_not_after(model: Path):
    operator = scorer(model)
    revision = operator.revision()
    assert pickle.loads(pickle.dumps(operator)).revision() == revision
    with pytest.raises(TypeError, match="scorer holds a loaded model"):
        pickle.dumps(_ready(operator))


def _ready(operator: Scorer) -> Scorer:
    operator.setup()
    return operator
