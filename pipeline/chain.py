"""The chain of operators: checked before anything starts, fingerprinted, composed into stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from operators.columns import BOOKKEEPING, IDENTITY
from operators.contract import Operator
from operators.errors import ChainError

SOURCE_COLUMNS = ("video_id", "uri", "size", "etag", "extra")
"""What the manifest gives to the first operator."""

DROPS = "drop_reason"
"""The one column that several operators may write; clips that have one pass later operators by."""


def check(chain: Sequence[Operator]) -> None:
    """Raise `ChainError` unless every column that is read is written earlier, once, and names are unique.

    Any operator may drop a clip: `drop_reason` may be written by several.

    Calls each operator's own `check`, which raises `ConfigurationError` for model files that are missing.
    """
    if not chain:
        raise ChainError("the chain has no operator")
    names = [operator.name for operator in chain]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ChainError(f"operators need different names; used more than once: {', '.join(twice)}")
    known = {*SOURCE_COLUMNS, *(field.name for field in (*IDENTITY, *BOOKKEEPING))}
    writer: dict[str, str] = {}
    for operator in chain:
        for column in operator.reads:
            if column not in known:
                late = [o.name for o in chain if column in o.writes.names]
                hint = f"; {late[0]} writes it: move it above {operator.name}" if late else "; no operator writes it"
                raise ChainError(f"{operator.name} reads column {column!r}{hint}")
        for column in operator.writes.names:
            if column in writer and column != DROPS:
                raise ChainError(f"column {column!r} is written by both {writer[column]} and {operator.name}")
            writer[column] = operator.name
        known.update(operator.writes.names)
        operator.check()


def lineages(chain: Sequence[Operator]) -> dict[str, str]:
    """Operator name → sixteen hex digits that change with the operator or with anything it reads from."""
    author: dict[str, str] = {}
    result: dict[str, str] = {}
    root = chain[0].name
    for operator in chain:
        parents = {column: result[author[column]] for column in operator.reads if column in author}
        if operator.name != root:
            parents["rows"] = result[root]
        facts = json.dumps([operator.fingerprint(), parents], sort_keys=True)
        result[operator.name] = hashlib.sha256(facts.encode()).hexdigest()[:16]
        author.update(dict.fromkeys(operator.writes.names, operator.name))
    return result


def fingerprint(lineage: Mapping[str, str]) -> str:
    """Sixteen hex digits for the whole chain."""
    return hashlib.sha256(json.dumps(list(lineage.items())).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Operators that run composed in one Ray actor.

    `batch` rows are bundled for it, and `concurrency` bundles are with it at once, each in its thread.
    """

    operators: tuple[Operator, ...]
    cpus: float
    gpus: float
    memory_mb: int
    batch: int
    actors: tuple[int, int | None]
    concurrency: int = 1

    @property
    def name(self) -> str:
        return "+".join(operator.name for operator in self.operators) or "write"


def compose(chain: Sequence[Operator]) -> list[Stage]:
    """Adjacent CPU operators become one stage, every GPU operator its own. GPU shares must be numbers by now.

    Stage boundaries cost a trip through the object store and at least one more actor; they exist only
    where resources differ. A chain that ends on a GPU gets a last stage that only writes.
    """
    groups: list[list[Operator]] = []
    for operator in chain:
        joins = groups and not operator.resources.gpus and not groups[-1][-1].resources.gpus
        if joins:
            groups[-1].append(operator)
        else:
            groups.append([operator])
    stages = [_stage(group) for group in groups]
    if stages[-1].gpus:
        stages.append(Stage(operators=(), cpus=0.25, gpus=0, memory_mb=0, batch=256, actors=(1, None)))
    return stages


def _stage(group: Sequence[Operator]) -> Stage:
    needs = [operator.resources for operator in group]
    maxima = [r.actors[1] for r in needs if r.actors[1] is not None]
    return Stage(
        operators=tuple(group),
        cpus=max(r.cpus for r in needs),
        gpus=max(r.gpus or 0.0 for r in needs),
        memory_mb=sum(r.memory_mb for r in needs),
        batch=max(r.batch for r in needs),
        actors=(max(r.actors[0] for r in needs), min(maxima) if maxima else None),
        concurrency=max(r.concurrency for r in needs) if len(group) == 1 else 1,
    )
