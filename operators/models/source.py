"""Where the files of one model come from: what is on this machine, what could be fetched, and which bytes they are."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from operators.errors import ConfigurationError
from operators.models.digests import file_digest

DIGITS = 12
"""Hex digits of a commit or digest, in provenance and fingerprints."""

Choose = Callable[[Iterable[str]], Sequence[str]]
"""Of the names that are there, those that a model needs."""


class Source(ABC):
    """One model's origin. File names are relative to the model's folder and '/'-separated.

    Every method raises `ConfigurationError` that says what to do.
    """

    pinned: bool = False
    """Whether the reference can only ever mean the same bytes."""

    @abstractmethod
    def held(self) -> Path | None:
        """The folder on this machine, whole or not; None where there is none. Never touches a hub."""

    @abstractmethod
    def offered(self) -> Mapping[str, int | None] | None:
        """Files that can be fetched, with their bytes where known; None where nothing can be fetched."""

    @abstractmethod
    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        """The folder with `names`, fetched where they are missing; those of `again` are replaced."""

    @abstractmethod
    def version(self) -> str:
        """Names the bytes that the model needs: "name@digits"."""

    @abstractmethod
    def absent(self, problems: str) -> str:
        """What to tell a person where the files have `problems` and `offered` is None."""

    def pin(self) -> tuple[str, str]:
        """A reference to exactly these bytes, and the only `version` to accept; each "" where it is not needed."""
        return "", ""

    def unlike(self, folder: Path, names: Sequence[str]) -> list[str]:
        """Which of `names` in `folder` are not the bytes that the origin lists, in words. Reads every byte."""
        return []


class FolderSource(Source):
    """A folder that somebody filled, on every node."""

    def __init__(self, folder: Path, choose: Choose) -> None:
        self.folder = folder
        self.choose = choose

    def held(self) -> Path:
        if not self.folder.is_dir():
            raise ConfigurationError(f"there is no folder {self.folder}; check the path, on every node")
        return self.folder

    def offered(self) -> None:
        return None

    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        return self.held()

    def version(self) -> str:
        folder = self.held()
        facts = {name: file_digest(folder / name) for name in self.choose(names_in(folder))}
        return f"{folder.name}@{digest_of(facts)}"

    def absent(self, problems: str) -> str:
        return f"{self.folder} {problems}; complete it, or give another model"


def names_in(folder: Path) -> list[str]:
    """The files below a folder, by relative names with slashes, sorted."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def digest_of(facts: Mapping[str, str]) -> str:
    """`DIGITS` hex digits that name files; `facts` are their digests or ETags."""
    lines = "".join(f"{name}\0{fact}\n" for name, fact in sorted(facts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:DIGITS]
