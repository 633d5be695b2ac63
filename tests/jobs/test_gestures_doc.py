"""docs/gestures.md says what the columns and the drops are."""

from __future__ import annotations

import re
from pathlib import Path

from jobs.gestures_doc import filled, tables
from jobs.gesx import lite
from operators.pose.columns import GESTURES

DOCUMENT = Path(__file__).parents[2] / "docs" / "gestures.md"


def test_the_document_is_up_to_date():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m jobs.gestures_doc docs/gestures.md"


def test_every_column_is_explained_once():
    rows = re.findall(r"^\| `(\w+)` \|", "\n".join(tables().values()), flags=re.M)
    assert sorted(rows) == sorted(field.name for field in GESTURES)


def test_the_operators_are_those_of_the_preset_in_order():
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.split("## One clock")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.M) == [kind.name for kind in lite()]
