"""Models in object storage, through the `ModelStore` that a job brings: operators know no storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from operators.contract import ModelStore
from operators.models.source import Choose, Source, digest_of


class StoreSource(Source):
    """A prefix `s3://bucket/prefix`; its version is that of the sizes and ETags of what the model needs."""

    def __init__(self, url: str, store: ModelStore, choose: Choose) -> None:
        self.url = url
        self.store = store
        self.choose = choose

    def held(self) -> Path | None:
        return self.store.held(self.url, self._names())

    def offered(self) -> Mapping[str, int | None]:
        return {name: size for name, (size, _) in self.store.listing(self.url).items()}

    def fetch(self, names: Sequence[str], again: Sequence[str] = ()) -> Path:
        return self.store.fetch(self.url, names, again)

    def version(self) -> str:
        listing = self.store.listing(self.url)
        facts = {name: "{} {}".format(*listing[name]) for name in self.choose(listing)}
        return f"{self.url.rstrip('/').rpartition('/')[2]}@{digest_of(facts)}"

    def pin(self) -> tuple[str, str]:
        return "", self.version()

    def absent(self, problems: str) -> str:
        return f"{self.url} {problems}"

    def _names(self) -> Sequence[str]:
        return self.choose(self.store.listing(self.url))
