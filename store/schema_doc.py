"""The columns in words: the tables of `docs/data.md`, and the schemas as JSON.

python -m store.schema_doc docs/data.md     rewrites the tables between its marks
python -m store.schema_doc                  prints them
python -m store.schema_doc --json           prints names and types
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
from pathlib import Path
from typing import Any

from operators import columns
from operators.errors import ErrorKind
from store.marked_tables import column_table, fill, table
from store.schema import MANIFEST_SCHEMA, SCHEMA_VERSION, VERDICT_SCHEMA, VIDEO_SCHEMA, clip_schema

GROUPS = ("IDENTITY", "SHOT", "QUALITY", "VERDICT", "SCENE", "AUDIO", "SPEECH", "FUSION", "BOOKKEEPING", "TRANSIENT")


def described() -> dict[str, Any]:
    """Names and types of every schema, in order: what readers of a version may rely on."""
    schemas = {
        "clips": clip_schema((), keep_media=False),
        "clips with media": clip_schema((), keep_media=True),
        "videos": VIDEO_SCHEMA,
        "verdicts": VERDICT_SCHEMA,
        "manifest": MANIFEST_SCHEMA,
    }
    tables = {name: [[field.name, str(field.type)] for field in schema] for name, schema in schemas.items()}
    return {"version": SCHEMA_VERSION, **tables}


def tables() -> dict[str, str]:
    """Markdown tables by the name of their place in `docs/data.md`."""
    clips = {f"clips.{group.lower()}": getattr(columns, group) for group in GROUPS}
    others = {"videos": VIDEO_SCHEMA, "verdicts": VERDICT_SCHEMA, "manifest": MANIFEST_SCHEMA}
    return {"errors": _errors(), **{name: column_table(fields) for name, fields in {**clips, **others}.items()}}


def filled(document: str) -> str:
    """`document` with the tables written anew; see `store.marked_tables.fill`."""
    return fill(document, tables())


def _errors() -> str:
    """The kinds of errors, with the comments that explain them where they are defined."""
    source = inspect.getsource(ErrorKind)
    kinds = re.findall(r'^    [A-Z_]+ = "(\w+)"  # (.+)$', source, flags=re.M)
    if [kind for kind, _ in kinds] != [kind.value for kind in ErrorKind]:
        raise ValueError("every ErrorKind needs a comment on its line that says what it means")
    return table(("kind", "meaning"), [(f"`{kind}`", text) for kind, text in kinds])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m store.schema_doc", description="The columns in words.")
    parser.add_argument("document", type=Path, nargs="?", help="the Markdown file to rewrite")
    parser.add_argument("--json", action="store_true", help="print names and types as JSON")
    options = parser.parse_args()
    if options.json:
        print(json.dumps(described(), indent=1))
    elif options.document:
        options.document.write_text(filled(options.document.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        for name, text in tables().items():
            print(f"{name}\n\n{text}")


if __name__ == "__main__":
    main()
