"""Fetching, checking and listing models as a command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jobs.models import main
from store.objects import open_store
from tests.hub_server import Hub
from tests.jobs.small_job import NAME, SMALL
from tests.model_folder import safetensors, whole_model, write_files


@pytest.fixture
def commit(hub: Hub) -> str:
    return hub.publish(NAME, {**whole_model(), "flax_model.msgpack": b"x" * 5000})


def run(*words: str) -> int:
    return main(list(words), SMALL)


def told(capsys, *words: str) -> tuple[int, dict]:
    code = run("--json", *words)
    return code, json.loads(capsys.readouterr().out)


def test_what_is_missing_is_fetched_and_the_rest_left(hub: Hub, commit, capsys):
    assert run("--set", f"looks.model={NAME}@{commit}") == 0
    said = capsys.readouterr()
    assert said.err.splitlines()[0] == f"fetching {NAME}@{commit} (1.7 GB) for looks.model"
    assert f"2 of 2 models are whole, {(229714 + size(whole_model())) / 1000:.1f} kB on this machine" in said.out
    [row] = [" ".join(line.split()) for line in said.out.splitlines() if line.startswith(" looks.model")]
    assert f"{NAME}@{commit[:12]} yes MIT 4.4 kB whole" in row
    hub.asked.clear()
    assert run("--set", f"looks.model={NAME}@{commit}") == 0
    assert "fetching" not in capsys.readouterr().err
    assert hub.asked == []


def size(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))


def test_everything_is_told_as_json(hub: Hub, commit, capsys, tmp_path):
    code, found = told(capsys)
    assert code == 0 and found["whole"] is True
    faces, looks = found["models"]
    assert (faces["operator"], faces["model"], faces["pinned"], faces["licence"], faces["size"]) == (
        "faces",
        "face_detection_short_range.tflite",
        True,
        "Apache-2.0",
        229714,
    )
    assert looks == {
        "operator": "looks",
        "setting": "looks.model",
        "model": NAME,
        "pinned": False,
        "role": "aesthetic score, image quality, picture embedding",
        "licence": "MIT",
        "size": size(whole_model()),
        "state": "whole",
        "where": str(next((tmp_path / "hub").rglob(f"snapshots/{commit}"))),
        "problem": "",
    }


def test_listing_fetches_nothing(hub: Hub, commit, capsys):
    code, found = told(capsys, "--list")
    assert (code, found["whole"]) == (1, False)
    [looks] = [state for state in found["models"] if state["operator"] == "looks"]
    assert (looks["state"], looks["size"], looks["where"]) == ("missing", 1_710_540_580, "")
    assert looks["problem"] == ""
    assert hub.asked == []
    assert run("--list") == 1
    assert "1 of 2 models are whole" in capsys.readouterr().out


def test_offline_fetches_nothing_and_says_so(hub: Hub, commit, capsys):
    code, found = told(capsys, "--offline")
    assert code == 1
    assert "HF_HUB_OFFLINE forbids" in found["models"][1]["problem"]
    assert hub.asked == []
    assert "HF_HUB_OFFLINE" not in os.environ
    assert run() == 0
    hub.asked.clear()
    assert run("--offline") == 0
    assert hub.asked == []


@pytest.mark.parametrize("refusal", [(401, "RepoNotFound"), (403, "GatedRepo"), (500, "")])
def test_what_cannot_be_fetched_exits_1_and_the_others_are_still_tried(hub: Hub, commit, capsys, refusal):
    hub.refuse[NAME] = refusal
    code, found = told(capsys)
    assert code == 1
    assert [state["state"] for state in found["models"]] == ["whole", "missing"]
    assert found["models"][1]["problem"].startswith("looks.model: ")


def test_damage_is_found_and_mended(hub: Hub, commit, capsys):
    folder = Path(told(capsys)[1]["models"][1]["where"])
    (folder / "model.safetensors").resolve().write_bytes(safetensors("a")[:-8])
    code, found = told(capsys, "--list")
    assert (code, found["models"][1]["state"]) == (1, "damaged")
    assert "model.safetensors is cut short" in found["models"][1]["problem"]
    assert run() == 0
    assert "fetching" in capsys.readouterr().err


def test_verifying_reads_every_byte(hub: Hub, commit, capsys):
    _, found = told(capsys)
    weights = (Path(found["models"][1]["where"]) / "model.safetensors").resolve()
    weights.write_bytes(safetensors("a", "b", value=0.75))  # as long, and another model
    assert told(capsys, "--list")[0] == 0
    code, found = told(capsys, "--verify")
    assert (code, found["models"][1]["state"]) == (1, "damaged")
    assert "model.safetensors is not the hub's file" in found["models"][1]["problem"]


def test_wrong_bytes_from_the_hub_are_told(hub: Hub, commit, capsys):
    good = whole_model()["model.safetensors"]
    hub.instead["model.safetensors"] = safetensors("a", "b", value=0.75)
    assert len(hub.instead["model.safetensors"]) == len(good)
    code, found = told(capsys)
    assert (code, found["models"][1]["state"]) == (1, "damaged")
    assert "is not the hub's file" in found["models"][1]["problem"]


def test_presets_and_files_choose_the_models(hub: Hub, commit, capsys, tmp_path):
    assert [state["model"] for state in told(capsys, "--preset", "other", "--list")[1]["models"]] == ["owner/other"]
    folder = write_files(tmp_path / "mine", whole_model())
    config = tmp_path / "my.yaml"
    config.write_text(f"looks: {{model: {folder}}}")
    code, found = told(capsys, "--preset", "other", "--config", str(config))
    assert code == 0
    [looks] = found["models"]
    assert (looks["where"], looks["licence"], looks["pinned"]) == (str(folder), "not known here", False)
    assert run("--preset", "none") == 0
    assert capsys.readouterr().out == "preset none needs no models\n"


def test_models_of_object_storage_are_fetched(hub: Hub, s3_bucket: str, capsys, tmp_path, monkeypatch):
    store = open_store(f"{s3_bucket}/models/mine")
    for name, data in whole_model().items():
        store.put(name, data)
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "cache"))
    words = ("--preset", "other", "--set", f"looks.model={store.url}")
    assert told(capsys, *words, "--list")[0] == 1
    code, found = told(capsys, *words)
    assert code == 0
    assert found["models"][0]["where"].startswith(str(tmp_path / "cache" / "models" / "mine-"))
    assert told(capsys, *words, "--verify")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "bas"], "Did you mean 'base'"),
        (["--set", "looks.modle=a/b"], "modle"),
        (["--list", "--fetch"], "not allowed with"),
        (["--lst"], "did you mean --list"),
        (["--config", "/no/such.yaml"], "/no/such.yaml"),
    ],
)
def test_a_wrong_command_exits_2(capsys, words, said):
    assert run(*words) == 2
    assert said in capsys.readouterr().err


def test_a_name_that_means_nothing_is_told_with_its_setting(capsys):
    code, found = told(capsys, "--preset", "other", "--set", "looks.model=clip")
    assert code == 1
    assert "looks.model: 'clip' names no model" in found["models"][0]["problem"]
