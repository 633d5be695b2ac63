"""The columns of gesture clips in words: the tables of `docs/gestures.md`.

python -m jobs.gestures_doc docs/gestures.md     rewrites the tables between its marks
python -m jobs.gestures_doc                      prints them
"""

from __future__ import annotations

import argparse
from pathlib import Path

from operators.pose import columns
from store.marked_tables import column_table, fill

GROUPS = ("PEOPLE", "LANDMARKS", "SPEECH", "POSES", "GATES", "SMOOTHED")


def tables() -> dict[str, str]:
    """Markdown tables by the name of their place in `docs/gestures.md`."""
    return {group.lower(): column_table(getattr(columns, group)) for group in GROUPS}


def filled(document: str) -> str:
    """`document` with the tables written anew; see `store.marked_tables.fill`."""
    return fill(document, tables())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m jobs.gestures_doc", description="Gesture columns in words.")
    parser.add_argument("document", type=Path, nargs="?", help="the Markdown file to rewrite")
    options = parser.parse_args()
    if options.document:
        options.document.write_text(filled(options.document.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        for name, text in tables().items():
            print(f"{name}\n\n{text}")


if __name__ == "__main__":
    main()
