"""docs/cost.md names every field of report.json and of a price table."""

from __future__ import annotations

from pathlib import Path

from jobs.report_doc import MODELS, filled, tables

DOCUMENT = Path(__file__).parents[2] / "docs" / "cost.md"


def test_the_document_is_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m jobs.report_doc docs/cost.md"


def test_every_field_is_explained():
    for name, model in MODELS.items():
        for field, info in model.model_fields.items():
            assert info.description, f"{name}.{field} has no description"
            assert f"| `{field}` | {info.description}" in tables()[name]


def test_every_part_of_the_report_has_a_table():
    known = set(MODELS.values())
    for name, model in MODELS.items():
        for field, info in model.model_fields.items():
            for part in getattr(info.annotation, "__args__", (info.annotation,)):
                if isinstance(part, type) and hasattr(part, "model_fields"):
                    assert part in known, f"{name}.{field}"
