"""Status in words and as JSON."""

from __future__ import annotations

import json

import pytest

from jobs.status import main
from store.objects import open_store
from tests.store.committed import small_run


@pytest.fixture
def output(tmp_path) -> str:
    small_run(open_store(tmp_path))
    return str(tmp_path)


def test_the_tables_tell_what_the_markers_count(output, capsys):
    assert main(["--output", output]) == 0
    text = capsys.readouterr().out
    from store.status import scan

    status = scan(open_store(output))
    lines = {line.split("  ")[0].strip(): " ".join(line.split()) for line in text.splitlines() if line.strip()}
    assert text.startswith(f"mmtrail of videos/ → {output}\n")
    assert lines["state"] == "state not complete, and nobody writes; run the same command again to go on"
    assert lines["partitions"] == "partitions 2 done, 0 running, 0 failed, 1 pending of 3"
    assert lines["clips"] == "clips " + ", ".join(f"{count} {state}" for state, count in status.clips.items())
    assert "pace" in lines
    for reason, count in status.drop_reasons.items():
        assert lines[reason] == f"{reason} {count} {status.hq_drop_reasons.get(reason, 0)}"
    for failure in status.failures:
        assert f"shots {failure.kind} {failure.count} {failure.example}" in " ".join(text.split())


def test_json_is_the_whole_status(output, capsys):
    assert main(["--output", output, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["partitions"] == {"done": 2, "running": 0, "failed": 0, "pending": 1}
    assert found["n_partitions"] == 3
    assert {failure["operator"] for failure in found["failures"]} == {"shots"}


def test_markup_in_messages_is_plain_text(tmp_path, capsys):
    from tests.store.committed import commit, run_record

    store = open_store(tmp_path)
    from store.run_record import create_run

    create_run(store, run_record(1, 1, input="[bold]videos[/bold]/:smile:"))
    commit(store, 0, {"a": []}, broken={"a": "no_video"})
    assert main(["--output", str(tmp_path)]) == 0
    assert "mmtrail of [bold]videos[/bold]/:smile: → " in capsys.readouterr().out


def test_no_run_exits_2(tmp_path, capsys):
    assert main(["--output", str(tmp_path / "nothing")]) == 2
    assert "holds no run; give the --output of a job" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
    assert main(["--output", "http://example.org/x"]) == 2
    assert "cannot store to http://" in capsys.readouterr().err
