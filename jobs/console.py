"""How every command reads its options and ends: messages on stderr, and the exit codes.

0    done
1    something could not be done, or was found wrong
2    the command or the configuration is wrong
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from jobs.terminal import printable
from operators.errors import ConfigurationError, RushesError

FAILED = 1
WRONG_COMMAND = 2
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse with help texts kept as written, no abbreviations, and the nearest name for a wrong option."""

    def __init__(self, module: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"python -m {module}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--debug", action="store_true", help="show where in the code an error was raised")

    def error(self, message: str) -> NoReturn:
        options = [option for action in self._actions for option in action.option_strings]
        for word in message.split()[2:] if message.startswith("unrecognized arguments:") else ():
            if near := difflib.get_close_matches(word.partition("=")[0], options, n=1):
                message += f"; did you mean {near[0]}?"
        self.exit(WRONG_COMMAND, f"{self.prog}: {message}\nSee {self.prog} --help\n")


def finish(
    parser: Parser,
    argv: Sequence[str] | None,
    body: Callable[[argparse.Namespace], int],
    on_interrupt: Callable[[], str] = lambda: "Stopped.",
) -> int:
    """Parse `argv`, run `body` with the options, and turn whatever happens into an exit code."""
    try:
        options = parser.parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED
    try:
        code = body(options)
        sys.stdout.flush()
        return code
    except RushesError as problem:
        if options.debug:
            traceback.print_exc()
        print(f"error: {printable(problem)}", file=sys.stderr)
        return WRONG_COMMAND if isinstance(problem, ConfigurationError) else FAILED
    except BrokenPipeError:
        # The reader (such as head) has gone; without this, Python complains once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        print(f"\n{on_interrupt()}", file=sys.stderr)
        return INTERRUPTED
    except Exception as problem:
        traceback.print_exc()
        print(f"error: a bug in Rushes, please report it: {type(problem).__name__}: {problem}", file=sys.stderr)
        return FAILED
