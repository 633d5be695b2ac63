"""How a person names a model: on a hub, in a folder, or in object storage.

openai/clip-vit-large-patch14@32bd64288804d66eefd0ccbe215aa642df71cc41    a hub's repository at a commit
/models/clip  or  ./clip                                                   a folder on every node
s3://bucket/models/clip                                                    a prefix in object storage
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from operators.errors import ConfigurationError

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*\Z", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9][\w.-]{0,99}\Z", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}\Z")


class Place(StrEnum):
    """Where a model's files come from."""

    HUB = "hub"
    FOLDER = "folder"
    STORE = "store"


@dataclass(frozen=True)
class ModelReference:
    """A model by name. `where` is the hub's repository, the folder or the URL; `revision` the hub's, else ""."""

    place: Place
    where: str
    revision: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the name can only ever mean the same bytes."""
        return bool(COMMIT.match(self.revision))

    def __str__(self) -> str:
        return f"{self.where}@{self.revision}" if self.revision else self.where


def parse_reference(text: str) -> ModelReference:
    """The reference that `text` writes. Raises `ConfigurationError` for anything else, naming the three forms."""
    if text.startswith("s3://"):
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if bucket and prefix and ".." not in prefix.split("/"):
            return ModelReference(Place.STORE, text.rstrip("/"))
    elif text.startswith(("/", "./", "../", "~/")):
        return ModelReference(Place.FOLDER, str(Path(text).expanduser().resolve()))
    elif "://" not in text:
        name, at, revision = text.partition("@")
        if HUB_NAME.match(name) and ".." not in name and (not at or REVISION.match(revision)):
            return ModelReference(Place.HUB, name, revision or "main")
    raise ConfigurationError(
        f"{text!r:.120} names no model; write owner/name@commit for a hub, /folder or ./folder, or s3://bucket/prefix"
    )
