"""How models stand, one by one."""

from __future__ import annotations

from jobs.model_states import ModelState, Wanted, fetch, look, total_size, wanted_models
from operators.models.files import ModelFiles
from store.models import S3Models
from tests.jobs.small_job import Faces, Looks, Plain
from tests.model_folder import safetensors, whole_model, write_files


def folder_model(folder: object) -> Wanted:
    needs = (("config.json",), ("model.safetensors",))
    return Wanted(operator="looks", files=ModelFiles(setting="looks.model", reference=str(folder), needs=needs))


def test_operators_say_what_they_need():
    found = wanted_models([Plain(), Faces(), Looks()])
    assert [(one.operator, one.files.setting) for one in found] == [("faces", "faces"), ("looks", "looks.model")]


def test_a_folder_is_whole_damaged_or_missing(tmp_path):
    folder = write_files(tmp_path / "clip", whole_model())
    state = look(folder_model(folder), S3Models(), read_all=True)
    assert (state.state, state.where, state.problem, state.size) == (
        "whole",
        str(folder),
        "",
        sum(map(len, whole_model().values())),
    )
    write_files(folder, {"model.safetensors": safetensors("a")[:-1]})
    state = look(folder_model(folder), S3Models())
    assert state.state == "damaged" and "cut short" in state.problem
    (folder / "model.safetensors").unlink()
    state = look(folder_model(folder), S3Models())
    assert (state.state, state.problem, state.size) == ("missing", "lacks model.safetensors", None)
    state = look(folder_model(tmp_path / "gone"), S3Models())
    assert state.state == "missing" and "there is no folder" in state.problem


def test_what_cannot_be_fetched_says_why(tmp_path):
    said: list[str] = []
    state = fetch(folder_model(tmp_path / "gone"), S3Models(), said.append)
    assert state.state == "missing" and "looks.model: there is no folder" in state.problem
    assert said == [f"fetching {tmp_path / 'gone'} for looks.model"]


def test_what_is_whole_is_not_fetched(tmp_path):
    said: list[str] = []
    assert fetch(folder_model(write_files(tmp_path / "clip", whole_model())), S3Models(), said.append).state == "whole"
    assert said == []


def test_a_model_that_two_operators_use_is_counted_once():
    one = ModelState(
        operator="tags",
        setting="tags.model",
        model="a/b",
        pinned=True,
        role="",
        licence="",
        size=100,
        state="whole",
        where="/cache/a",
    )
    missing = ModelState(**{**one.as_dict(), "model": "a/c", "state": "missing"})
    assert total_size([one, ModelState(**{**one.as_dict(), "operator": "music"}), missing]) == 100
