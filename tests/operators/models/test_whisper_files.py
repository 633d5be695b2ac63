"""Which Whisper checkpoint a name means, where it comes from, and that its bytes are the published ones."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from operators.errors import ConfigurationError
from operators.models import whisper_files
from operators.models.files import check_files, files_revision, locate, pinned
from operators.models.whisper_files import ALIASES, RELEASES, WhisperFiles, release_of, releases_dir

CONTENT = b"\x80 not really a checkpoint, but pinned like one"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def files(reference: str) -> WhisperFiles:
    return WhisperFiles(setting="speech.model", reference=reference)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content` under any address, and notes what was asked for."""

    content = CONTENT
    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        self.send_response(200 if self.content else 404)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Server]]:
    """A server in the place of OpenAI's, with one release "tiny" on it, and an empty cache."""
    served = type("Served", (Server,), {"asked": []})
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), served)
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path / "rushes"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setattr(whisper_files, "ADDRESS", f"http://127.0.0.1:{web.server_port}/{{sha256}}/{{file}}")
    monkeypatch.setitem(RELEASES, "tiny", ("tiny.pt", DIGEST))
    yield served
    web.shutdown()
    thread.join()
    web.server_close()


def test_the_releases_are_the_package_s():
    whisper = pytest.importorskip("whisper")
    known = {name: (url.rpartition("/")[2], url.split("/")[-2]) for name, url in whisper._MODELS.items()}
    assert {**RELEASES, **{name: RELEASES[of] for name, of in ALIASES.items()}} == known
    assert set(known) == set(whisper._ALIGNMENT_HEADS)
    for name, (file, sha256) in RELEASES.items():
        assert whisper._MODELS[name] == whisper_files.ADDRESS.format(sha256=sha256, file=file)


def test_a_release_is_fetched_once_and_its_bytes_are_checked(server):
    wanted = files("tiny")
    check_files(wanted)
    assert server.asked == [], "checking fetches nothing"
    folder = locate(wanted)
    assert folder == releases_dir()
    assert wanted.checkpoint(folder).read_bytes() == CONTENT
    assert server.asked == [f"/{DIGEST}/tiny.pt"]
    assert locate(wanted) == folder
    check_files(wanted)
    assert len(server.asked) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.pt"]
    assert files_revision(wanted) == f"whisper-tiny@{DIGEST[:12]}"
    assert pinned(wanted) == wanted
    assert wanted.source().pinned
    assert release_of(folder / "tiny.pt") == "tiny"


def test_other_bytes_are_refused_and_not_kept(server):
    server.content = b"something else"
    with pytest.raises(ConfigurationError, match=r"speech\.model.*not Whisper's tiny.*SHA-256"):
        locate(files("tiny"))
    assert list(releases_dir().iterdir()) == []


def test_a_damaged_release_is_fetched_again(server):
    releases_dir().mkdir(parents=True)
    (releases_dir() / "tiny.pt").write_bytes(CONTENT[:-1])
    assert files("tiny").source().unlike(releases_dir(), ["tiny.pt"])
    assert files("tiny").checkpoint(locate(files("tiny"))).read_bytes() == CONTENT
    assert not files("tiny").source().unlike(releases_dir(), ["tiny.pt"])


def test_a_server_that_does_not_answer_is_said_with_the_remedy(server):
    server.content = b""
    with pytest.raises(ConfigurationError, match=r"speech\.model.*cannot be had.*404.*give a folder"):
        locate(files("tiny"))


def test_offline_asks_no_server(server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for ask in (check_files, locate):
        with pytest.raises(ConfigurationError, match=r"speech\.model.*HF_HUB_OFFLINE forbids.*jobs\.models"):
            ask(files("tiny"))
    assert server.asked == []
    releases_dir().mkdir(parents=True)
    (releases_dir() / "tiny.pt").write_bytes(CONTENT)
    check_files(files("tiny"))
    assert locate(files("tiny")) == releases_dir()


def test_an_alias_is_its_release():
    assert files("turbo").release == "large-v3-turbo"
    assert files_revision(files("large")) == files_revision(files("large-v3"))


@pytest.mark.parametrize("form", ["file", "folder"])
def test_a_checkpoint_of_one_s_own(tmp_path, form):
    path = tmp_path / "mine.pt"
    path.write_bytes(CONTENT)
    (tmp_path / "notes.txt").write_text("beside it")
    wanted = files(str(path if form == "file" else tmp_path))
    check_files(wanted)
    assert wanted.checkpoint(locate(wanted)) == path
    before = files_revision(wanted)
    path.write_bytes(CONTENT + b".")
    assert files_revision(wanted) != before
    assert release_of(path) == ""


def test_of_several_checkpoints_one_must_be_named(tmp_path):
    for name in ("a.pt", "b.pt"):
        (tmp_path / name).write_bytes(CONTENT)
    with pytest.raises(ConfigurationError, match=r"a\.pt, b\.pt: write the file's name"):
        check_files(files(str(tmp_path)))
    wanted = files(str(tmp_path / "b.pt"))
    check_files(wanted)
    assert wanted.checkpoint(locate(wanted)).name == "b.pt"


def test_a_folder_without_a_checkpoint(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=r"speech\.model.*a checkpoint \(\*\.pt\)"):
        check_files(files(str(tmp_path)))


@pytest.mark.parametrize("reference", ["smal", "openai/whisper-small", "", "https://host/small.pt"])
def test_what_names_no_checkpoint(reference):
    with pytest.raises(ConfigurationError, match=r"speech\.model.*names no Whisper checkpoint; write one of tiny\.en"):
        check_files(files(reference))


class Bucket:
    """An object store with one file, as operators know it."""

    def __init__(self, folder: Path, listing: dict[str, tuple[int, str]]) -> None:
        self.folder, self._listing = folder, listing
        self.asked: list[str] = []

    def listing(self, url):
        self.asked.append(url)
        return self._listing

    def held(self, url, names=None):
        return None

    def fetch(self, url, names=None, again=()):
        self.asked.append(f"{url} {sorted(names or ())}")
        (self.folder / "mine.pt").write_bytes(CONTENT)
        return self.folder


@pytest.mark.parametrize("reference", ["s3://models/whisper/mine.pt", "s3://models/whisper"])
def test_a_checkpoint_in_object_storage(tmp_path, reference):
    bucket = Bucket(tmp_path, {"mine.pt": (len(CONTENT), '"e1"'), "notes.txt": (3, '"e2"')})
    wanted = files(reference)
    check_files(wanted, bucket)
    assert wanted.checkpoint(locate(wanted, bucket)).read_bytes() == CONTENT
    assert {asked.partition(" ")[0] for asked in bucket.asked} == {"s3://models/whisper"}
    assert "s3://models/whisper ['mine.pt']" in bucket.asked
