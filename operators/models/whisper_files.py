"""Whisper's checkpoints: those that OpenAI released, by name and checksum, and others from a folder or s3://.

small                           a release; fetched once into the folder that openai-whisper itself uses
/models/whisper/small.pt        a checkpoint file on every node; or the folder that holds just one
s3://bucket/whisper/small.pt    the same in object storage; or the prefix that holds just one

The releases' addresses and checksums are those of openai-whisper 20250625.
"""

from __future__ import annotations

import os
import tempfile
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from operators.contract import ModelStore
from operators.errors import ConfigurationError
from operators.models.digests import CHUNK, file_digest
from operators.models.files import ModelFiles
from operators.models.hub import OFFLINE, offline
from operators.models.reference import ModelReference, Place, parse_reference
from operators.models.source import DIGITS, Source

ADDRESS = "https://openaipublic.azureedge.net/main/whisper/models/{sha256}/{file}"
ANSWER_SECONDS = 60
CHECKPOINT = "*.pt"

RELEASES = {
    "tiny.en": ("tiny.en.pt", "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"),
    "tiny": ("tiny.pt", "65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9"),
    "base.en": ("base.en.pt", "25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead"),
    "base": ("base.pt", "ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e"),
    "small.en": ("small.en.pt", "f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872"),
    "small": ("small.pt", "9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794"),
    "medium.en": ("medium.en.pt", "d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f"),
    "medium": ("medium.pt", "345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1"),
    "large-v1": ("large-v1.pt", "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a"),
    "large-v2": ("large-v2.pt", "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524"),
    "large-v3": ("large-v3.pt", "e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb"),
    "large-v3-turbo": ("large-v3-turbo.pt", "aff26ae408abcba5fbf8813c21e62b0941638c5f6eebfb145be0c9839262a19a"),
}
"""File name and SHA-256 of every release, by its name in openai-whisper."""

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}


@dataclass(frozen=True, kw_only=True)
class WhisperFiles(ModelFiles):
    """One Whisper checkpoint, the only file it needs."""

    needs: tuple[tuple[str, ...], ...] = ()
    patterns: tuple[str, ...] = ()

    @property
    def release(self) -> str:
        """The release that the reference names, "" for a checkpoint from elsewhere."""
        name = ALIASES.get(self.reference, self.reference)
        return name if name in RELEASES else ""

    @property
    def parsed(self) -> ModelReference:
        place, _, file = self.reference.rpartition("/")
        with self.blamed():
            try:
                found = parse_reference(place if fnmatch(file, CHECKPOINT) else self.reference)
            except ConfigurationError:
                raise ConfigurationError(self._unknown()) from None
            if found.place is Place.HUB:
                raise ConfigurationError(self._unknown())
            return found

    def source(self, store: ModelStore | None = None) -> Source:
        return ReleaseSource(self.release) if self.release else super().source(store)

    def wanted(self, there: Iterable[str]) -> list[str]:
        """The checkpoint among `there`, where there is no doubt which."""
        found = self._checkpoints(there)
        return found if len(found) == 1 else []

    def missing(self, there: Iterable[str]) -> list[str]:
        found = self._checkpoints(there)
        if len(found) > 1:
            return [f"an only checkpoint (it holds {', '.join(found[:4])}: write the file's name after a slash)"]
        return [] if found else [self._file or f"a checkpoint ({CHECKPOINT})"]

    def checkpoint(self, folder: Path) -> Path:
        """The checkpoint's path in the folder that `locate` gave."""
        [name] = self.wanted(path.name for path in folder.iterdir())
        return folder / name

    @property
    def _file(self) -> str:
        if self.release:
            return RELEASES[self.release][0]
        name = self.reference.rpartition("/")[2]
        return name if fnmatch(name, CHECKPOINT) else ""

    def _checkpoints(self, there: Iterable[str]) -> list[str]:
        own = [name for name in there if "/" not in name and fnmatch(name, CHECKPOINT)]
        return sorted(name for name in own if name == self._file or not self._file)

    def _unknown(self) -> str:
        names = ", ".join([*RELEASES, *ALIASES])
        return (
            f"{self.reference!r:.120} names no Whisper checkpoint; write one of {names}, a path, or s3://bucket/prefix"
        )


class ReleaseSource(Source):
    """A release of OpenAI's, pinned by its checksum: a file that differs is none."""

    pinned = True

    def __init__(self, release: str) -> None:
        self.release = release
        self.file, self.sha256 = RELEASES[release]

    def held(self) -> Path | None:
        path = releases_dir() / self.file
        return path.parent if path.is_file() and file_digest(path) == self.sha256 else None

    def offered(self) -> Mapping[str, int | None] | None:
        return None if offline() else {self.file: None}

    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        if offline():
            raise ConfigurationError(self.absent("is missing"))
        folder = releases_dir()
        address = ADDRESS.format(sha256=self.sha256, file=self.file)
        part = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=folder, prefix=f".{self.file}.")
            with os.fdopen(handle, "wb") as file, urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
            if (digest := file_digest(Path(part))) != self.sha256:
                raise ConfigurationError(
                    f"what {address} sent is not Whisper's {self.release}: its SHA-256 is {digest[:DIGITS]}…; "
                    "try again, and look for a proxy that changes downloads"
                )
            Path(part).replace(folder / self.file)
            part = None
        except OSError as problem:
            raise ConfigurationError(
                f"Whisper's {self.release} cannot be had from {address} ({problem}); check the network and the disk, "
                f"or give a folder or an s3:// prefix that holds {self.file}"
            ) from problem
        finally:
            if part is not None:
                Path(part).unlink(missing_ok=True)
        return folder

    def version(self) -> str:
        return f"whisper-{self.release}@{self.sha256[:DIGITS]}"

    def absent(self, problems: str) -> str:
        return (
            f"Whisper's {self.release} {problems} in {releases_dir()}, and {OFFLINE[0]} forbids to fetch it; run "
            "`python -m jobs.models` where there is a network and bring that folder here, or give a path"
        )

    def unlike(self, folder: Path, names: Sequence[str]) -> list[str]:
        digest = file_digest(folder / self.file)
        return [] if digest == self.sha256 else [f"{self.file} is not the release: its SHA-256 is {digest[:DIGITS]}…"]


def releases_dir() -> Path:
    """openai-whisper's own cache: `$XDG_CACHE_HOME/whisper`, else `~/.cache/whisper`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"


def release_of(path: Path) -> str:
    """Which release the file at `path` is, by its checksum; "" for none."""
    digest = file_digest(path)
    return next((name for name, (_, sha256) in RELEASES.items() if sha256 == digest), "")
