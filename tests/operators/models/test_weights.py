"""Damage that downloads and copies do is found from headers and sizes."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.models.weights import fault, is_inside, shards, shards_by_name
from tests.model_folder import index, safetensors, write_files


def checked(folder: Path, name: str, data: bytes) -> str | None:
    write_files(folder, {name: data})
    return fault(folder / name)


def test_whole_files_have_no_fault(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", b"weights")
    files = {
        "model.safetensors": safetensors("a", "b"),
        "empty.safetensors": safetensors(),
        "config.json": b'{"a": 1}',
        "added_tokens.json": b"[]",
        "pytorch_model.bin": archive.getvalue(),
        "old.bin": b"\x80\x02}q\x00.",
        "vocab.txt": b"[PAD]\n",
    }
    write_files(tmp_path, files)
    assert {name: fault(tmp_path / name) for name in files} == dict.fromkeys(files)


def test_what_the_library_writes_is_whole_and_what_we_write_it_reads(tmp_path):
    numpy = pytest.importorskip("numpy")
    library = pytest.importorskip("safetensors.numpy")
    library.save_file({"a": numpy.ones((3, 5), "float32"), "b": numpy.zeros(0, "int8")}, tmp_path / "a.safetensors")
    assert fault(tmp_path / "a.safetensors") is None
    assert set(library.load(safetensors("x", "y"))) == {"x", "y"}


@given(kept=st.floats(0, 1, exclude_max=True))
def test_a_safetensors_file_that_is_cut_short_anywhere_is_found(tmp_path_factory, kept):
    data = safetensors("a", "b")
    assert checked(tmp_path_factory.getbasetemp(), "cut.safetensors", data[: int(len(data) * kept)]) is not None


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("model.safetensors", b"", "is empty"),
        ("model.safetensors", safetensors("a")[:-4], "cut short: .* instead of"),
        ("model.safetensors", safetensors("a") + b"\n", "too long"),
        ("model.safetensors", safetensors("a")[:40], "do not hold its header"),
        ("model.safetensors", b"<!doctype html><html>sign in</html>", "no safetensors"),
        ("model.safetensors", struct.pack("<Q", 4) + b"null", "no safetensors"),
        ("model.safetensors", struct.pack("<Q", 24) + b'{"a":{"data_offsets":0}}', "no safetensors"),
        ("model.safetensors", struct.pack("<Q", 9000) + b"[" * 9000, "no safetensors"),
        ("pytorch_model.bin", b"PK\x03\x04" + b"\0" * 5000, "cut short, or no PyTorch"),
        ("config.json", b'{"a": ', "cut short, or no JSON"),
        ("config.json", b"\xff\xfe", "no JSON"),
        ("config.json", b'"a"', "no JSON object"),
        ("tokenizer.model", b"", "is empty"),
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        ("config.json", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
    ],
)
def test_each_kind_of_damage_is_told(tmp_path, name, data, words):
    assert re.search(words, checked(tmp_path, name, data) or "nothing")


def test_what_is_no_file_is_told(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    assert fault(tmp_path / "model.safetensors") == "is no file"
    assert "No such file" in str(fault(tmp_path / "gone.json"))


def test_an_index_lists_its_files_once(tmp_path):
    write_files(tmp_path, {"i.json": index({"a": "2.safetensors", "b": "1.safetensors", "c": "2.safetensors"})})
    assert shards(tmp_path / "i.json") == ["1.safetensors", "2.safetensors"]


@pytest.mark.parametrize("listed", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": ["a"]}'])
def test_an_index_without_weights_is_refused(tmp_path, listed):
    (tmp_path / "i.json").write_text(listed)
    with pytest.raises(ValueError, match="lists no weights"):
        shards(tmp_path / "i.json")


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a/../../x", "", "a\\..\\b", "a\0b"])
def test_an_index_cannot_lead_out_of_its_folder(tmp_path, name):
    assert not is_inside(name)
    (tmp_path / "i.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ValueError, match="outside its folder"):
        shards(tmp_path / "i.json")


def test_split_weights_are_told_by_their_numbers():
    parts = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    name = "model.safetensors.index.json"
    assert shards_by_name(name, [*parts, "other.safetensors", "onnx/model-00001-of-00009.safetensors"]) == (parts, [])
    assert shards_by_name(name, parts[:1]) == (parts[:1], parts[1:])
    assert shards_by_name(name, ["config.json"]) == ([], [f"the weights that {name} lists"])
    unnumbered = ["b.safetensors", "a.safetensors"]
    assert shards_by_name(name, [*unnumbered, "x.bin", "deep/c.safetensors"]) == (sorted(unnumbered), [])
