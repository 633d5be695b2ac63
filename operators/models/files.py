"""The files of a model: are they there, which bytes are they, and where on this machine?

A model comes from a hub (`operators.models.hub`), from a folder, or from object storage through the
`ModelStore` that the pipeline hands to operators. `python -m jobs.models` fetches ahead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from operators.contract import ModelStore
from operators.errors import ConfigurationError, MissingExtra
from operators.models.hub import HubSource
from operators.models.reference import ModelReference, Place, parse_reference
from operators.models.source import FolderSource, Source, names_in
from operators.models.stored import StoreSource
from operators.models.weights import INDEX, fault, shards, shards_by_name

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights as transformers writes them, the first that is there. Pickled ones are read with `weights_only`."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""A tokenizer's own file. transformers 5 builds an empty tokenizer where there is none, without a word."""

FETCHED = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
"""Small files that belong to a model, beside its weights."""

MENDING = "run `python -m jobs.models` to fetch it again, or replace it"


@dataclass(frozen=True, kw_only=True)
class Holding:
    """What this machine holds of a model. `sizes` are the bytes of the needed files that are there."""

    folder: Path | None
    sizes: Mapping[str, int]
    missing: tuple[str, ...] = ()
    damaged: Mapping[str, str]

    @property
    def whole(self) -> bool:
        """Whether every needed file is there and nothing is wrong with any."""
        return self.folder is not None and not self.missing and not self.damaged

    @property
    def problems(self) -> str:
        """What keeps it from being whole, in words."""
        if self.folder is None:
            return "has no file"
        lacks = [f"lacks {', '.join(self.missing)}"] if self.missing else []
        return "; ".join([*lacks, *(f"{name} {why}" for name, why in self.damaged.items())])


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model that an operator needs.

    `setting` is the name by which a person chooses it ("speech.model"), `reference` the chosen value.
    Of each entry in `needs`, a tuple of file names, one file must be there. `patterns` are what is
    fetched beside those, from the model's own folder and not from those below it. `exactly`, where given,
    is the only `files_revision` that `locate` accepts.

    A model that comes from elsewhere is a subclass with another `source`.
    """

    setting: str
    reference: str
    needs: tuple[tuple[str, ...], ...]
    patterns: tuple[str, ...] = FETCHED
    exactly: str = ""

    @property
    def parsed(self) -> ModelReference:
        """The reference, parsed. Raises `ConfigurationError` naming the setting."""
        with self.blamed():
            return parse_reference(self.reference)

    def source(self, store: ModelStore | None = None) -> Source:
        """Where the files come from. Raises `ConfigurationError`."""
        reference = self.parsed
        if reference.place is Place.FOLDER:
            return FolderSource(Path(reference.where), self.wanted)
        if reference.place is Place.HUB:
            return HubSource(reference)
        if store is None:
            raise ConfigurationError(f"{self.setting}: {reference} needs the store of a job; give a folder here")
        return StoreSource(reference.where, store, self.wanted)

    def wanted(self, there: Iterable[str]) -> list[str]:
        """Names among `there` to fetch: of each need the first that is there, with the parts of split weights."""
        names = sorted(there)
        chosen = {
            name
            for name in names
            if any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in self.patterns)
        }
        for first in self._firsts(names):
            chosen.add(first)
            if first.endswith(INDEX):
                chosen.update(shards_by_name(first, names)[0])
        return sorted(chosen)

    def missing(self, there: Iterable[str]) -> list[str]:
        """What is not among `there`, in words: "config.json", "tokenizer.json or vocab.txt"."""
        names = set(there)
        lacking = [" or ".join(choices) for choices in self.needs if not names.intersection(choices)]
        for first in self._firsts(names):
            if first.endswith(INDEX):
                lacking += shards_by_name(first, names)[1]
        return lacking

    def held(self, folder: Path | None) -> Holding:
        """What `folder` holds, whole or not: names, the parts that an index lists, headers and sizes."""
        there = names_in(folder) if folder is not None else []
        if folder is None or not there:
            return Holding(folder=None, sizes={}, missing=tuple(self.missing(())), damaged={})
        needed = dict.fromkeys(self.wanted(there))
        missing = self.missing(there)
        damaged = {name: why for name in needed if (why := fault(folder / name))}
        for index in self._firsts(there):
            if index.endswith(INDEX) and index not in damaged:
                try:
                    parts = [(PurePosixPath(index).parent / part).as_posix() for part in shards(folder / index)]
                except ValueError as problem:
                    damaged[index] = str(problem)
                    continue
                missing += [part for part in parts if part not in there and part not in missing]
                needed.update(dict.fromkeys(part for part in parts if part in there))
                damaged |= {part: why for part in parts if part in there and (why := fault(folder / part))}
        sizes = {name: (folder / name).stat().st_size for name in sorted(needed)}
        return Holding(folder=folder, sizes=sizes, missing=tuple(missing), damaged=damaged)

    @contextmanager
    def blamed(self) -> Iterator[None]:
        """Put the setting's name before what a `ConfigurationError` says."""
        try:
            yield
        except MissingExtra:
            raise
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.setting}: {problem}") from problem.__cause__

    def _firsts(self, there: Iterable[str]) -> list[str]:
        names = set(there)
        found = (next((choice for choice in choices if choice in names), None) for choices in self.needs)
        return [first for first in found if first is not None]


