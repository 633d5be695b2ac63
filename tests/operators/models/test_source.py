"""A folder as the origin of a model."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from operators.errors import ConfigurationError
from operators.models.source import DIGITS, FolderSource, digest_of, names_in
from tests.model_folder import whole_model, write_files


def test_a_folder_is_what_it_holds(tmp_path):
    source = FolderSource(write_files(tmp_path / "clip", whole_model()), sorted)
    assert source.held() == tmp_path / "clip"
    assert source.fetch(["config.json"]) == tmp_path / "clip"
    assert source.offered() is None
    assert source.pin() == ("", "")
    assert "complete it" in source.absent("lacks config.json")


def test_its_version_names_the_bytes_that_are_needed(tmp_path):
    first = write_files(tmp_path / "a" / "clip", {**whole_model(), "README.md": b"one"})
    second = write_files(tmp_path / "b" / "clip", {**whole_model(), "README.md": b"two"})

    def needed(names: Iterable[str]) -> list[str]:
        return [name for name in names if name != "README.md"]

    version = FolderSource(first, needed).version()
    assert version == FolderSource(second, needed).version()
    assert version.startswith("clip@") and len(version) == len("clip@") + DIGITS
    assert FolderSource(first, sorted).version() != FolderSource(second, sorted).version()
    (second / "config.json").write_text("{ }")
    assert FolderSource(second, needed).version() != version


def test_a_missing_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "gone", tmp_path / "file"):
        with pytest.raises(ConfigurationError, match="there is no folder"):
            FolderSource(path, sorted).held()


def test_names_have_slashes_and_an_order(tmp_path):
    write_files(tmp_path, {"b": b"", "a/c": b"", "a/b/d": b""})
    assert names_in(tmp_path) == ["a/b/d", "a/c", "b"]


def test_digests_tell_names_from_facts():
    assert digest_of({"a": "b"}) == digest_of({"a": "b"}) != digest_of({"b": "a"})
    assert digest_of({"x": "1", "y": "2"}) == digest_of({"y": "2", "x": "1"})
