"""Manifests of strangers: refused by name and line, quickly, without opening what they name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from operators.errors import ConfigurationError, ErrorKind, RowFailure
from store.manifest import read_input, read_partition, write_manifest
from store.media import MediaOpener
from store.objects import open_store
from store.video_entry import ManifestError
from tests.hostile import manifests

ROOT = Path(__file__).parents[2]

SECONDS, MEMORY_MB = 60.0, 1200
"""CPU time and resident memory for all manifests that explode, one after another."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"12345")
    (tmp_path / "b.mp4").write_bytes(b"12345")
    return tmp_path


def refusal(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        read_input(str(path))
    text = str(caught.value)
    assert len(text) < 2000 and text.replace("\n", "").isprintable(), text[:200]
    return text


@pytest.mark.parametrize("uri", manifests.FORBIDDEN, ids=range(len(manifests.FORBIDDEN)))
def test_places_that_are_no_local_file_and_no_object_are_refused(folder: Path, uri: str) -> None:
    (folder / "m.jsonl").write_text(json.dumps({"uri": "a.mp4"}) + "\n" + json.dumps({"uri": uri}))
    assert "line 2" in refusal(folder / "m.jsonl")
    with pytest.raises(RowFailure) as caught, MediaOpener(None)(uri):
        pass
    assert caught.value.kind in (ErrorKind.REFUSED, ErrorKind.UNREADABLE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("uri", manifests.PLACES)
def test_nothing_outside_an_input_folder_is_opened(folder: Path, uri: str) -> None:
    with pytest.raises(RowFailure) as caught, MediaOpener(str(folder))(uri):
        pass
    assert caught.value.kind is ErrorKind.REFUSED


@pytest.mark.parametrize("video_id", manifests.IDS, ids=range(len(manifests.IDS)))
def test_identifiers_that_are_no_names_are_refused(folder: Path, video_id: str) -> None:
    (folder / "m.jsonl").write_text(json.dumps({"uri": "a.mp4", "video_id": video_id}))
    if video_id == "":
        assert read_input(str(folder / "m.jsonl"))[0].video_id.startswith("a-")
    else:
        assert "line 1: " in refusal(folder / "m.jsonl")


def test_identifiers_that_look_the_same_are_one(folder: Path) -> None:
    rows = [{"uri": "a.mp4", "video_id": "caf\u00e9"}, {"uri": "b.mp4", "video_id": "cafe\u0301"}]
    (folder / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "already on line 1" in refusal(folder / "m.jsonl")


def test_formulas_are_carried_along_as_text(folder: Path) -> None:
    rows = [{"uri": "a.mp4", "note": formula} for formula in manifests.FORMULAS]
    for row in rows:
        (folder / "m.jsonl").write_text(json.dumps(row))
        (entry,) = read_input(str(folder / "m.jsonl"))
        assert json.loads(entry.extra or "") == {"note": row["note"]}
        run = open_store(folder / "run")
        write_manifest(run, [entry], 8)
        assert read_partition(run, 0) == [entry]


READ = """
import json, sys, time
from pathlib import Path
from store.manifest import read_input
from store.video_entry import ManifestError
for path in sys.argv[1:]:
    began = time.process_time()
    try:
        said = f"{len(read_input(path))} videos"
    except ManifestError as problem:
        said = str(problem)
    print(json.dumps([path, said, time.process_time() - began]), flush=True)
# Not ru_maxrss, which a process takes over from the one that started it.
facts = Path("/proc/self/status")
lines = facts.read_text().splitlines() if facts.exists() else []
print(next((int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM")), 0))
"""


def test_tables_that_explode_are_refused_within_bounds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name in manifests.EXPLODING:
        (folder / name).write_bytes(manifests.tables(name))
        paths.append(str(folder / name))
    done = subprocess.run(
        [sys.executable, "-c", READ, *paths], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    *lines, memory = (json.loads(line) for line in done.stdout.splitlines())
    slowest = max(lines, key=lambda line: line[2])
    with capsys.disabled():
        print(f"\n{len(lines)} tables, {memory} MiB, slowest {Path(slowest[0]).name}: {slowest[2]:.2f} s of CPU")
    for path, said, _ in lines:
        assert path in said, (path, said[:300])
        assert len(said) < 2000 and said.replace("\n", "").isprintable(), said[:300]
    assert sum(seconds for *_, seconds in lines) < SECONDS
    assert memory < MEMORY_MB


def test_parquet_files_with_lies_in_their_footer_are_read_or_refused(folder: Path) -> None:
    for number, data in enumerate(manifests.lying_parquet()):
        path = folder / f"{number % 2}.parquet"
        path.write_bytes(data)
        try:
            assert len(read_input(str(path))) < 10
        except ConfigurationError as problem:
            assert str(path) in str(problem) and str(problem).replace("\n", "").isprintable()