def check_files(wanted: ModelFiles, store: ModelStore | None = None) -> None:
    """Raise `ConfigurationError` with the remedy unless the model's files are all to be had. Fetches nothing."""
    with wanted.blamed():
        source = wanted.source(store)
        holding = wanted.held(source.held())
        if not holding.whole:
            _offered(wanted, source, holding)


def files_revision(wanted: ModelFiles, store: ModelStore | None = None) -> str:
    """Names the bytes of a model: "name@commit" on a hub, else its last name and a hash of its files."""
    with wanted.blamed():
        return wanted.source(store).version()


def pinned(wanted: ModelFiles, store: ModelStore | None = None) -> ModelFiles:
    """The same model by a name that means only the bytes that it means now, for other processes.

    A hub's branch becomes its commit; object storage that changes later is refused by `locate`. A folder
    stays as it is: hashing it on every node would take longer than loading it.
    """
    with wanted.blamed():
        reference, exactly = wanted.source(store).pin()
    return replace(wanted, reference=reference or wanted.reference, exactly=exactly)


def locate(wanted: ModelFiles, store: ModelStore | None = None, *, mend: bool = False) -> Path:
    """The folder with the model's files on this machine; fetched where they are not there yet.

    `mend` fetches damaged files again. Raises `ConfigurationError` with the remedy where files are missing
    or damaged, cannot be fetched, or are no longer those of `wanted.exactly`.
    """
    with wanted.blamed():
        source = wanted.source(store)
        if wanted.exactly and (now := source.version()) != wanted.exactly:
            raise ConfigurationError(
                f"{wanted.reference} was changed while the job runs: {now} instead of {wanted.exactly}; "
                "start the job again, and keep models under names of their own"
            )
        holding = wanted.held(source.held())
        if holding.whole and holding.folder is not None:
            return holding.folder
        offered = _offered(wanted, source, holding, mend=mend)
        folder = source.fetch(wanted.wanted(offered), again=tuple(holding.damaged))
        holding = wanted.held(folder)
        if not holding.whole:
            raise ConfigurationError(f"{wanted.reference} in {folder} {holding.problems}")
        return folder


def _offered(wanted: ModelFiles, source: Source, holding: Holding, *, mend: bool = False) -> list[str]:
    """Names that can be fetched, where they complete what this machine holds; else `ConfigurationError`."""
    offered = source.offered() if mend or not holding.damaged else None
    if offered is None and holding.damaged:
        raise ConfigurationError(f"{wanted.reference} in {holding.folder}: {holding.problems}; {MENDING}")
    if offered is None:
        raise ConfigurationError(source.absent(holding.problems))
    if lacking := wanted.missing(offered):
        has = ", ".join(sorted(offered)[:8]) or "no file"
        raise ConfigurationError(
            f"{wanted.reference} lacks {', '.join(lacking)}; it has {has}. Give another model, or complete this one"
        )
    return list(offered)
