"""A model of one file, named by itself or by its folder."""

from __future__ import annotations

import pytest

from operators.errors import ConfigurationError
from operators.models.files import check_files, locate
from operators.models.one_file import one_file, path_in


def named(reference: str):
    return one_file(
        "lift.model", reference, suffixes=(".onnx", ".pt"), names=("model.onnx", "model.pt"), beside=(".data",)
    )


@pytest.mark.parametrize(
    ("reference", "folder", "needs", "patterns"),
    [
        ("./exports/nlf.onnx", "./exports", ("nlf.onnx",), ("nlf.onnx.data",)),
        ("s3://bucket/models/nlf.pt", "s3://bucket/models", ("nlf.pt",), ("nlf.pt.data",)),
        ("./nlf.pt", "./", ("nlf.pt",), ("nlf.pt.data",)),
        ("../nlf.pt", "../", ("nlf.pt",), ("nlf.pt.data",)),
        ("~/nlf.pt", "~/", ("nlf.pt",), ("nlf.pt.data",)),
        ("owner/name@main/nlf.pt", "owner/name@main", ("nlf.pt",), ("nlf.pt.data",)),
        ("/nlf.pt", "/", ("nlf.pt",), ("nlf.pt.data",)),
        ("./exports", "./exports", ("model.onnx", "model.pt"), ("model.onnx.data", "model.pt.data")),
        ("owner/name@main", "owner/name@main", ("model.onnx", "model.pt"), ("model.onnx.data", "model.pt.data")),
        ("nlf.onnx", "nlf.onnx", ("model.onnx", "model.pt"), ("model.onnx.data", "model.pt.data")),
    ],
)
def test_what_a_reference_names(reference, folder, needs, patterns):
    wanted = named(reference)
    assert (wanted.reference, wanted.needs, wanted.patterns) == (folder, (needs,), patterns)


def test_a_file_of_the_working_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "nlf.onnx").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    wanted = named("./nlf.onnx")
    assert path_in(locate(wanted), wanted) == tmp_path / "nlf.onnx"


def test_the_first_of_the_names_is_taken(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x")
    (tmp_path / "other.onnx").write_bytes(b"x")
    for reference, name in ((f"{tmp_path}", "model.onnx"), (f"{tmp_path}/other.onnx", "other.onnx")):
        wanted = named(reference)
        assert path_in(locate(wanted), wanted) == tmp_path / name


def test_a_file_that_is_not_there_is_named_with_its_setting(tmp_path):
    (tmp_path / "other.onnx").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=r"lift\.model: .*lacks gone\.onnx"):
        check_files(named(f"{tmp_path}/gone.onnx"))
    with pytest.raises(ConfigurationError, match=r"lift\.model: 'gone\.onnx' names no model"):
        check_files(named("gone.onnx"))
