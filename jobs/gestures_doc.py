"""The columns of gesture clips in words: the tables of `docs/gestures.md`.

python -m jobs.gestures_doc docs/gestures.md     rewrites the tables between its marks
python -m jobs.gestures_doc                      prints them
"""

from __future__ import annotations

from operators.pose import columns
from store.marked_tables import column_table, fill, write_or_print

GROUPS = ("PEOPLE", "LANDMARKS", "SPEECH", "POSES", "GATES", "SMOOTHED")


def tables() -> dict[str, str]:
    """Markdown tables by the name of their place in `docs/gestures.md`."""
    return {group.lower(): column_table(getattr(columns, group)) for group in GROUPS}


def filled(document: str) -> str:
    """`document` with the tables written anew; see `store.marked_tables.fill`."""
    return fill(document, tables())


def main() -> None:
    write_or_print("python -m jobs.gestures_doc", "Gesture columns in words.", tables())


if __name__ == "__main__":
    main()
