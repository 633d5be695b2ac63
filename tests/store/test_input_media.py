"""Videos of several inputs: folders keep theirs in, manifests name what they like."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from operators.errors import ErrorKind, RowFailure
from store.input_media import InputMedia, input_root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("one", "two", "apart"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_bytes(name.encode())
    (tmp_path / "one" / "leaves.mp4").symlink_to(tmp_path / "apart" / "a.mp4")
    (tmp_path / "list.csv").write_text("uri\napart/a.mp4\n")
    return tmp_path


def content(opener: InputMedia, path: Path) -> str:
    with opener(str(path)) as media:
        return media.path.read_text()


def refusal(opener: InputMedia, path: Path | str) -> ErrorKind:
    with pytest.raises(RowFailure) as refused, opener(str(path)):
        pass
    return refused.value.kind


def test_a_folder_is_a_root_and_nothing_else_is(place: Path):
    assert input_root(str(place / "one")) == str(place / "one")
    assert input_root(str(place / "list.csv")) is None
    assert input_root("s3://bucket/videos") is None


def test_videos_of_every_folder_open_and_no_others(place: Path):
    opener = pickle.loads(pickle.dumps(InputMedia([str(place / "one"), str(place / "two")])))
    assert [content(opener, place / name / "a.mp4") for name in ("one", "two")] == ["one", "two"]
    for path in ("apart/a.mp4", "one/leaves.mp4", "two/../apart/a.mp4"):
        assert refusal(opener, place / path) is ErrorKind.REFUSED


def test_beside_a_manifest_a_link_still_does_not_leave_its_folder(place: Path):
    opener = InputMedia([str(place / "one"), str(place / "list.csv")])
    assert content(opener, place / "apart" / "a.mp4") == "apart"
    assert content(opener, place / "one" / "a.mp4") == "one"
    assert refusal(opener, place / "one" / "leaves.mp4") is ErrorKind.REFUSED
    assert refusal(opener, "http://169.254.169.254/a.mp4") is ErrorKind.REFUSED
