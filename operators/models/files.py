"""The files of a model: are they there, which bytes are they, and where on this machine?

A model comes from a hub (through huggingface_hub's cache, which `python -m jobs.models` fills ahead),
from a folder, or from object storage through the `ModelStore` that the pipeline hands to operators.
`HF_HUB_OFFLINE=1` keeps every look-up off the network.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from operators.contract import ModelStore
from operators.errors import ConfigurationError, MissingExtra
from operators.models.reference import ModelReference, Place, parse_reference

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights as transformers writes them, the first that is there. Pickled ones are read with `weights_only`."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""A tokenizer's own file. transformers 5 builds an empty tokenizer where there is none, without a word."""

FETCHED = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
"""Small files that belong to a model, beside its weights."""

OFFLINE = "HF_HUB_OFFLINE"
DIGITS = 12  # of a hash, in provenance and fingerprints
CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model that an operator needs.

    `setting` is the name by which a person chooses it ("speech.model"), `reference` the chosen value.
    Of each entry in `needs`, a tuple of file names, one file must be there. `patterns` are what is
    fetched from a hub beside those.
    """

    setting: str
    reference: str
    needs: tuple[tuple[str, ...], ...]
    patterns: tuple[str, ...] = FETCHED

    @property
    def parsed(self) -> ModelReference:
        """The reference, parsed. Raises `ConfigurationError` naming the setting."""
        try:
            return parse_reference(self.reference)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.setting}: {problem}") from None

    def wanted(self, there: Iterable[str]) -> list[str]:
        """Names among `there` to fetch: of each need the first that is there, with the parts of split weights."""
        names = sorted(there)
        chosen = {name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in self.patterns)}
        for choices in self.needs:
            first = next((choice for choice in choices if choice in names), None)
            if first is None:
                continue
            chosen.add(first)
            if first.endswith(".index.json"):
                suffix = Path(first.removesuffix(".index.json")).suffix
                stem = first.removesuffix(f"{suffix}.index.json")
                chosen.update(name for name in names if fnmatch.fnmatch(name, f"{stem}-*-of-*{suffix}"))
        return sorted(chosen)

    def missing(self, there: Iterable[str]) -> list[str]:
        """What is not among `there`, in words: "config.json", "tokenizer.json or vocab.txt"."""
        names = set(there)
        return [" or ".join(choices) for choices in self.needs if not names.intersection(choices)]


def check_files(wanted: ModelFiles, store: ModelStore | None = None) -> None:
    """Raise `ConfigurationError` with the remedy unless the model's files are all to be had. Fetches nothing."""
    reference = wanted.parsed
    there = _names(wanted, reference, store)
    if lacking := wanted.missing(there):
        raise ConfigurationError(
            f"{wanted.setting}: {reference} lacks {', '.join(lacking)}; it has "
            f"{', '.join(sorted(there)[:8]) or 'no file'}. Give another model, or complete this one"
        )


def files_revision(wanted: ModelFiles, store: ModelStore | None = None) -> str:
    """Names the bytes of a model: "name@commit" on a hub, else its last name and a hash of its files."""
    reference = wanted.parsed
    if reference.place is Place.HUB:
        commit = reference.revision if reference.pinned else _commit(wanted, reference)
        return f"{reference.where}@{commit[:DIGITS]}"
    if reference.place is Place.STORE:
        listing = _store(wanted, store).listing(reference.where)
        facts = "".join(f"{name}\0{size}\0{etag}\n" for name, (size, etag) in sorted(listing.items()))
    else:
        folder = Path(reference.where)
        names = wanted.wanted(_names(wanted, reference, store))
        facts = "".join(f"{name}\0{_file_digest(folder / name)}\n" for name in names)
    digest = hashlib.sha256(facts.encode()).hexdigest()[:DIGITS]
    return f"{reference.where.rstrip('/').rpartition('/')[2]}@{digest}"


def locate(wanted: ModelFiles, store: ModelStore | None = None) -> Path:
    """The folder with the model's files on this machine; fetched where it is not there yet.

    Raises `ConfigurationError` with the remedy where files are missing or cannot be fetched.
    """
    reference = wanted.parsed
    if reference.place is Place.FOLDER:
        folder = Path(reference.where)
    elif reference.place is Place.STORE:
        folder = _store(wanted, store).fetch(reference.where)
    else:
        folder = _cached(wanted, reference) or _fetched(wanted, reference)
    there = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    if lacking := wanted.missing(there):
        raise ConfigurationError(f"{wanted.setting}: {reference} lacks {', '.join(lacking)} in {folder}")
    return folder


def offline() -> bool:
    """Whether the environment forbids the network to the hub's library."""
    return os.environ.get(OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}


def _names(wanted: ModelFiles, reference: ModelReference, store: ModelStore | None) -> list[str]:
    if reference.place is Place.STORE:
        return list(_store(wanted, store).listing(reference.where))
    folder = Path(reference.where) if reference.place is Place.FOLDER else _cached(wanted, reference)
    if folder is not None:
        if not folder.is_dir():
            raise ConfigurationError(f"{wanted.setting}: there is no folder {folder}")
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
        if reference.place is Place.FOLDER or not wanted.missing(names):
            return names
    return [entry.rfilename for entry in _on_hub(wanted, reference).siblings or ()]


def _store(wanted: ModelFiles, store: ModelStore | None) -> ModelStore:
    if store is None:
        raise ConfigurationError(f"{wanted.setting}: {wanted.reference} needs the store of a job; give a folder here")
    return store


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as problem:
        raise MissingExtra("huggingface_hub", "models") from problem
    return huggingface_hub


def _cached(wanted: ModelFiles, reference: ModelReference) -> Path | None:
    """The snapshot in the hub's cache, whole or not; None where there is none."""
    hub = _hub()
    try:
        return Path(hub.snapshot_download(reference.where, revision=reference.revision, local_files_only=True))
    except (hub.errors.LocalEntryNotFoundError, hub.errors.HFValidationError):
        return None


def _fetched(wanted: ModelFiles, reference: ModelReference) -> Path:
    names = wanted.wanted(entry.rfilename for entry in _on_hub(wanted, reference).siblings or ())
    try:
        return Path(_hub().snapshot_download(reference.where, revision=reference.revision, allow_patterns=names))
    except Exception as problem:
        raise _unreachable(wanted, reference, problem) from problem


def _on_hub(wanted: ModelFiles, reference: ModelReference) -> Any:
    """The hub's description of the repository at the revision: `siblings`, `sha`."""
    if offline():
        raise ConfigurationError(
            f"{wanted.setting}: {reference} is not whole in this machine's cache and {OFFLINE} forbids to fetch it; "
            "run `python -m jobs.models` where there is a network and bring its cache, or give a folder"
        )
    try:
        return _hub().HfApi().model_info(reference.where, revision=reference.revision, timeout=30)
    except Exception as problem:
        raise _unreachable(wanted, reference, problem) from problem


def _unreachable(wanted: ModelFiles, reference: ModelReference, problem: Exception) -> ConfigurationError:
    first = str(problem).strip().split("\n")[0][:200] or type(problem).__name__
    return ConfigurationError(
        f"{wanted.setting}: {reference} cannot be had from the hub ({first}); check the name and the network, "
        "or give a folder or an s3:// prefix that holds it"
    )


def _commit(wanted: ModelFiles, reference: ModelReference) -> str:
    if offline() and (folder := _cached(wanted, reference)) is not None:
        return folder.name
    return str(_on_hub(wanted, reference).sha)


def _file_digest(path: Path) -> str:
    stamp = path.stat()
    return _digest(path, stamp.st_size, stamp.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()
