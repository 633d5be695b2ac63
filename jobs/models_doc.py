"""The models in words: the tables of `docs/models.md`.

python -m jobs.models_doc docs/models.md     rewrites the tables between its marks
python -m jobs.models_doc                    prints them
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.filesize import decimal

from jobs.command import Job
from jobs.configuration import resolve
from jobs.mmtrail import MMTRAIL
from jobs.model_states import wanted_models
from operators.models.catalogue import CATALOGUE, KnownModel, known_model
from store.marked_tables import fill, table, write_or_print

NUMBERS = {"bfloat16": 2, "float32": 4}
"""Bytes of a number in each precision that the table tells."""


def defaults(job: Job) -> dict[str, dict[str, str]]:
    """For each preset the models that it names: reference by setting."""
    found: dict[str, dict[str, str]] = {}
    for name, preset in job.presets.items():
        chain = resolve(preset.operators(), preset=preset.settings).chain()
        found[name] = {
            f"{one.files.setting}/{one.files.reference}": one.files.reference for one in wanted_models(chain)
        }
    return found


def tables(job: Job) -> dict[str, str]:
    """Markdown tables by the name of their place in `docs/models.md`.

    Raises `ValueError` where a preset names a model that the catalogue does not know, or at another commit.
    """
    used: dict[str, list[str]] = {model.name: [] for model in CATALOGUE}
    for preset, named in defaults(job).items():
        for setting, reference in named.items():
            known = known_model(reference)
            if known is None:
                raise ValueError(f"preset {preset} names a model that the catalogue lacks: {setting}")
            commit = reference.partition("@")[2]
            if commit and commit != known.commit:
                raise ValueError(f"preset {preset} names another commit than the catalogue: {setting}")
            if preset not in used[known.name]:
                used[known.name].append(preset)
    return {"models": _table(CATALOGUE, used)}


def filled(document: str, job: Job = MMTRAIL) -> str:
    """`document` with the tables written anew; see `store.marked_tables.fill`."""
    return fill(document, tables(job))


def _table(models: Iterable[KnownModel], used: dict[str, list[str]]) -> str:
    headings = ["model", "role", "default of", "licence", "fetched", *(f"in {name}" for name in NUMBERS), "commit"]
    rows = []
    for model in models:
        cells = [
            f"`{model.name}`" + (f" ({model.note})" if model.note else ""),
            model.role,
            ", ".join(used[model.name]) or "–",
            model.licence,
            _bytes(model.size),
            *(_bytes(model.memory(number)) for number in NUMBERS.values()),
            f"`{model.commit[:12]}`" if model.commit else "–",
        ]
        rows.append(cells)
    return table(headings, rows)


def _bytes(size: int | None) -> str:
    return "–" if size is None else decimal(size)


def main() -> None:
    write_or_print("python -m jobs.models_doc", "The models in words.", tables(MMTRAIL))


if __name__ == "__main__":
    main()
