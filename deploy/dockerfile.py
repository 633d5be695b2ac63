"""Reads a Dockerfile: which instructions make one of its targets.

    python3 deploy/dockerfile.py cpu          one instruction a line: its name, a tab, its words

For `deploy/try_image.sh`, which carries them out without Docker, and for the tests. Needs nothing but Python.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = ("ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER")


@dataclass(frozen=True)
class Stage:
    """From one FROM to the next: `instructions` are pairs of a name and the words after it."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


def stages(text: str) -> dict[str, Stage]:
    """The stages of a Dockerfile by name, in its order.

    Raises `ValueError` where an instruction is not one of `KNOWN`, or a stage has no name.
    """
    found: dict[str, Stage] = {}
    current: Stage | None = None
    kept = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in re.sub(r"\\\n\s*", "", kept).splitlines():
        if not line.strip():
            continue
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            match = re.fullmatch(r"(\S+) AS (\S+)", rest)
            if match is None:
                raise ValueError(f"give this stage a name: {line}")
            current = found[match[2]] = Stage(match[2], match[1])
        elif name not in KNOWN or current is None:
            raise ValueError(f"an instruction that is not known: {line}")
        else:
            current.instructions.append((name, rest.strip()))
    return found


def target(text: str, name: str) -> list[tuple[str, str]]:
    """Every instruction that makes the stage `name`, from its first base on, beginning with FROM."""
    found = stages(text)
    if name not in found:
        raise ValueError(f"no stage is called {name}; there are {', '.join(found)}")
    chain = [found[name]]
    while chain[-1].base in found:
        chain.append(found[chain[-1].base])
    return [("FROM", chain[-1].base), *(step for stage in reversed(chain) for step in stage.instructions)]


def main() -> None:
    """Print the instructions of the target that the command line names; ENV as one NAME=VALUE a line."""
    dockerfile = Path(__file__).parents[1] / "Dockerfile"
    for name, rest in target(dockerfile.read_text(), sys.argv[1]):
        for words in shlex.split(rest) if name == "ENV" else [rest]:
            print(name, words, sep="\t")


if __name__ == "__main__":
    main()
