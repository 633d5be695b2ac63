"""Text for a terminal: what strangers wrote is shown, and moves no cursor, sets no title, rings no bell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

LEFT = frozenset("\n\t")
"""Characters that are not printable and stay."""


def printable(text: object) -> str:
    """`text` with every control and format character but line breaks and tabs replaced by U+FFFD."""
    return "".join(c if c.isprintable() or c in LEFT else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def printable_json(value: object, indent: int | None = None) -> str:
    """`value` as JSON in which every control and format character is escaped, and every letter is not."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c in LEFT else json.dumps(c)[1:-1] for c in text)


class Printable:
    """What rich can print, with its text made `printable`; rich's own styles stay."""

    def __init__(self, renderable: Any) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
