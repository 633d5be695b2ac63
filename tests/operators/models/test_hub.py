"""Models of a hub over real HTTP: fetched whole or not at all, explained, and never looked up offline."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from operators.errors import ConfigurationError, MissingExtra
from operators.models.hub import HubSource, git_blob, offline
from operators.models.reference import parse_reference
from tests.hub_server import Hub, digest_of
from tests.model_folder import safetensors, whole_model

NAME = "owner/tiny"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def commit(hub: Hub) -> str:
    return hub.publish(NAME, {**whole_model(), "flax_model.msgpack": b"x" * 5000, "onnx/model.onnx": b"y" * 5000})


def source(revision: str = "main") -> HubSource:
    return HubSource(parse_reference(f"{NAME}@{revision}"))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_is_fetched_and_nothing_else(hub, commit):
    assert source(commit).held() is None
    offered = source(commit).offered()
    assert offered is not None and offered["model.safetensors"] == len(whole_model()["model.safetensors"])
    folder = source(commit).fetch(list(whole_model()))
    assert files(folder) == whole_model()
    assert folder.name == commit
    assert sorted(set(hub.fetched())) == sorted(whole_model())
    assert source(commit).held() == folder


def test_a_second_fetch_asks_for_no_bytes(hub, commit):
    source(commit).fetch(list(whole_model()))
    hub.asked.clear()
    source(commit).fetch(list(whole_model()))
    assert hub.fetched() == []


def test_a_branch_means_the_commit_in_the_cache(hub, commit):
    assert source().version() == f"{NAME}@{commit[:12]}"  # the hub's, while the cache has none
    source().fetch(list(whole_model()))
    newer = hub.publish(NAME, {**whole_model(), "model.safetensors": safetensors("a", value=7)})
    assert newer != commit
    assert source().version() == f"{NAME}@{commit[:12]}"
    assert source().pin() == (f"{NAME}@{commit}", "")
    assert not source().pinned
    assert source(commit).pinned


def test_names_are_no_patterns(hub):
    commit = hub.publish(NAME, {"a[1].json": b"{}", "a1.json": b"{}", "b*.json": b"{}", "bb.json": b"{}"})
    assert set(files(source(commit).fetch(["a[1].json", "b*.json"]))) == {"a[1].json", "b*.json"}


def test_a_broken_connection_goes_on_where_it_broke(hub, commit, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.cut["model.safetensors"] = 1500
    assert files(source(commit).fetch(["model.safetensors"])) == {
        "model.safetensors": whole_model()["model.safetensors"]
    }
    assert hub.fetched().count("model.safetensors") > 1


def test_a_killed_fetch_leaves_nothing_that_looks_whole(hub, commit, tmp_path):
    hub.stall["model.safetensors"] = threading.Event()
    code = (
        "from operators.models.hub import HubSource\nfrom operators.models.reference import parse_reference\n"
        f"HubSource(parse_reference('{NAME}@{commit}')).fetch({list(whole_model())!r})"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "hub").rglob("*.incomplete")):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait(timeout=30)
    hub.stall.pop("model.safetensors").set()
    held = source(commit).held()
    assert held is None or "model.safetensors" not in files(held)
    assert files(source(commit).fetch(list(whole_model()))) == whole_model()


@pytest.mark.parametrize("claimed", [-100, 100])
def test_a_file_of_another_size_than_listed_is_refused(hub, commit, claimed):
    hub.sizes["model.safetensors"] = len(whole_model()["model.safetensors"]) + claimed
    with pytest.raises(ConfigurationError, match="cannot be had from the hub"):
        source(commit).fetch(["model.safetensors"])
    held = source(commit).held()
    assert held is None or files(held) == {}


def test_bytes_that_the_list_does_not_name_are_found(hub, commit):
    good = whole_model()
    hub.instead["model.safetensors"] = bytes(len(good["model.safetensors"]))
    hub.instead["config.json"] = b" " * len(good["config.json"])
    folder = source(commit).fetch(list(good))
    problems = source(commit).unlike(folder, list(good))
    assert [problem.split(" is not")[0] for problem in problems] == ["config.json", "model.safetensors"]
    hub.instead.clear()
    folder = source(commit).fetch(list(good), again=["config.json", "model.safetensors"])
    assert source(commit).unlike(folder, list(good)) == []
    assert files(folder) == good


def test_an_etag_that_the_list_does_not_name_is_found(hub, commit):
    hub.etags["model.safetensors"] = "f" * 64
    hub.instead["model.safetensors"] = bytes(len(whole_model()["model.safetensors"]))
    folder = source(commit).fetch(["model.safetensors"])
    [problem] = source(commit).unlike(folder, ["model.safetensors"])
    assert problem.startswith("model.safetensors is not the hub's file")


def test_digests_are_known_from_the_cache_alone(hub, commit, tmp_path):
    folder = source(commit).fetch(list(whole_model()))
    [listing] = (tmp_path / "hub").rglob("trees/*.json")
    listing.unlink()  # a cache that an older library filled has none
    hub.asked.clear()
    (folder / "model.safetensors").resolve().write_bytes(safetensors("a", value=9))
    [problem] = source(commit).unlike(folder, list(whole_model()))
    assert problem.startswith("model.safetensors is not")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((401, "RepoNotFound"), r"shows no model owner/tiny.*HF_TOKEN"),
        ((404, "RepoNotFound"), r"shows no model owner/tiny"),
        ((403, "GatedRepo"), r"is gated: accept its terms.*HF_TOKEN"),
        ((404, "RevisionNotFound"), r"has no revision"),
        ((403, ""), r"the hub answered 403"),
        ((500, ""), r"the hub answered 500"),
    ],
)
def test_refusals_say_what_to_do(hub, commit, refusal, words):
    hub.refuse[NAME] = refusal
    with pytest.raises(ConfigurationError, match=words):
        source("main").offered()
    with pytest.raises(ConfigurationError):
        source(commit).fetch(["config.json"])


def test_an_unknown_name_revision_and_file(hub, commit):
    with pytest.raises(ConfigurationError, match="shows no model owner/other"):
        HubSource(parse_reference("owner/other")).version()
    with pytest.raises(ConfigurationError, match=r"has no revision v9"):
        source("v9").offered()
    with pytest.raises(ConfigurationError, match=r"has no revision 0{40}"):
        source("0" * 40).fetch(["config.json"])
    assert files(source(commit).fetch(["gone.json", "config.json"])) == {"config.json": whole_model()["config.json"]}


@pytest.mark.parametrize("name", ["owner/a--b", "owner/tiny.git", f"owner/{'x' * 100}"])
def test_a_name_that_no_hub_takes_is_explained(hub, name):
    with pytest.raises(ConfigurationError, match="is no name of the hub's"):
        HubSource(parse_reference(name)).held()
    assert hub.asked == []


def test_a_hub_that_does_not_answer_is_explained(commit, monkeypatch):
    from huggingface_hub import constants

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConfigurationError, match=r"cannot be had from the hub .*check the network"):
            source().offered()


@pytest.fixture
def no_sockets(monkeypatch):
    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_opens_no_connection(hub, commit, request, monkeypatch, variable):
    folder = source().fetch(list(whole_model()))
    asked = list(hub.asked)
    monkeypatch.setenv(variable, "1")
    request.getfixturevalue("no_sockets")
    assert offline()
    for one in (source(), source(commit)):
        assert one.held() == folder
        assert one.offered() is None
        assert one.version() == f"{NAME}@{commit[:12]}"
        assert one.pin() == (f"{NAME}@{commit}", "")
        assert one.unlike(folder, list(whole_model())) == []
        with pytest.raises(ConfigurationError, match=r"HF_HUB_OFFLINE forbids.*python -m jobs\.models"):
            one.fetch(["flax_model.msgpack"])
    with pytest.raises(ConfigurationError, match="HF_HUB_OFFLINE forbids"):
        HubSource(parse_reference("owner/other")).version()
    assert hub.asked == asked


def test_small_files_are_named_as_git_names_them(tmp_path):
    (tmp_path / "a").write_bytes(b"hello\n")
    assert git_blob(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a" == digest_of(b"hello\n")


def test_without_its_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"pip install 'rushes\[models\]'"):
        source().held()
