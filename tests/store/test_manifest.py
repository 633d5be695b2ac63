"""Folders, manifests and the manifest that a run keeps."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import ConfigurationError, StorageError
from store import manifest
from store.manifest import VideoEntry, read_input, read_partition, write_manifest
from store.objects import open_store
from store.video_entry import ManifestError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENTRIES = st.lists(
    st.builds(
        VideoEntry,
        st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30),
        TEXT,
        st.none() | st.integers(0, 2**63 - 1),
        st.none() | TEXT,
        st.none() | TEXT,
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(entries=ENTRIES, size=st.integers(1, 5))
def test_partitions_give_back_every_entry_in_order(tmp_path_factory, entries, size):
    store = open_store(tmp_path_factory.mktemp("run"))
    count = write_manifest(store, entries, size)
    read = [read_partition(store, partition) for partition in range(count)]
    assert [entry for partition in read for entry in partition] == entries
    assert all(len(partition) == size for partition in read[:-1])
    assert count == -(-len(entries) // size)


def test_a_partition_that_is_gone_or_damaged_is_named(tmp_path):
    store = open_store(tmp_path)
    with pytest.raises(StorageError, match=r"holds no manifest/00003\.parquet"):
        read_partition(store, 3)
    store.put("manifest/00003.parquet", b"not parquet")
    with pytest.raises(StorageError, match=r"00003\.parquet is damaged"):
        read_partition(store, 3)


def test_a_folder_gives_every_name_that_looks_like_a_video(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "videos"
    (outside / "more").mkdir(parents=True)
    (outside / "film.mp4").write_bytes(b"x")
    (inside / "sub" / ".hidden").mkdir(parents=True)
    names = ["a b.mp4", "quote'\".MP4", "Ünï↯.mkv", "..%2Fup.mp4", "sub/z.webm", "sub/notes.txt"]
    for name in [*names, ".x.mp4"]:
        (inside / name).write_bytes(b"video")
    (inside / "empty.mp4").touch()
    (inside / "sub" / ".hidden" / "no.mp4").write_bytes(b"video")
    (inside / "folder.mp4").mkdir()
    (inside / "folder.mp4" / "real.mp4").write_bytes(b"video")
    (inside / "link.mp4").symlink_to(outside / "film.mp4")
    (inside / "broken.mp4").symlink_to(outside / "gone.mp4")
    (inside / "elsewhere").symlink_to(outside / "more")
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "pipe.mp4")

    entries = read_input(str(inside))

    found = {Path(entry.uri).relative_to(inside).as_posix(): entry.size for entry in entries}
    assert found == {
        "a b.mp4": 5,
        "quote'\".MP4": 5,
        "Ünï↯.mkv": 5,
        "..%2Fup.mp4": 5,
        "sub/z.webm": 5,
        "empty.mp4": 0,
        "folder.mp4": None,
        "folder.mp4/real.mp4": 5,
        "link.mp4": 1,
        "broken.mp4": None,
        "elsewhere": None,
        "pipe.mp4": None,
    }
    assert list(found) == sorted(found)
    assert len({entry.video_id for entry in entries}) == len(entries)


@pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="names must be UTF-8 on this system")
def test_names_that_are_not_text_become_file_uris(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")).write_bytes(b"1")
    (tmp_path / "line\nbreak.mp4").write_bytes(b"22")
    entries = read_input(str(tmp_path))
    assert {entry.uri: entry.size for entry in entries} == {
        f"file://{tmp_path}/line%0Abreak.mp4": 2,
        f"file://{tmp_path}/%FF.mp4": 1,
    }
    store = open_store(tmp_path / "run")
    write_manifest(store, entries, 8)
    assert read_partition(store, 0) == entries


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission_is_an_entry(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o000)
    (tmp_path / "a.mp4").write_bytes(b"1")
    assert [Path(entry.uri).name for entry in read_input(str(tmp_path))] == ["a.mp4", "locked"]


def test_identity_is_the_place_in_the_folder_and_not_the_machine(tmp_path):
    for home in ("here", "there"):
        (tmp_path / home / "sub").mkdir(parents=True)
        (tmp_path / home / "sub" / "The Trailer (1).mp4").write_bytes(home.encode())
        (tmp_path / home / "list.csv").write_text("uri\n./sub/The Trailer (1).mp4\n")
    here, there = (read_input(str(tmp_path / home)) for home in ("here", "there"))
    assert [entry.video_id for entry in here] == [entry.video_id for entry in there]
    assert here[0].video_id == "The-Trailer-1-52993eb38881"
    assert read_input(str(tmp_path / "here" / "list.csv"))[0].video_id == here[0].video_id


def test_limit_takes_the_first_videos(tmp_path):
    for name in "cab":
        (tmp_path / f"{name}.mp4").write_bytes(b"1")
    (tmp_path / "list.jsonl").write_text('{"uri": "c.mp4"}\n{"uri": "a.mp4"}\n{"uri": "gone.mp4"}\n')
    assert [Path(entry.uri).stem for entry in read_input(str(tmp_path), limit=2)] == ["a", "b"]
    assert [Path(entry.uri).stem for entry in read_input(str(tmp_path / "list.jsonl"), limit=2)] == ["c", "a"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "--input is empty"),
        ("nowhere", "no such folder or file"),
        ("http://example.org/a.mp4", "scheme 'http'; use a local path"),
        ("a\0b", "control character"),
        ("folder", "no video in .*no name ends in .3g2, "),
        ("film.mp4", "neither a folder nor a manifest. Give its folder"),
        ("table.xlsx", "neither a folder nor a manifest. Manifests end in .csv"),
    ],
)
def test_an_input_that_names_no_video_says_what_to_give(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("film.mp4").write_bytes(b"1")
    Path("table.xlsx").write_bytes(b"1")
    with pytest.raises(ManifestError, match=message) as caught:
        read_input(given)
    assert isinstance(caught.value, ConfigurationError)


def test_three_hundred_thousand_videos_are_read_and_written_quickly(tmp_path):
    count = 300_000
    lines = "".join(f"s3://bucket/trailers/{number:07d}.mp4,{number}\n" for number in range(count))
    (tmp_path / "all.csv").write_text("uri,year\n" + lines)
    started = time.process_time()
    entries = read_input(str(tmp_path / "all.csv"))
    assert len(entries) == count
    assert entries[-1].extra == '{"year": "299999"}'
    assert time.process_time() - started < 20
    store = open_store(tmp_path / "run")
    started = time.process_time()
    assert write_manifest(store, entries, 1024) == 293
    assert time.process_time() - started < 20
    assert read_partition(store, 292) == entries[292 * 1024 :]


def test_a_manifest_that_is_too_long_is_not_read(tmp_path, s3_bucket, monkeypatch):
    monkeypatch.setattr(manifest, "MANIFEST_LIMIT", 20)
    (tmp_path / "m.csv").write_text("uri\n" + "s3://bucket/a.mp4\n")
    open_store(s3_bucket).put("m.csv", (tmp_path / "m.csv").read_bytes())
    for source in (str(tmp_path / "m.csv"), f"{s3_bucket}/m.csv"):
        with pytest.raises(ManifestError, match="over 20 bytes; split it"):
            read_input(source)
    monkeypatch.setattr(manifest, "MANIFEST_LIMIT", 22)
    assert len(read_input(f"{s3_bucket}/m.csv")) == 1
