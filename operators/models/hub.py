"""Models of a hub, through huggingface_hub: its cache, its names, its commits.

`HF_HOME`, `HF_HUB_CACHE`, `HF_ENDPOINT` and `HF_TOKEN` are that library's own. With `HF_HUB_OFFLINE=1`
nothing here opens a connection.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from operators.errors import ConfigurationError, MissingExtra
from operators.models.digests import CHUNK, file_digest
from operators.models.reference import ModelReference
from operators.models.source import DIGITS, Source
from operators.models.weights import read_json

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
ANSWER_SECONDS = 30
SHA256 = re.compile(r"[0-9a-f]{64}\Z")
GIT_BLOB = re.compile(r"[0-9a-f]{40}\Z")


class HubSource(Source):
    """A repository of the hub at a revision; one that is not a commit means the commit in the cache, if any."""

    def __init__(self, reference: ModelReference) -> None:
        self.reference = reference
        self.pinned = reference.pinned

    def held(self) -> Path | None:
        hub = import_hub()
        try:
            return Path(
                hub.snapshot_download(self.reference.where, revision=self.reference.revision, local_files_only=True)
            )
        except hub.errors.LocalEntryNotFoundError as problem:
            part = getattr(problem, "snapshot_path", None)  # the whole repository is not there; what we need may be
            return Path(part) if part else None
        except hub.errors.HFValidationError as problem:
            raise ConfigurationError(f"{self.reference.where!r:.120} is no name of the hub's: {problem}") from None

    def offered(self) -> Mapping[str, int | None] | None:
        if offline():
            return None
        return {entry.rfilename: entry.size for entry in self._described().siblings or ()}

    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        if offline():
            raise ConfigurationError(self.absent("is missing"))
        hub = import_hub()
        at = {"repo_id": self.reference.where, "revision": self.reference.revision}
        try:
            for name in again:
                hub.hf_hub_download(filename=name, force_download=True, **at)
            return Path(hub.snapshot_download(**at, allow_patterns=[glob.escape(name) for name in names]))
        except Exception as problem:
            self._explain(problem)

    def version(self) -> str:
        return f"{self.reference.where}@{self._commit()[:DIGITS]}"

    def pin(self) -> tuple[str, str]:
        return f"{self.reference.where}@{self._commit()}", ""

    def absent(self, problems: str) -> str:
        return (
            f"{self.reference} {problems} in this machine's cache, and {OFFLINE[0]} forbids to fetch it; run "
            "`python -m jobs.models` where there is a network and bring its cache here, or give a folder"
        )

    def unlike(self, folder: Path, names: Sequence[str]) -> list[str]:
        """As in `Source`, against the digests of the hub's listing, kept in its cache: no network."""
        listed = _listed_digests(folder)
        problems = []
        for name in names:
            expected = listed.get(name) or (folder / name).resolve().name  # the cache names its files by digest
            if SHA256.match(expected):
                actual = file_digest(folder / name)
            elif GIT_BLOB.match(expected):
                actual = git_blob(folder / name)
            else:
                continue
            if actual != expected:
                problems.append(f"{name} is not the hub's file: its digest is {actual[:DIGITS]}…")
        return problems

    def _commit(self) -> str:
        if self.pinned:
            return self.reference.revision
        if (folder := self.held()) is not None:
            return folder.name
        if offline():
            raise ConfigurationError(self.absent("is missing"))
        return str(self._described().sha)

    def _described(self) -> Any:
        """The hub's description of the repository: `sha`, and `siblings` with `rfilename` and `size`."""
        try:
            api = import_hub().HfApi()
            at = self.reference.revision
            return api.model_info(self.reference.where, revision=at, files_metadata=True, timeout=ANSWER_SECONDS)
        except Exception as problem:
            self._explain(problem)

    def _explain(self, problem: Exception) -> NoReturn:
        """Raise what a person can do about `problem`."""
        errors = import_hub().errors
        status = getattr(getattr(problem, "response", None), "status_code", None)
        name = self.reference.where
        if isinstance(problem, errors.GatedRepoError):
            why = f"{name} is gated: accept its terms on its page, and set HF_TOKEN to a token of that account"
        elif isinstance(problem, errors.RepositoryNotFoundError):
            why = f"the hub shows no model {name}: check the name, and set HF_TOKEN if it is private"
        elif isinstance(problem, errors.RevisionNotFoundError):
            why = f"{name} has no revision {self.reference.revision}: give a commit of its history"
        elif isinstance(problem, errors.RemoteEntryNotFoundError):
            why = f"{self.reference} lacks a file that its own list names; try again"
        elif status is not None:
            why = f"{self.reference}: the hub answered {status}; try again, or check HF_TOKEN and HF_ENDPOINT"
        else:
            first = str(problem).strip().split("\n")[0][:200] or type(problem).__name__
            why = (
                f"{self.reference} cannot be had from the hub ({first}); check the network and the disk, or give a "
                "folder or an s3:// prefix that holds it"
            )
        raise ConfigurationError(why) from problem


def _listed_digests(snapshot: Path) -> dict[str, str]:
    """SHA-256 or Git digest by name, from the listing that huggingface_hub (1.33) keeps beside its snapshots."""
    try:
        files = read_json(snapshot.parent.parent / "trees" / f"{snapshot.name}.json")["files"]
        return {name: str(facts.get("lfs_sha256") or facts["blob_id"]) for name, facts in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def import_hub() -> Any:
    """huggingface_hub, or `MissingExtra`."""
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError as problem:
        raise MissingExtra("huggingface_hub", "models") from problem
    return huggingface_hub


def offline() -> bool:
    """Whether the environment forbids the network to the hub's library."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in OFFLINE)


def git_blob(path: Path) -> str:
    """Git's name of a file: SHA-1 of its length and bytes, by which the hub lists small files."""
    found = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
