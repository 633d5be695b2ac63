"""A model's name means one place, and names that mean nothing say what to write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.errors import ConfigurationError
from operators.models.reference import ModelReference, Place, parse_reference

COMMIT = "32bd64288804d66eefd0ccbe215aa642df71cc41"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        (f"openai/clip@{COMMIT}", ModelReference(Place.HUB, "openai/clip", COMMIT)),
        ("openai/clip", ModelReference(Place.HUB, "openai/clip", "main")),
        ("Qwen/Qwen2.5-VL-7B_x@v1.0", ModelReference(Place.HUB, "Qwen/Qwen2.5-VL-7B_x", "v1.0")),
        ("/models/clip/", ModelReference(Place.FOLDER, "/models/clip")),
        ("s3://bucket/models/clip/", ModelReference(Place.STORE, "s3://bucket/models/clip")),
        ("s3://bucket/a", ModelReference(Place.STORE, "s3://bucket/a")),
    ],
)
def test_each_form(text, reference):
    assert parse_reference(text) == reference


def test_relative_folders_are_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("./clip", "../" + tmp_path.name + "/clip", "~/clip"):
        assert parse_reference(text) == ModelReference(Place.FOLDER, str(tmp_path / "clip"))
    assert Path(parse_reference("./a/../clip").where) == tmp_path / "clip"


def test_only_a_commit_is_pinned():
    assert parse_reference(f"a/b@{COMMIT}").pinned
    for text in ("a/b", "a/b@v1", f"a/b@{COMMIT[:12]}", f"a/b@{COMMIT.upper()}", "/a/b", "s3://a/b"):
        assert not parse_reference(text).pinned


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clip",
        "clip@v1",
        "a/b/c",
        "a/b@",
        "a/b@x y",
        "a/..",
        "-a/b",
        "a/b\n",
        "http://host/a",
        "file:///a",
        "s3://",
        "s3://bucket",
        "s3://bucket/",
        "s3:///a",
        "s3://bucket/../b",
        "a/b@../../x",
        "a\x00/b",
    ],
)
def test_what_is_no_name_says_what_to_write(text):
    with pytest.raises(ConfigurationError, match=r"names no model; write owner/name@commit"):
        parse_reference(text)


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_configuration_error(text):
    try:
        reference = parse_reference(text)
    except ConfigurationError:
        return
    if reference.place is Place.HUB:
        assert ".." not in reference.where and reference.where.count("/") == 1
