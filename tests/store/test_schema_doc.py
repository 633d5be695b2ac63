"""docs/data.md says what the schemas are, and its examples run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from operators.columns import STANDARD, TRANSIENT
from operators.errors import ErrorKind
from store.local import LocalStore
from store.markers import Marker
from store.schema import VIDEO_SCHEMA
from store.schema_doc import filled, tables
from tests.store.committed import small_run

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "data.md"


def test_the_document_is_up_to_date() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m store.schema_doc docs/data.md"


def test_every_column_kind_of_error_and_marker_field_is_explained() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for field in (*STANDARD, *TRANSIENT, *VIDEO_SCHEMA):
        assert f"| `{field.name}` |" in text
        assert field.metadata[b"doc"]
    for name in (*ErrorKind, *Marker.model_fields):
        assert f"`{name}`" in text


def test_cells_cannot_break_the_table() -> None:
    for table in tables().values():
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_a_table_without_a_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="without one place each"):
        filled("<!-- table videos -->\n<!-- end -->")


def test_the_command_rewrites_and_prints(tmp_path: Path) -> None:
    copy = tmp_path / "data.md"
    copy.write_text(
        re.sub(r"(<!-- table \S+ -->\n).*?(?=<!-- end -->)", r"\1", DOCUMENT.read_text(encoding="utf-8"), flags=re.S),
        encoding="utf-8",
    )
    command = [sys.executable, "-W", "error", "-m", "store.schema_doc"]
    subprocess.run([*command, str(copy)], cwd=ROOT, check=True, timeout=120)
    assert copy.read_text(encoding="utf-8") == DOCUMENT.read_text(encoding="utf-8")
    printed = subprocess.run([*command, "--json"], cwd=ROOT, check=True, timeout=120, capture_output=True)
    assert json.loads(printed.stdout)["version"] >= 1


def test_the_first_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_run(LocalStore(tmp_path / "out"))
    monkeypatch.chdir(tmp_path)
    example = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.S)[0]
    names: dict[str, object] = {}
    exec(compile(example, "docs/data.md", "exec"), names)
    assert list(names["frame"]["clip_id"]) == ["a_0000000", "d_0000000"]  # pyright: ignore[reportIndexIssue]
