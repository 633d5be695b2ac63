"""Markdown tables that a program writes between marks of a document that a person writes.

A table's place is between `<!-- table NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa


def fill(document: str, tables: Mapping[str, str]) -> str:
    """`document` with every table written anew in its place.

    Raises `ValueError` when a table has no place, or a place no table.
    """
    places = re.findall(r"<!-- table (\S+) -->", document)
    if sorted(places) != sorted(tables):
        raise ValueError(f"tables without one place each: {sorted(set(tables) ^ set(places)) or places}")
    return re.sub(
        r"(<!-- table (\S+) -->\n).*?(?=<!-- end -->)",
        lambda found: f"{found[1]}{tables[found[2]]}",
        document,
        flags=re.S,
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped."""
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def column_table(fields: Iterable[pa.Field]) -> str:
    """The columns with their types and what their metadata says of unit, meaning and source."""
    rows = []
    for field in fields:
        facts = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        kind = str(field.type).replace("element: ", "").replace("item: ", "")
        rows.append((f"`{field.name}`", f"`{kind}`", facts["unit"], facts["doc"], facts["source"]))
    return table(("column", "type", "unit", "meaning", "named after"), rows)


def write_or_print(prog: str, description: str, tables: Mapping[str, str]) -> None:
    """The command of a module that makes `tables`: fill those of a Markdown file, or print them all."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("document", type=Path, nargs="?", help="the Markdown file to rewrite")
    options = parser.parse_args()
    if options.document:
        options.document.write_text(fill(options.document.read_text(encoding="utf-8"), tables), encoding="utf-8")
    else:
        for name, text in tables.items():
            print(f"{name}\n\n{text}")
