"""How the models of a preset stand on this machine: whole, missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from operators.errors import RushesError

if TYPE_CHECKING:
    from operators.contract import ModelStore, Operator
    from operators.models.files import ModelFiles

State = Literal["whole", "missing", "damaged"]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class ModelState:
    """One model that one operator needs. `size` in bytes, of the files here or else of those published."""

    operator: str
    setting: str
    model: str
    pinned: bool
    role: str
    licence: str
    size: int | None
    state: State
    where: str
    problem: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A model, and the operator that needs it."""

    operator: str
    files: ModelFiles


def wanted_models(operators: Iterable[Operator]) -> list[Wanted]:
    """What the operators load: from their `files()`, and from wheels by their `NETWORKS`."""
    from operators.models.wheel import wheel_files

    found: list[Wanted] = []
    for operator in operators:
        files = getattr(operator, "files", tuple)()
        networks = getattr(operator, "NETWORKS", ())
        found += [Wanted(operator=operator.name, files=one) for one in (*files, *wheel_files(operator.name, networks))]
    return found


def look(wanted: Wanted, store: ModelStore, *, read_all: bool = False) -> ModelState:
    """How one model stands. `read_all` compares every byte with the digests of its origin. Fetches nothing."""
    from operators.models.catalogue import known_model

    files = wanted.files
    known = known_model(files.reference)
    size, where, pinned = known.size if known else None, "", False
    try:
        source = files.source(store)
        pinned = source.pinned
        holding = files.held(source.held())
        where = str(holding.folder or "")
        problem = holding.problems if holding.folder is not None else ""
        state: State = (
            "damaged" if holding.damaged else "missing" if holding.missing or not holding.folder else "whole"
        )
        if holding.folder is not None and state == "whole":
            size = sum(holding.sizes.values())
            if read_all and (unlike := source.unlike(holding.folder, list(holding.sizes))):
                state, problem = "damaged", "; ".join(unlike)
    except RushesError as error:
        state, problem = "missing", str(error)
    return ModelState(
        operator=wanted.operator,
        setting=files.setting,
        model=files.reference,
        pinned=pinned,
        role=known.role if known else "",
        licence=known.licence if known else "not known here",
        size=size,
        state=state,
        where=where,
        problem=problem,
    )


def fetch(wanted: Wanted, store: ModelStore, say: Say) -> ModelState:
    """The same after fetching what was missing or damaged; what was fetched is compared with its digests."""
    from operators.models.files import locate

    before = look(wanted, store)
    if before.state == "whole":
        return before
    say(f"fetching {before.model}{_of_size(before.size)} for {before.setting}")
    try:
        locate(wanted.files, store, mend=True)
    except RushesError as error:
        return replace(before, problem=str(error))
    return look(wanted, store, read_all=True)


def total_size(states: Sequence[ModelState]) -> int:
    """Bytes of whole models on this machine, each folder once."""
    folders: dict[Path, int] = {}
    for state in states:
        if state.state == "whole" and state.size is not None:
            folders[Path(state.where, state.model)] = state.size
    return sum(folders.values())


def _of_size(size: int | None) -> str:
    from rich.filesize import decimal

    return f" ({decimal(size)})" if size else ""
