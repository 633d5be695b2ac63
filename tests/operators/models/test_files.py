"""Models of every origin are found whole, or explained before anything starts."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from operators.errors import ConfigurationError
from operators.models.files import TOKENIZER, WEIGHTS, ModelFiles, check_files, files_revision, locate, pinned
from operators.models.operator import ModelOperator, ModelSettings
from store.models import S3Models
from store.objects import open_store
from tests.hub_server import Hub
from tests.model_folder import index, safetensors, split_model, whole_model, write_files

NEEDS = (("config.json",), WEIGHTS, TOKENIZER)
NAME = "owner/tiny"


def wanted(reference: object, needs: tuple[tuple[str, ...], ...] = NEEDS) -> ModelFiles:
    return ModelFiles(setting="looks.model", reference=str(reference), needs=needs)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(model: ModelFiles, store: S3Models | None = None) -> str:
    """What `check_files` and `locate` say, which must be the same."""
    with pytest.raises(ConfigurationError) as checked:
        check_files(model, store)
    with pytest.raises(ConfigurationError) as located:
        locate(model, store)
    assert str(checked.value) == str(located.value)
    assert str(checked.value).startswith("looks.model: ")
    return str(checked.value)


# which files

EXTRA = {"README.md", "flax_model.msgpack", "tf_model.h5", "onnx/model.onnx", "onnx/config.json", "training_args.bin"}


def test_safetensors_are_preferred_and_other_formats_left():
    there = {*whole_model(), "pytorch_model.bin", "merges.txt", "chat_template.jinja", *EXTRA}
    assert wanted("a/b").wanted(there) == [
        "chat_template.jinja",
        "config.json",
        "merges.txt",
        "model.safetensors",
        "tokenizer.json",
    ]
    assert "pytorch_model.bin" in wanted("a/b").wanted(there - {"model.safetensors"})


def test_split_weights_come_with_all_their_parts():
    assert set(wanted("a/b").wanted({*split_model(), "pytorch_model.bin", *EXTRA})) == set(split_model())
    assert wanted("a/b").missing(set(split_model()) - {"model-00002-of-00002.safetensors"}) == [
        "model-00002-of-00002.safetensors"
    ]


def test_what_lacks_is_told_with_its_alternatives():
    assert wanted("a/b").missing(["README.md"]) == [
        "config.json",
        "model.safetensors or model.safetensors.index.json or pytorch_model.bin or pytorch_model.bin.index.json",
        "tokenizer.json or tokenizer.model or vocab.json or vocab.txt or spiece.model",
    ]
    assert wanted("a/b", needs=(("config.json",),)).missing(["config.json"]) == []


# folders


@pytest.mark.parametrize("model", [whole_model(), split_model()], ids=["whole", "split"])
def test_a_whole_folder_is_used_as_it_is(tmp_path, model):
    folder = write_files(tmp_path / "clip", model)
    check_files(wanted(folder))
    assert locate(wanted(folder)) == folder
    assert files_revision(wanted(folder)).startswith("clip@")
    assert pinned(wanted(folder)) == wanted(folder)


DAMAGE = [
    (whole_model(), {"tokenizer.json": None}, r"lacks tokenizer\.json or tokenizer\.model.*complete it"),
    (whole_model(), {"model.safetensors": None}, r"lacks model\.safetensors or "),
    (whole_model(), {"model.safetensors": safetensors("a")[:-100]}, r"model\.safetensors is cut short: .* instead of"),
    (whole_model(), {"model.safetensors": b""}, r"model\.safetensors is empty"),
    (whole_model(), {"config.json": b"{"}, r"config\.json is cut short, or no JSON"),
    (split_model(), {"model-00002-of-00002.safetensors": None}, r"lacks model-00002-of-00002\.safetensors"),
    (split_model(), {"model-00002-of-00002.safetensors": b"\0" * 9}, r"model-00002-of-00002\.safetensors is no safe"),
    (split_model(), {"model.safetensors.index.json": b"{}"}, r"index\.json lists no weights"),
    (
        split_model(),
        {"model.safetensors.index.json": index({"a": "model-00001-of-00002.safetensors", "b": "../secret"})},
        r"names a file outside its folder",
    ),
    (
        split_model(),
        {"model.safetensors.index.json": index({"a": "model-00001-of-00002.safetensors", "b": "extra.safetensors"})},
        r"lacks extra\.safetensors",
    ),
]


@pytest.mark.parametrize(("model", "change", "words"), DAMAGE)
def test_a_damaged_folder_is_explained(tmp_path, model: dict[str, bytes], change: Mapping[str, bytes | None], words):
    changed = {name: data for name, data in {**model, **change}.items() if data is not None}
    assert re.search(words, refusal(wanted(write_files(tmp_path / "clip", changed))))


def test_a_folder_that_is_not_there_or_empty_is_explained(tmp_path):
    assert "there is no folder" in refusal(wanted(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    assert "empty has no file; complete it" in refusal(wanted(tmp_path / "empty"))


def test_a_name_that_means_nothing_is_explained():
    assert "names no model" in refusal(wanted("clip"))
    assert "needs the store of a job" in refusal(wanted("s3://bucket/clip"))


def test_a_folder_with_other_bytes_has_another_revision(tmp_path):
    folder = write_files(tmp_path / "clip", whole_model())
    before = files_revision(wanted(folder))
    write_files(folder, {"model.safetensors": safetensors("a", "b", value=2)})
    assert files_revision(wanted(folder)) != before


# the hub


@pytest.mark.parametrize("model", [whole_model(), split_model()], ids=["whole", "split"])
def test_a_model_of_the_hub_is_checked_then_fetched(hub: Hub, model):
    commit = hub.publish(NAME, {**model, "flax_model.msgpack": b"x" * 2000, "README.md": b"read"})
    check_files(wanted(f"{NAME}@{commit}"))
    assert hub.fetched() == []
    assert files(locate(wanted(f"{NAME}@{commit}"))) == model
    hub.asked.clear()
    check_files(wanted(f"{NAME}@{commit}"))
    locate(wanted(f"{NAME}@{commit}"))
    assert files_revision(wanted(f"{NAME}@{commit}")) == f"{NAME}@{commit[:12]}"
    assert hub.asked == []  # whole and pinned: no question is left


def test_a_hub_without_all_files_is_explained_before_anything_is_fetched(hub: Hub):
    model = split_model()
    del model["model-00002-of-00002.safetensors"], model["tokenizer.json"]
    commit = hub.publish(NAME, model)
    said = refusal(wanted(f"{NAME}@{commit}"))
    assert "lacks tokenizer.json or" in said and "model-00002-of-00002.safetensors; it has config.json" in said
    assert hub.fetched() == []


def test_a_part_of_a_model_in_the_cache_is_completed(hub: Hub):
    commit = hub.publish(NAME, whole_model())
    head = ModelFiles(setting="x", reference=f"{NAME}@{commit}", needs=(("config.json",),), patterns=())
    assert set(files(locate(head))) == {"config.json"}
    check_files(wanted(f"{NAME}@{commit}"))
    assert files(locate(wanted(f"{NAME}@{commit}"))) == whole_model()


def test_a_branch_is_pinned_for_other_processes(hub: Hub):
    first = hub.publish(NAME, whole_model())
    here = pinned(wanted(NAME))
    assert here.reference == f"{NAME}@{first}"
    hub.publish(NAME, {**whole_model(), "model.safetensors": safetensors("a", value=3)})
    assert files_revision(here) == f"{NAME}@{first[:12]}"
    assert files(locate(pickle.loads(pickle.dumps(here)))) == whole_model()


def test_damage_in_the_cache_is_explained_and_mended(hub: Hub):
    model = wanted(f"{NAME}@{hub.publish(NAME, whole_model())}")
    folder = locate(model)
    (folder / "model.safetensors").resolve().write_bytes(b"short")
    said = refusal(model)
    assert "model.safetensors is no safetensors file" in said and "python -m jobs.models" in said
    assert files(locate(model, mend=True)) == whole_model()
    check_files(model)


def test_offline_a_missing_model_is_explained(hub: Hub, monkeypatch):
    commit = hub.publish(NAME, whole_model())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "has no file in this machine's cache, and HF_HUB_OFFLINE forbids" in refusal(wanted(f"{NAME}@{commit}"))
    assert hub.asked == []


# object storage


@pytest.fixture
def url(s3_bucket: str) -> str:
    store = open_store(f"{s3_bucket}/models/clip")
    for name, data in {**split_model(), "pytorch_model.bin": b"x" * 2000, "README.md": b"read"}.items():
        store.put(name, data)
    return store.url


def test_a_model_of_the_store_is_checked_then_fetched(url, tmp_path):
    store = S3Models(tmp_path)
    check_files(wanted(url), store)
    assert not (tmp_path / "models").exists()
    folder = locate(wanted(url), store)
    assert files(folder) == split_model()
    assert locate(wanted(url), store) == folder
    assert files_revision(wanted(url), store).startswith("clip@")


def test_a_store_that_lacks_files_or_holds_damage_is_explained(url, tmp_path):
    store = open_store(url)
    store.delete(["tokenizer.json"])
    assert "lacks tokenizer.json or" in refusal(wanted(url), S3Models(tmp_path))
    store.put("tokenizer.json", b"{}")
    store.put("model-00001-of-00002.safetensors", b"version https://git-lfs.github.com/spec/v1\n")
    check_files(wanted(url), S3Models(tmp_path))  # the bytes are not looked at yet
    with pytest.raises(ConfigurationError, match=r"model-00001-of-00002\.safetensors is a Git LFS pointer"):
        locate(wanted(url), S3Models(tmp_path))
    assert "Git LFS pointer" in refusal(wanted(url), S3Models(tmp_path))


def test_a_store_that_changes_during_a_job_is_refused(url, tmp_path):
    store = S3Models(tmp_path)
    here = pickle.loads(pickle.dumps(pinned(wanted(url), store)))
    assert here.exactly == files_revision(wanted(url), store)
    assert locate(here, store) == locate(wanted(url), store)
    open_store(url).put("config.json", b'{"changed": true}')
    with pytest.raises(ConfigurationError, match="was changed while the job runs"):
        locate(here, store)


# operators


class Looks(ModelOperator):
    """An operator with a model."""

    name = "looks"
    writes = pa.schema([])
    Settings = ModelSettings
    reference = NAME

    def files(self) -> tuple[ModelFiles, ...]:
        return (wanted(self.reference),)

    def annotate(self, clips):
        return [{} for _ in clips]


def test_an_operator_loads_the_commit_that_its_fingerprint_names(hub: Hub):
    commit = hub.publish(NAME, whole_model())
    operator = Looks()
    operator.check()
    fingerprint = operator.fingerprint()
    hub.publish(NAME, {**whole_model(), "model.safetensors": safetensors("a", value=3)})
    there = pickle.loads(pickle.dumps(operator))
    assert there.revision() == f"{NAME}@{commit[:12]}"
    assert there.fingerprint() == fingerprint
    assert there.located(there.files()[0]).name == commit
