"""docs/models.md says which models the presets name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jobs.command import Job, Preset
from jobs.mmtrail import MMTRAIL
from jobs.models_doc import defaults, filled, tables
from operators.models.catalogue import CATALOGUE
from tests.jobs.small_job import NAME, SMALL, Faces, Looks

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"


def job(**settings: str) -> Job:
    preset = Preset(summary="", operators=lambda: [Faces, Looks], settings={"looks": settings})
    return Job(name="small", summary="", presets={"base": preset})


def test_the_document_is_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m jobs.models_doc docs/models.md"


def test_every_preset_has_its_models():
    assert "ch_PP-OCRv4_det_infer.onnx" in defaults(MMTRAIL)["lite"].values()
    assert set(defaults(SMALL)) == {"base", "other", "none"}


def test_a_row_tells_what_is_known():
    lines = tables(job())["models"].splitlines()
    assert len(lines) == len(CATALOGUE) + 2
    assert {line.count("|") for line in lines} == {9 + 1 - 1}
    [clip] = [line for line in lines if NAME in line]
    assert clip == (
        f"| `{NAME}` | aesthetic score, image quality, picture embedding | base | MIT | 1.7 GB | 855.2 MB | 1.7 GB "
        "| `32bd64288804` |"
    )


@pytest.mark.parametrize(
    ("model", "words"), [("owner/other", "the catalogue lacks"), (f"{NAME}@{'0' * 40}", "another commit than")]
)
def test_a_preset_cannot_name_what_the_catalogue_does_not_know(model, words):
    with pytest.raises(ValueError, match=words):
        tables(job(model=model))


def test_a_table_without_a_place_is_an_error():
    with pytest.raises(ValueError, match="without one place each"):
        filled("nothing here", job())


def test_the_table_replaces_what_was_there():
    text = "before\n<!-- table models -->\nold\n<!-- end -->\nafter\n"
    new = filled(text, job())
    assert re.match(r"before\n<!-- table models -->\n\| model .*<!-- end -->\nafter\n\Z", new, flags=re.S)
    assert "old" not in new
    assert filled(new, job()) == new
