"""What is printed cannot steer a terminal."""

from __future__ import annotations

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from jobs import status
from jobs.console import Parser, finish
from jobs.progress import Lines
from jobs.terminal import Printable, printable, printable_json
from operators.errors import ConfigurationError
from pipeline.progress import Progress
from store.objects import open_store
from store.run_record import create_run
from tests.store.committed import commit, run_record

TITLE = "\x1b]0;owned\x07"
CURSOR = "\x1b[2J\x9b1A\r\u202e"


@given(st.text())
def test_nothing_but_lines_and_tabs_is_left_that_is_no_character(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    assert all(character.isprintable() or character in "\n\t" for character in shown)
    assert all(new in (old, "\ufffd") for new, old in zip(shown, text, strict=True))


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_json_loses_nothing_and_holds_no_control_character(value: object) -> None:
    for indent in (None, 2):
        shown = printable_json(value, indent)
        assert json.loads(shown) == value
        assert all(character.isprintable() or character == "\n" for character in shown)
    assert printable_json({"title": "Möwe \x9b2J\u202e"}) == '{"title": "Möwe \\u009b2J\\u202e"}'


def test_tables_keep_their_styles_and_lose_what_cells_bring() -> None:
    table = Table("head")
    table.add_row(f"cell {TITLE}{CURSOR}")
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, width=60).print(Printable(table))
    shown = stream.getvalue()
    assert "\x1b[1m" in shown and "cell" in shown
    assert "\x1b]" not in shown and "\x1b[2J" not in shown
    assert not any(character in shown for character in "\x07\x9b\r\u202e")


def test_status_of_a_run_that_a_stranger_made(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(tmp_path)
    create_run(store, run_record(1, 1, input=f"videos{TITLE}{CURSOR}"))
    commit(store, 0, {"a": []}, broken={"a": "no_video"})
    assert status.main(["--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "videos\ufffd]0;owned" in shown and printable(shown) == shown


def test_errors_and_progress(capsys: pytest.CaptureFixture[str]) -> None:
    def body(_: object) -> int:
        raise ConfigurationError(f"bad{TITLE}")

    assert finish(Parser("jobs.none", "none"), [], body) == 2
    lines = Lines(sys.stderr)
    lines.update(Progress(phase="running", note=f"note{CURSOR}"))
    shown = capsys.readouterr().err
    assert "error: bad\ufffd" in shown and "note\ufffd" in shown and printable(shown) == shown
